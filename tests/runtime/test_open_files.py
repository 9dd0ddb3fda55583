"""The ports leave enough files for the rest of a worker."""

from __future__ import annotations

import resource

import pytest
from structlog.testing import capture_logs

from streams.runtime import open_files
from streams.runtime.open_files import (
    WANTED,
    door_limits,
    raised,
    reserve,
    shares,
    wanted_doors,
)
from streams.settings import Settings


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limit of this process, soft and hard, which the test sets."""
    limits = [(1_024, 4_096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.append(both))
    return limits


def test_the_limit_is_raised_as_far_as_needed_and_allowed(limit: list[tuple[int, int]]) -> None:
    assert raised(2_000) == 2_000
    assert limit[-1] == (2_000, 4_096)
    assert raised(1_000) == 2_000
    assert raised(10_000) == 4_096
    limit.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert raised(10_000) == 10_000
    limit.append((1_024, resource.RLIM_INFINITY))
    assert raised(10_000) == 10_000


def test_a_limit_below_what_the_system_tells_is_lived_with(
    limit: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, both: tuple[int, int]) -> None:
        raise ValueError(both)

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raised(2_000) == 1_024


def test_the_reserve_counts_relays_and_stores() -> None:
    one = Settings(store="memory")
    two = Settings(store="memory", smtp_url="smtp://a.example, smtp://b.example")
    assert reserve(two, 8) - reserve(one, 8) == one.smtp_connections
    stored = Settings()
    assert reserve(stored, 8) - reserve(one, 8) == 64 * 2 * 8


@pytest.mark.parametrize("allowed", [64, 256, 1_024, 4_096, 65_536])
def test_no_port_takes_what_is_reserved(allowed: int) -> None:
    doors = shares(allowed, 500)
    taken = sum(each.connections for each in doors)
    assert taken <= max(allowed - 500, allowed // 4)
    assert all(each.connections > 0 for each in doors)
    assert doors.public.connections <= WANTED.public.connections
    assert doors.public.body_bytes == WANTED.public.body_bytes
    if allowed > 4_000:
        assert doors == WANTED


def test_too_low_a_limit_is_told(limit: list[tuple[int, int]]) -> None:
    settings = Settings()
    wanted = wanted_doors(settings)
    with capture_logs() as logs:
        doors = door_limits(settings, 4)
    assert doors == wanted
    assert (doors.public, doors.ingest.connections) == (WANTED.public, 0)
    assert logs == []
    limit.append((1_024, 1_024))
    with capture_logs() as logs:
        doors = door_limits(settings, 4)
    assert doors.public.connections < WANTED.public.connections
    (line,) = logs
    assert (line["limit"], line["public"]) == (1_024, doors.public.connections)
    assert line["wanted"] == reserve(settings, 4) + sum(each.connections for each in wanted)
    assert open_files.OTHER_FILES > 0


def test_an_ingest_port_has_places_of_its_own_where_it_is_opened() -> None:
    assert wanted_doors(Settings(ingest_bind="127.0.0.1:8090")) == WANTED
