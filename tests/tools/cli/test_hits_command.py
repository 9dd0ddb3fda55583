"""`ritorno hits` on facts as pages and actors write them."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from schemas.records import OutRecord
from schemas.topics import FACTS
from streams.clock import SystemClock
from streams.runtime.factories import log_from
from streams.settings.loading import load_settings
from streams.topology import topics
from tests.insights.test_engagement_statistics import decision, hit
from tests.tools.cli.conftest import Ritorno

NOW = SystemClock().now()
DAY_MS = 86_400_000


def append(*facts: BaseModel | bytes) -> None:
    async def run() -> None:
        log = log_from(load_settings())
        await log.start()
        await log.create_topics(topics(2))
        values = [each if isinstance(each, bytes) else each.model_dump_json(by_alias=True).encode()
                  for each in facts]  # fmt: skip
        await log.append(FACTS, 0, [OutRecord(b"w06", value) for value in values[::2]])
        await log.append(FACTS, 3, [OutRecord(b"w06", value) for value in values[1::2]])
        await log.stop()

    asyncio.run(run())


def facts(time: int = NOW) -> list[Any]:
    return [
        decision("m1", time=time),
        decision("m2", time=time),
        hit(time=time),
        hit(time=time),
        hit(time=time, kind="click", link=2),
        hit(time=time, verdict="machine", why="scanner", kind="click", link=1),
        hit(time=time, verdict="unknown", why="image_proxy"),
        hit(time=time, workflow="w11", step="thanks"),
    ]


def test_openings_and_clicks_of_each_step(ritorno: Ritorno) -> None:
    append(*facts(), b"no fact at all", b'{"fact": "mail.hit"}', b"[]", b'{"fact": "kpi"}')
    done = ritorno("hits")
    assert (done.code, [line.split() for line in done.out.splitlines()]) == (0, [
        ["workflow", "step", "decided", "opened", "clicked", "perhaps", "machines", "links"],
        ["w06", "s1", "2", "2", "1", "1", "1", "2:1"],
        ["w11", "thanks", "0", "1", "0", "0", "0"],
    ])  # fmt: skip
    assert "counted each" in done.err


def test_a_program_gets_all_of_it(ritorno: Ritorno) -> None:
    append(*facts())
    (only,) = ritorno("hits", "w06", "--json").json
    assert only == {
        "workflow": "w06",
        "step": "s1",
        "decided": 2,
        "opens": {"human": 2, "machine": 0, "unknown": 1},
        "clicks": {"human": 1, "machine": 1, "unknown": 0},
        "links": {"2": 1},
        "anonymous": 5,
    }


def test_only_the_last_days(ritorno: Ritorno) -> None:
    append(*facts(NOW - 8 * DAY_MS), hit(time=NOW - 6 * DAY_MS))
    (only,) = ritorno("hits", "--days", "7", "--json").json
    assert (only["decided"], only["opens"]["human"]) == (0, 1)


def test_where_nobody_shares_a_link_nothing_is_said_of_that(ritorno: Ritorno) -> None:
    append(hit(time=NOW, mode="pseudonymous", mail="aa", person="bb"))
    assert ritorno("hits").err == ""


def test_mistakes_are_one_clear_line(ritorno: Ritorno) -> None:
    append()
    assert ritorno("hits").out == "No mail has been decided or opened yet.\n"
    append(*facts())
    done = ritorno("hits", "w99")
    assert (done.code, done.err) == (
        2, "ritorno: no mail of a workflow 'w99' was decided or opened; known: w06, w11\n",
    )  # fmt: skip
