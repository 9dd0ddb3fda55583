"""What segments and time triggers cost: events of a file replayed with fifteen segments and five
time triggers, and without any, in turns on the same machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.definitions.published import Definitions
from benchmarks.results import Result, result
from benchmarks.say import Say
from benchmarks.throughput import SEED
from benchmarks.workload import NOON, Workload, as_line
from schemas.definitions import DEFINITION, canonical, version_of
from streams.tools.replay import replay_file

EVENTS = 50_000
ROUNDS = 3
"""Of each, in turns; the best counts, since nothing but other processes makes one slower."""

SEGMENTS: Mapping[str, Any] = {
    "new": {"orders.count": 1, "orders.last": {"within": "60d"}},
    "regulars": {"orders.count": {"at_least": 3}, "orders.per_month": {"at_least": 0.5}},
    "vip": {"any": [{"orders.net": {"at_least": 1000}}, {"orders.spent_30d": {"at_least": 500}}]},
    "small": {"orders.count": {"at_least": 2}, "orders.spent_per_month": {"at_most": 30}},
    "large-order": {"orders.largest": {"at_least": 200}},
    "above-fifty": {"orders.average": {"above": 50}},
    "dormant": {"orders.last": {"longer_ago_than": "180d"}},
    "left-cart": {"cart.items": {"above": 0}, "cart.changed": {"longer_ago_than": "1h"}},
    "window-shoppers": {"visits": {"at_least": 3}, "orders.count": 0},
    "offer-hunters": {"orders.coupon_share": {"at_least": 0.5}},
    "christmas": {"orders.months": {"in": [11, 12]}},
    "keen": {"scores.engagement": {"at_least": 20}},
    "silent": {"consents.marketing": True, "last_active": {"longer_ago_than": "90d"}},
    "shoes": {"interests.categories": {"contains": "calzature"}},
    "italy": {"profile.country": {"in": ["IT", "Italia"]}},
}
TRIGGERS: Sequence[Any] = (
    {"date": "profile.birthday"},
    {"date": "orders.first"},
    {"inactive": "orders", "for": "60d"},
    {"inactive": "interactions", "for": "90d"},
    {"score": "engagement", "below": 5},
)


def measure(directory: Path, say: Say) -> list[Result]:
    """Return the pace with segments and time triggers, beside the one without."""
    now, source = NOON, directory / "events.ndjson"
    with source.open("wb") as file:
        workload = Workload(seed=SEED, now=now)
        file.writelines(map(as_line, workload.signups()))
        file.writelines(map(as_line, workload.events(EVENTS)))
    lines = source.read_bytes().splitlines(keepends=True)
    paces: dict[str, float] = {"with": 0.0, "without": 0.0}
    for number in range(1, ROUNDS + 1):
        for name, best in paces.items():
            say(f"replaying {len(lines):,} events {name} segments, {number} of {ROUNDS}")
            definitions, live = _published(everything=name == "with")
            gc.collect()  # what the round before has left is not this one's
            began = time.perf_counter()
            replay_file(lines, until=now, definitions=definitions, live=live)
            paces[name] = max(best, len(lines) / (time.perf_counter() - began))
    return [
        result("replay.with_15_segments_5_watches", paces["with"], "events/s",
               "without any", paces["without"]),
    ]  # fmt: skip


def _published(*, everything: bool) -> tuple[Definitions, dict[str, str]]:
    scoring = {
        "id": "engagement", "definition": "scoring", "half_life": "30d",
        "points": {"product.viewed": 1, "page.viewed": 0.5, "order.completed": 10},
        "bands": [{"name": "cold", "from": 0}, {"name": "warm", "from": 5}],
    }  # fmt: skip
    listed = [{"id": id_, "if": condition} for id_, condition in SEGMENTS.items()]
    segments = {"id": "segments", "definition": "segments", "segments": listed}
    workflows = [
        {"id": f"w{number}", "definition": "workflow", "title": {"it": "x"}, "trigger": trigger,
         "entry": {"once_per": "event"}, "steps": [{"id": "tag", "tag": "x"}]}
        for number, trigger in enumerate(TRIGGERS)
    ]  # fmt: skip
    definitions, live = Definitions(), {}
    for content in [scoring, *((segments, *workflows) if everything else ())]:
        published = canonical(DEFINITION.validate_python(content))
        live[str(content["id"])] = version_of(published)
        definitions.add(version_of(published), published)
    return definitions, live
