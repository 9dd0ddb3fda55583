"""Helm chart, Kubernetes manifests and systemd unit, as far as they can be known without a cluster.

The schemas of Kubernetes come with the package kubernetes-validate; nothing is fetched.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from streams.runtime.readiness import ROLES
from streams.settings import Settings
from streams.settings.sources import PREFIX, SECRETS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "ritorno"
MANIFESTS = ROOT / "deploy" / "kubernetes" / "ritorno.yaml"
UNIT = ROOT / "deploy" / "systemd" / "ritorno.service"
KUBERNETES = ("1.34", "1.37")
"""Versions that the manifests are for: the first and the last that are looked at."""

NO_HELM = (
    "helm is missing: go install helm.sh/helm/v3/cmd/helm@latest, or helm.sh/docs/intro/install"
)
needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason=NO_HELM)

Manifest = dict[str, Any]


def of(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


def written() -> list[Manifest]:
    return of(MANIFESTS.read_text(encoding="utf-8"))


def one(kind: str) -> Manifest:
    (found,) = (each for each in written() if each["kind"] == kind)
    return found


def pods() -> Iterator[Manifest]:
    for kind in ("StatefulSet", "Job"):
        yield one(kind)["spec"]["template"]["spec"]


def container(pod: Manifest) -> Manifest:
    (found,) = pod["containers"]
    return found


def variables(pod: Manifest) -> dict[str, str]:
    return {
        each["name"]: each["value"]
        for each in container(pod)["env"]
        if each["name"].startswith(PREFIX)
    }


def validate(manifests: list[Manifest]) -> None:
    for each in manifests:
        for version in KUBERNETES:
            kubernetes_validate.validate(each, version, strict=True)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["helm", *arguments, "--kube-version", "1.34.0"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def rendered(*arguments: str) -> str:
    done = helm("template", "ritorno", str(CHART), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_manifests_are_what_kubernetes_takes() -> None:
    validate(written())


def test_a_misspelt_field_would_be_noticed() -> None:
    broken = one("StatefulSet")
    broken["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([broken])


@needs_helm
def test_the_chart_is_in_order_and_the_manifests_are_its_own() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr
    assert of(rendered()) == written(), "make manifests"


@needs_helm
def test_a_shop_of_its_own(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "replicas: 4\n"
        "image: {repository: registry.example/ritorno, tag: 0.2.1, pullSecrets: [{name: pull}]}\n"
        "settings:\n"
        "  visitor_limit: 100000\n  mail_warm_up_start: 10000000\n  mail_warm_up_growth: 1.25\n"
        '  mail_provider_lookup: false\n  shop_name: "Bottega: del Colle"\n'
        "secrets: [token_keys, smtp_url, kafka_password]\n"
        "storage: {size: 20Gi, className: fast}\n"
        "networkPolicy: {enabled: false}\n"
        "nodeSelector: {disk: ssd}\n"
        "tolerations: [{key: mail, operator: Exists}]\n"
    )
    manifests = of(rendered("--values", str(values)))
    validate(manifests)
    kinds = {each["kind"]: each["spec"] for each in manifests}
    assert "NetworkPolicy" not in kinds
    pod = kinds["StatefulSet"]["template"]["spec"]
    environment = {each["name"]: each.get("value") for each in container(pod)["env"]}
    # A number of YAML must not come out as 1e+07, nor a colon as a mapping.
    assert environment["RITORNO_MAIL_WARM_UP_START"] == "10000000"
    assert environment["RITORNO_MAIL_WARM_UP_GROWTH"] == "1.25"
    assert environment["RITORNO_MAIL_PROVIDER_LOOKUP"] == "false"
    assert environment["RITORNO_SHOP_NAME"] == "Bottega: del Colle"
    assert environment["RITORNO_KAFKA_PASSWORD_FILE"] == "/run/secrets/ritorno/kafka_password"
    for each in (pod, kinds["Job"]["template"]["spec"]):
        assert container(each)["image"] == "registry.example/ritorno:0.2.1"
        assert each["nodeSelector"] == {"disk": "ssd"}
        assert each["tolerations"] and each["imagePullSecrets"]


@needs_helm
def test_workers_whose_user_may_create_no_topics() -> None:
    manifests = of(rendered("--set", "topics.create=false"))
    assert [each for each in written() if each["kind"] != "Job"] == manifests


@needs_helm
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("replica=3", "replica"),
        ("replicas=0", "replicas"),
        ("settings.data_dir=/elsewhere", "/settings/data_dir"),
        ("settings.smtp_url=smtp://user:word@relay", "/settings/smtp_url"),
        ("settings.broker=embedded://data", "embedded://data"),
        ("secrets={smtp_url}", "/secrets"),
        ("secrets={token_keys,password}", "/secrets/1"),
    ],
)
def test_a_value_that_cant_be_is_named(wrong: str, named: str) -> None:
    done = helm("template", "ritorno", str(CHART), "--set", wrong)
    assert done.returncode != 0
    assert named in done.stderr


def test_what_workers_are_told_are_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"token_keys": "try:only-for-trying-out-0123456789", "smtp_url": "smtp://relay:25"}
    for pod in pods():
        told = variables(pod)
        with monkeypatch.context() as patch:
            for name, value in told.items():
                if name.endswith("_FILE"):
                    setting = name.removeprefix(PREFIX).removesuffix("_FILE").lower()
                    assert value == f"/run/secrets/ritorno/{setting}"
                    assert setting in SECRETS
                    (tmp_path / setting).write_text(secrets[setting])
                    patch.setenv(name, str(tmp_path / setting))
                else:
                    assert name.removeprefix(PREFIX).lower() in Settings.model_fields
                    patch.setenv(name, value.replace("$(POD_NAME)", "ritorno-0"))
            settings = Settings()
        assert settings.smtp_url.get_secret_value() == secrets["smtp_url"]
        assert settings.replication == 3
    assert settings.bootstrap_servers == ["kafka:9092"]


def test_a_worker_is_reached_by_a_name_that_the_cluster_knows() -> None:
    workers = one("StatefulSet")
    service = workers["spec"]["serviceName"]
    told = variables(workers["spec"]["template"]["spec"])
    assert told["RITORNO_WORKER_ID"] == "$(POD_NAME)"
    assert told["RITORNO_INTERNAL_ADDRESS"] == f"$(POD_NAME).{service}"
    (headless,) = (each for each in written() if each["metadata"]["name"] == service)
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True


def test_pods_have_no_rights_and_no_service_links() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for pod in pods():
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert f"\nUSER {pod['securityContext']['runAsUser']}\n" in dockerfile
        allowed = container(pod)["securityContext"]
        assert allowed["readOnlyRootFilesystem"] is True
        assert allowed["allowPrivilegeEscalation"] is False
        assert container(pod)["resources"]["limits"]["memory"]
        (secret,) = (each["secret"] for each in pod["volumes"] if "secret" in each)
        assert not secret["defaultMode"] & 0o037  # as doctor wants it: nothing for others


def test_probes_ask_what_is_answered() -> None:
    worker = container(one("StatefulSet")["spec"]["template"]["spec"])
    answered = {"/healthz", "/readyz", *(f"/readyz/{role}" for role in ROLES)}
    asked = {
        each: worker[each]["httpGet"]["path"]
        for each in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert set(asked.values()) <= answered
    # An update waits for all partitions; later, one that is stuck takes no pages out.
    assert asked["startupProbe"] == "/readyz"
    assert asked["readinessProbe"] == "/readyz/public"
    assert asked["livenessProbe"] == "/healthz"
    ports = {each["name"]: each["containerPort"] for each in worker["ports"]}
    told = variables(one("StatefulSet")["spec"]["template"]["spec"])
    for name in ("admin", "internal", "public"):
        assert told[f"RITORNO_{name.upper()}_BIND"] == f"0.0.0.0:{ports[name]}"


def test_one_worker_at_a_time_is_taken_and_all_are_meant() -> None:
    labels = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    budget = one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    selectors = [
        budget["selector"]["matchLabels"],
        one("StatefulSet")["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["spec"]["selector"] for each in written() if each["kind"] == "Service"),
    ]
    job = one("Job")["spec"]["template"]["metadata"]["labels"]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= job.items()


def test_the_chart_knows_version_and_secrets() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == package["version"]
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert set(schema["secrets"]["items"]["enum"]) == set(SECRETS)
    settings = schema["settings"]["properties"]
    refused = {name for name, rule in settings.items() if rule is False}
    assert refused >= set(SECRETS)
    assert refused <= Settings.model_fields.keys()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_the_unit_is_in_order(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert program is not None
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(program[1], shutil.which("true") or "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_sets_what_are_settings() -> None:
    text = UNIT.read_text(encoding="utf-8")
    names = re.findall(r"(RITORNO_\w+)=", text)
    assert names == ["RITORNO_CONFIG", "RITORNO_DATA_DIR"]
    assert "StateDirectoryMode=0700" in text
    # A worker and the process that reads what comes back lower and raise limits of their own.
    assert "~@resources" not in text
