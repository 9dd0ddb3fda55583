"""Commands start at once: none imports what it doesn't need.

Timings lie on a shared machine, so this is about what is imported, each command in a process of its
own as a person calls it. What is heavy: Faust and aiokafka (0.6 s), aiohttp, the language of
conditions with its own command line, Jinja and MJML, and pydantic's models of what isn't asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.tools.cli.commands import COMMANDS, load

BROKER = {"aiokafka", "faust", "mode"}
HTTP = {"email_validator", "aiohttp", "aiosmtplib", "aiosmtpd", "dns"}
RULES = {"cel", "prompt_toolkit", "agents.rules.fields", "agents.customer.actor"}
MAILS = {"jinja2", "mrml", "css_inline", "babel", "cryptography"}
LOGS = {"structlog"}
SCREEN = {"rich"}
MODELS = {"pydantic", "schemas.events", "schemas.definitions", "streams.settings"}

HEAVY = BROKER | HTTP | RULES | MAILS | LOGS

EVENT = """{"type": "identify", "messageId": "1", "userId": "anna", "traits": {"name": "Anna"}}\n"""

# What a command may not import, beyond what none of those that run no worker may.
CALLS = {
    "--help": HEAVY | SCREEN | MODELS,
    "--version": HEAVY | SCREEN | MODELS,
    "worker --help": HEAVY | SCREEN | MODELS - {"pydantic"},
    "publish --help": HEAVY,
    "publish events.ndjson": HEAVY | {"schemas.definitions"},
    "topics": HEAVY | {"schemas.definitions", "schemas.events"},
    "customer show anna": HEAVY | {"schemas.definitions"},
    "explain anna": HEAVY - {"babel"},  # which reads what it says it in
    "replay --help": HEAVY,
    "privacy evidence anna": HEAVY,
    "privacy requests": HEAVY,
    "mail list": HEAVY,
    "mail pause": HEAVY,
    "hits": HEAVY,
    "experiments": HEAVY,
    "products list": HEAVY | {"schemas.definitions"},
    "dead-letters list": HEAVY,
    "suppressions list": HEAVY | {"schemas.definitions"},
    "import --help": HEAVY | {"schemas.definitions"},
    "bounces classify events.ndjson": HEAVY | {"schemas.definitions"},
    "dkim show": BROKER | HTTP | RULES | LOGS | {"schemas.definitions"},
    "workflows lint": BROKER | HTTP | MAILS | LOGS,
    "templates list": BROKER | HTTP | LOGS,
}

MOST_USED = {
    "--help",
    "worker --help",
    "publish events.ndjson",
    "customer show anna",
    "explain anna",
    "replay --help",
    "workflows lint",
}
"""In CI: each is a process of its own."""

SCRIPT = """
import sys
from streams.tools.cli import run_arguments
code = run_arguments(sys.argv[1:])
print(code, *sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with an embedded log."""
    directory = tmp_path_factory.mktemp("shop")
    (directory / "events.ndjson").write_text(EVENT)
    started(directory, "topics create")
    started(directory, "publish events.ndjson")
    yield directory


def started(directory: Path, call: str) -> set[str]:
    """Run a command in a process of its own and return which modules it has imported."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *call.split()],
        cwd=directory, env=environment | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code in ("0", "2"), done.stderr[:2000]  # 2: there is nothing to show
    return set(modules)


@pytest.mark.parametrize(
    "call",
    [each if each in MOST_USED else pytest.param(each, marks=pytest.mark.slow) for each in CALLS],
)
def test_a_command_imports_only_what_it_needs(shop: Path, call: str) -> None:
    assert started(shop, call) & CALLS[call] == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    assert load(name).help.splitlines()[0] == COMMANDS[name].summary


def test_a_name_that_is_nearly_right_is_told(shop: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from streams.tools.cli import main; main()", "publis"],
        cwd=shop, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean 'publish'?" in done.stderr
