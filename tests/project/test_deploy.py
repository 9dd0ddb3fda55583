"""What can be known of the deployment without a container: containers can't be started here.

`compose-spec.json` is the schema of the Compose specification as the package docker-compose 1.29.2
ships it (Apache-2.0); it is older than today's Compose, so a file that passes is read by both.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streams.settings import Settings
from streams.settings.sources import PREFIX

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_compose_file_follows_the_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_schema_would_notice() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    broken = {"services": {"a": {"image": "x", "healtcheck": {}}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_a_health_check_and_a_fixed_image(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"].get("test") or service["healthcheck"].get("disable")
    assert "build" in service or ":" in service["image"]
    assert not service.get("image", "").endswith(":latest")


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_limits_of_memory_and_processors(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert re.fullmatch(r"\d+M", limits["memory"])
    assert 0 < float(limits["cpus"]) <= 2


@pytest.mark.parametrize("name", ["topics", "worker-1", "worker-2", "ingest"])
def test_workers_are_set_by_settings_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES[name]["environment"]
    unknown = [
        key for key in environment if key.removeprefix(PREFIX).lower() not in Settings.model_fields
    ]
    assert not unknown
    for key, value in environment.items():
        monkeypatch.setenv(key, value.partition(":-")[2].rstrip("}") if "${" in value else value)
    assert Settings().bootstrap_servers == ["kafka:9092"]


def test_services_wait_for_services_that_exist() -> None:
    for service in SERVICES.values():
        assert service.get("depends_on", {}).keys() <= SERVICES.keys()
    conditions = SERVICES["worker-1"]["depends_on"]
    assert conditions["topics"]["condition"] == "service_completed_successfully"


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_dir(), source
            else:
                assert source in COMPOSE["volumes"]


def test_image_is_built_from_what_is_sent_and_runs_without_rights() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    sent = (ROOT / ".dockerignore").read_text()
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}\n" in sent
    assert dockerfile.count("\nFROM ") == 2
    assert "\nUSER 10001\n" in dockerfile
    assert dockerfile.count("--require-hashes") == 2  # what runs, and what builds it
    for line in dockerfile.splitlines():
        if "pip install" in line:
            assert "--require-hashes" in line or "--no-index" in line


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


def test_make_explains_itself() -> None:
    listed = make().stdout
    for target in ("setup", "demo", "test", "lint", "types", "bench", "soak", "clean"):
        assert f"make {target} " in listed


def test_make_says_which_python_is_missing(tmp_path: Path) -> None:
    done = make("setup", f"VENV={tmp_path / 'venv'}", "PYTHON=/nowhere/python3")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_says_what_to_install_where_python_has_no_ensurepip(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    # As Debian's python3 without python3-venv: new enough, but ensurepip can't be imported.
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    python.chmod(0o755)
    done = make("setup", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}")
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr


def test_ci_is_strict_and_names_no_host() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    for text in (script, (ROOT / "Makefile").read_text(), (ROOT / "constraints.txt").read_text()):
        assert "://" not in text
