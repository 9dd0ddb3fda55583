"""Rules, alerts and the dashboard speak only of metrics that a worker has.

Prometheus' own promtool checks the files and runs the rules' unit tests. Grafana can't be run here:
the dashboard is checked as data, and its queries run against a real Prometheus in test_scrape.py.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.operate.metrics import Metrics
from streams.operate.panels import SELECTED
from streams.runtime.processes.board import WorkerProcess, of_processes
from streams.runtime.transports.partition_manager import PartitionManager
from streams.tools.dashboard import text
from tests.operate.metrics.prometheus import needs_prometheus
from tests.operate.metrics.shorten import shortened

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
RECORDS = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/ritorno.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def exposed() -> set[str]:
    """Every series name that a worker can have, with what Prometheus adds."""
    names = {"up"}
    processes = of_processes([WorkerProcess("1", None, "", 0)], [True]) + "\n"
    text = generate_latest(Metrics().registry).decode() + processes
    known = [(family.name, family.type) for family in text_string_to_metric_families(text)]
    # Some are there only of a worker that runs.
    metrics = Metrics()
    metrics.watch_partitions(PartitionManager())
    known += [(each.name, each.kind) for each in metrics.shown]
    known += [
        (family.name, family.type)
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    ]
    for name, kind in known:
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        names |= {name + suffix for suffix in suffixes.get(kind, ("",))}
    return names


def ours() -> set[str]:
    """Every metric of ours, without the suffixes of its type."""
    names = {base(name) for name in exposed() if name.startswith("ritorno_")}
    return names | Metrics().not_shown.keys()


def base(name: str) -> str:
    return re.sub(r"_(total|bucket|sum|count)$", "", name)


def mentioned(expression: str) -> set[str]:
    without_labels = re.sub(r"\{[^}]*\}", "", expression)
    return set(re.findall(r"\b(?:ritorno|process|python)_\w+|\bup\b", without_labels))


@needs_prometheus
@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules.test.yml"],
        ["test", "rules", "outage.test.yml"],
        ["test", "rules", "doors.test.yml"],
    ],
)
def test_promtool_agrees(command: list[str]) -> None:
    promtool = shutil.which("promtool")
    assert promtool
    done = subprocess.run(
        [promtool, *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_amtool_agrees() -> None:
    amtool = shutil.which("amtool")
    assert amtool
    done = subprocess.run(
        [amtool, "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_hides_an_alert_is_an_alert_that_says_more() -> None:
    names = {alert["alert"]: alert["labels"]["severity"] for alert in ALERTS}
    config = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        [source], [target] = (
            re.findall(r'alertname=~?"([A-Za-z|]+)"', " ".join(rule[f"{which}_matchers"]))
            for which in ("source", "target")
        )
        assert names[source] == "critical"
        assert set(target.split("|")) <= names.keys() - {source}
        assert "job" in rule["equal"]


def test_no_partition_is_hidden_behind_another() -> None:
    """Whatever is said of each partition is put together by partition, or counted."""
    for alert in ALERTS:
        by = re.findall(
            r"(max|min|sum|avg) by \(([^)]*)\) \([^)]*ritorno_partition_", alert["expr"]
        )
        assert all("partition" in labels for _, labels in by), alert["alert"]


def test_rules_are_shortened_by_one_factor() -> None:
    group = {
        "rules": [
            {"alert": "A", "for": "5m", "expr": "time() - last_over_time(a_seconds[1d]) > 420"},
            {"alert": "B", "for": "1m", "expr": "avg_over_time(b[10m] offset 1h) > 5000"},
            {"record": "c", "expr": "rate(c_total[5m])"},
        ]
    }
    [after] = shortened({"groups": [group]}, 60)["groups"]
    assert [rule.get("for") for rule in after["rules"]] == ["5000ms", "1000ms", None]
    assert [rule["expr"] for rule in after["rules"]] == [
        "time() - last_over_time(a_seconds[1440000ms]) > 7",
        "avg_over_time(b[10000ms] offset 60000ms) > 5000",
        "rate(c_total[5000ms])",
    ]


def test_rules_speak_of_metrics_that_exist() -> None:
    known = exposed()
    for rule in [*RECORDS, *ALERTS]:
        plain = re.sub(r"\w+:\w+:\w+", "", rule["expr"])  # what other rules have recorded
        assert mentioned(plain) <= known, rule["expr"]


def test_records_are_named_level_metric_operations() -> None:
    names = {rule["record"] for rule in RECORDS}
    assert all(re.fullmatch(r"[a-z_]+:ritorno_[a-z_]+:[a-z0-9_]+", name) for name in names)
    for rule in [*RECORDS, *ALERTS]:
        assert set(re.findall(r"\w+:\w+:\w+", rule["expr"])) <= names


def checked() -> Iterator[tuple[str, bool]]:
    """Each alert that is asked for in the rules' tests, and whether it has to fire there."""
    for file in (DEPLOY / "prometheus").glob("*.test.yml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for check in test.get("alert_rule_test", []):
                yield check["alertname"], bool(check["exp_alerts"])


def test_every_alert_is_tested_to_fire_and_to_be_quiet() -> None:
    names = {alert["alert"] for alert in ALERTS}
    assert {name for name, fires in checked() if fires} == names
    assert {name for name, fires in checked() if not fires} == names


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_waits_and_says_what_to_do(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"Ritorno([A-Z][a-z]+)+", alert["alert"])
    assert alert["for"]
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook"]
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    runbooks = DEPLOY.parent / "docs" / "runbooks"
    pages = {page.stem: page.read_text(encoding="utf-8") for page in runbooks.glob("Ritorno*.md")}
    assert pages.keys() == {alert["alert"] for alert in ALERTS}
    listed = (runbooks / "README.md").read_text(encoding="utf-8")
    panels = {panel["title"].partition(",")[0] for panel in PANELS} | {"Publications", "Targets"}
    sections = ["What it means", "Look first", "What to do", "When it is over"]
    for name, page in pages.items():
        assert page.startswith(f"# {name}\n")
        assert re.findall("^## (.+)", page, re.MULTILINE) == sections, name
        assert f"({name}.md)" in listed
        assert set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", page)) <= panels, name


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_panels_explain_themselves_and_ask_for_what_exists(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        assert mentioned(target["expr"])
        assert mentioned(target["expr"]) <= exposed()
        assert SELECTED in target["expr"]


def test_dashboard_is_made_of_what_the_metrics_say_of_themselves() -> None:
    file = (DEPLOY / "grafana/dashboards/ritorno.json").read_text(encoding="utf-8")
    assert file == text(), "run `make dashboard`"


def test_dashboard_has_its_variables_and_no_overlaps() -> None:
    variables = {each["name"]: each["type"] for each in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query", "instance": "query"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= covered


def test_every_metric_of_ours_is_on_a_panel_or_in_a_rule_or_says_why_not() -> None:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked += [rule["expr"] for rule in [*RECORDS, *ALERTS]]
    seen = {base(name) for expression in asked for name in mentioned(expression)}
    reasons = Metrics().not_shown
    assert ours() - seen == reasons.keys()
    assert all(len(reason.because.split()) > 3 for reason in reasons.values())


def test_annotations_ask_for_what_exists() -> None:
    annotations = {each["name"]: each["expr"] for each in DASHBOARD["annotations"]["list"]}
    assert annotations.keys() == {"Deployments", "Publications"}
    for expression in annotations.values():
        assert mentioned(expression) <= exposed()
        assert SELECTED in expression


def test_grafana_finds_datasource_and_dashboard() -> None:
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    provisioning = DEPLOY / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards/ritorno.yml").read_text())["providers"]
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    workers, ingest = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())[
        "scrape_configs"
    ]
    targets = workers["static_configs"][0]["targets"]
    assert {target.split(":")[0] for target in targets} <= compose["services"].keys()
    [found] = ingest["dns_sd_configs"]
    assert set(found["names"]) <= compose["services"].keys()
    # What has no partitions must not stand for workers that are gone.
    assert not re.fullmatch("ritorno(-.+)?", ingest["job_name"])
    assert re.fullmatch("ritorno_ingest(-.+)?", ingest["job_name"])
