"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, settings

from agents.mail.templates.compiler import TemplateCompiler
from tests.broker import fresh_broker, kafka_broker, kafka_jars

__all__ = ["fresh_broker", "kafka_broker", "kafka_jars"]

# The same examples in every run, and no clock of Hypothesis' own: a machine that is busy elsewhere
# must not make a test fail. `--hypothesis-profile=default` looks further than these.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

# Workers ask no name server here; `tests/mailer/test_mail_hosts.py` has one of its own.
os.environ["RITORNO_MAIL_PROVIDER_LOOKUP"] = "false"

SPREAD = "tests/simulation/"
"""Where each test stands alone; elsewhere those of a file share what they have prepared."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together when several processes share the work (`--dist loadgroup`).

    All on real Kafka do: one broker serves them, and a second would want half a gigabyte.
    """
    for item in items:
        if item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.xdist_group("kafka"))
        elif not item.nodeid.startswith(SPREAD):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


MOST_LIBRARIES = 4
"""The shipped mails, and those of a test beside them."""


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """The mails of a directory are compiled once for all workers of this process: it takes more
    than a second each time, and from the same files comes the same."""
    known: dict[tuple[tuple[str, str], ...], TemplateCompiler] = {}

    def library(sources: Mapping[str, str]) -> TemplateCompiler:
        key = tuple(sorted(sources.items()))
        if key not in known:
            if len(known) == MOST_LIBRARIES:
                del known[next(iter(known))]
            known[key] = TemplateCompiler(sources)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agents.mail.message.render.TemplateCompiler", library)
        yield
