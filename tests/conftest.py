"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, settings

from agents.mail.message import render
from agents.mail.templates.compiler import TemplateCompiler
from tests.broker import fresh_broker, kafka_broker, kafka_jars
from tests.examples import NIGHT

__all__ = ["fresh_broker", "kafka_broker", "kafka_jars"]

# No clock of Hypothesis' own: a machine that is busy elsewhere must not make a test fail. CI has
# the same examples in every run; the night (`make test-slow`) has others each time, and more.
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "night",
    deadline=None,
    max_examples=NIGHT * settings.default.max_examples,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")

# Workers ask no name server here; `tests/mail/test_mail_hosts.py` has one of its own.
os.environ["RITORNO_MAIL_PROVIDER_LOOKUP"] = "false"

SPREAD = "tests/simulation/"
"""Where each test stands alone; elsewhere those of a file share what they have prepared."""


@pytest.hookimpl(tryfirst=True)  # xdist writes the groups into the tests' names in this hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together when several processes share the work (`--dist loadgroup`), and
    let those begin first that take longest.

    All on real Kafka stay together: one broker serves them, and a second would want half a
    gigabyte. Those that stand alone come last and fill the time that is left at the end.
    """
    for item in items:
        if item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.xdist_group("kafka"))
        elif not item.nodeid.startswith(SPREAD):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("kafka") is not None:
        return 0
    if item.nodeid.startswith(SPREAD):
        return 3
    return 1 if item.get_closest_marker("processes") or item.get_closest_marker("data") else 2


MOST_LIBRARIES = 4
"""The shipped mails, and those of a test beside them."""

_libraries: dict[tuple[tuple[str, str], ...], TemplateCompiler] = {}


def _compiled_once(sources: Mapping[str, str]) -> TemplateCompiler:
    key = tuple(sorted(sources.items()))
    if key not in _libraries:
        if len(_libraries) == MOST_LIBRARIES:
            del _libraries[next(iter(_libraries))]
        _libraries[key] = TemplateCompiler(sources)
    return _libraries[key]


# The mails of a directory are compiled once for all workers of this process, also for those that
# test modules have when they are imported: it takes two seconds each time, and from the same files
# comes the same.
render.TemplateCompiler = _compiled_once  # type: ignore[assignment,misc]
