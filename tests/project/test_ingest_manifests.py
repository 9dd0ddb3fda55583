"""The ingest port in the Helm chart and in the Kubernetes manifests: of workers, and alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from streams.http.ingest.keys import read_keys
from streams.settings import Settings
from streams.settings.sources import PREFIX
from streams.tools import write_keys
from tests.project.test_manifests import (
    MANIFESTS,
    ROOT,
    Manifest,
    container,
    needs_helm,
    of,
    rendered,
    validate,
    variables,
)

INGEST = MANIFESTS.with_name("ritorno-ingest.yaml")
ALONE = ("--set", "ingest.where=alone")
OUTSIDE = ("--set", "ingest.ingress.host=ingest.shop.example")


def written() -> list[Manifest]:
    return of(INGEST.read_text(encoding="utf-8"))


def one(kind: str, manifests: list[Manifest], name: str = "ritorno-ingest") -> Manifest:
    (found,) = (
        each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


def pod() -> Manifest:
    found: Manifest = one("Deployment", written())["spec"]["template"]["spec"]
    return found


def ports(pod: Manifest) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in container(pod)["ports"]}


def test_the_manifests_are_what_kubernetes_takes() -> None:
    validate(written())


@needs_helm
def test_the_manifests_are_the_charts_own() -> None:
    found = of(rendered(*ALONE, *OUTSIDE, "--show-only", "templates/ingest.yaml"))
    assert found == written(), "make manifests"


@needs_helm
def test_nobody_listens_unless_the_shop_says_so() -> None:
    assert of(rendered()) == of(MANIFESTS.read_text(encoding="utf-8"))
    assert "ingest" not in MANIFESTS.read_text(encoding="utf-8").lower()


@needs_helm
def test_workers_have_the_port_of_a_small_shop() -> None:
    manifests = of(rendered("--set", "ingest.where=workers"))
    validate(manifests)
    assert "Deployment" not in {each["kind"] for each in manifests}
    workers = one("StatefulSet", manifests, "ritorno")["spec"]["template"]
    told = variables(workers["spec"])
    assert told["RITORNO_INGEST_BIND"] == f"0.0.0.0:{ports(workers['spec'])['ingest']}"
    mounted = {
        each["name"]: each["mountPath"] for each in container(workers["spec"])["volumeMounts"]
    }
    assert told["RITORNO_INGEST_KEYS"] == f"{mounted['ingest-keys']}/ingest-keys.yaml"
    service = one("Service", manifests)["spec"]
    assert service["selector"].items() <= workers["metadata"]["labels"].items()
    policy = one("NetworkPolicy", manifests, "ritorno")["spec"]
    assert {"port": "ingest"} in policy["ingress"][0]["ports"]
    assert "Ingress" not in {each["kind"] for each in manifests}


@needs_helm
def test_a_shop_of_its_own(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "settings: {kafka_security: sasl_tls, kafka_username: ingest, public_proxies: 10.0.0.0/8}\n"
        "ingest:\n"
        "  where: alone\n  replicas: 5\n  keysSecret: chiavi\n  secrets: [kafka_password]\n"
        "  ingress: {host: eventi.negozio.example.it, className: nginx, tlsSecret: eventi-tls,\n"
        "            annotations: {cert-manager.io/cluster-issuer: letsencrypt}}\n"
        "nodeSelector: {disk: ssd}\n"
        "networkPolicy: {enabled: false}\n"
    )
    manifests = of(rendered("--values", str(values)))
    validate(manifests)
    assert "NetworkPolicy" not in {each["kind"] for each in manifests}
    deployment = one("Deployment", manifests)["spec"]
    found = deployment["template"]["spec"]
    assert deployment["replicas"] == 5
    assert found["nodeSelector"] == {"disk": "ssd"}
    told = variables(found)
    assert told["RITORNO_PUBLIC_PROXIES"] == "10.0.0.0/8"
    assert told["RITORNO_KAFKA_PASSWORD_FILE"] == "/run/secrets/ritorno-ingest/kafka_password"
    assert "RITORNO_TOKEN_KEYS_FILE" not in told
    (secret,) = (each["secret"] for each in found["volumes"] if "secret" in each)
    assert secret["secretName"] == "chiavi"
    ingress = one("Ingress", manifests)
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt"}
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"][0]["secretName"] == "eventi-tls"


@needs_helm
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("ingest.where=elsewhere", "where"),
        ("ingest.replicas=0", "replicas"),
        ("ingest.secrets={token_keys}", "/ingest/secrets/0"),
        ("settings.ingest_bind=0.0.0.0:1", "/settings/ingest_bind"),
    ],
)
def test_a_value_that_cant_be_is_named(wrong: str, named: str) -> None:
    with pytest.raises(AssertionError, match=named):
        rendered("--set", wrong)


def test_what_ingest_is_told_are_settings_and_its_keys_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = variables(pod())
    assert told["RITORNO_INGEST_KEYS"].startswith(container(pod())["volumeMounts"][1]["mountPath"])
    write_keys.add(
        tmp_path / "ingest-keys.yaml", "site", secret=True, source="/site", origins=(), rate=None
    )
    told["RITORNO_INGEST_KEYS"] = str(tmp_path / "ingest-keys.yaml")
    for name, value in told.items():
        assert name.removeprefix(PREFIX).lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.ingest_bind is not None
    assert settings.ingest_bind.port == ports(pod())["ingest"]
    assert str(settings.admin_bind).endswith(f":{ports(pod())['admin']}")
    assert [key.id for key in read_keys(settings.ingest_keys_file).keys] == ["site"]


def test_any_may_go_and_none_goes_before_another_takes_its_place() -> None:
    deployment = one("Deployment", written())["spec"]
    assert deployment["replicas"] > 1
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = deployment["template"]["metadata"]["labels"]
    assert one("PodDisruptionBudget", written())["spec"]["maxUnavailable"] == 1
    for selector in selectors():
        assert selector.items() <= labels.items()
    workers = next(each for each in of(MANIFESTS.read_text()) if each["kind"] == "StatefulSet")
    for selector in selectors():  # of a worker nothing here is meant
        assert not selector.items() <= workers["spec"]["template"]["metadata"]["labels"].items()


def selectors() -> Iterator[dict[str, str]]:
    manifests = written()
    for name in ("ritorno-ingest", "ritorno-ingests"):
        yield one("Service", manifests, name)["spec"]["selector"]
    yield one("PodDisruptionBudget", manifests)["spec"]["selector"]["matchLabels"]
    yield one("NetworkPolicy", manifests)["spec"]["podSelector"]["matchLabels"]
    yield one("Deployment", manifests)["spec"]["selector"]["matchLabels"]


def test_probes_ask_what_is_answered_and_pods_have_no_rights() -> None:
    (ingest,) = pod()["containers"]
    assert ingest["args"] == ["ingest"]
    assert ingest["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert ingest["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    assert pod()["enableServiceLinks"] is False
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert ingest["securityContext"]["readOnlyRootFilesystem"] is True
    assert ingest["securityContext"]["allowPrivilegeEscalation"] is False
    assert ingest["resources"]["limits"]["memory"]
    (secret,) = (each["secret"] for each in pod()["volumes"] if "secret" in each)
    assert not secret["defaultMode"] & 0o037


def test_from_outside_it_is_reached_by_tls_alone() -> None:
    ingress = one("Ingress", written())["spec"]
    (rule,) = ingress["rules"]
    assert ingress["tls"][0]["hosts"] == [rule["host"]]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = one("Service", written(), backend["name"])["spec"]
    assert backend["port"]["name"] in {each["name"] for each in service["ports"]}
    policy = one("NetworkPolicy", written())["spec"]["ingress"]
    assert policy[0] == {"ports": [{"port": "ingest"}]}


def test_compose_has_it_in_a_profile() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    service = compose["services"]["ingest"]
    assert service["profiles"] == ["ingest"]
    assert service["command"] == ["ingest"]
    (published,) = service["ports"]
    assert (
        service["environment"]["RITORNO_INGEST_BIND"] == f"0.0.0.0:{published.rpartition(':')[2]}"
    )
    assert "RITORNO_TOKEN_KEYS" not in service["environment"]
