"""A real Prometheus and a real Alertmanager for tests, where Debian's packages are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.ports import free_port

COMMANDS = ("promtool", "prometheus", "prometheus-alertmanager", "amtool")
MISSING = [command for command in COMMANDS if shutil.which(command) is None]

if MISSING and os.environ.get("RITORNO_REQUIRE_PROMETHEUS"):
    raise RuntimeError(f"RITORNO_REQUIRE_PROMETHEUS is set, but there is no {MISSING[0]}")

needs_prometheus = pytest.mark.skipif(
    bool(MISSING),
    reason=f"NO PROMETHEUS: {', '.join(MISSING)} (apt install prometheus prometheus-alertmanager)",
)


@contextmanager
def prometheus_server(directory: Path, config: Mapping[str, Any], *options: str) -> Iterator[str]:
    """Run a Prometheus with this configuration; its URL. It keeps its data in `directory`."""
    data = f"--storage.tsdb.path={directory / 'tsdb'}"
    with _server("prometheus", directory, config, data, *options) as url:
        yield url


@contextmanager
def alertmanager_server(directory: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Run an Alertmanager with this configuration, alone; its URL."""
    options = (f"--storage.path={directory / 'alertmanager'}", "--cluster.listen-address=")
    with _server("prometheus-alertmanager", directory, config, *options) as url:
        yield url


@contextmanager
def _server(
    command: str, directory: Path, config: Mapping[str, Any], *options: str
) -> Iterator[str]:
    path = shutil.which(command)
    assert path
    file, port = directory / f"{command}.yml", free_port()
    file.write_text(yaml.safe_dump(dict(config)))
    arguments: Sequence[str] = (
        path, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", *options
    )  # fmt: skip
    with (directory / f"{command}.log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


async def ask(http: aiohttp.ClientSession, url: str, path: str, **query: str) -> Any:
    """Return the data of an answer of Prometheus; None while it isn't there yet."""
    try:
        async with http.get(f"{url}/api/v1/{path}", params=query) as answer:
            body = await answer.json(content_type=None)
    except (aiohttp.ClientError, ValueError):
        return None
    assert answer.status != 400, body
    return body.get("data") if isinstance(body, dict) else None
