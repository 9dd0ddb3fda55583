"""Stock Faust: an agent that decodes each event and increments a `Table`; default settings.

    python -m benchmarks.peers.stock_faust HOST:PORT TOPIC EVENTS SECONDS

Prints one line of JSON (see `benchmarks/pace.py`) when it has seen enough, and is ended by whoever
started it: Faust itself needs up to a minute to stop.
"""

from __future__ import annotations

import sys
from typing import Any

import faust
from faust.worker import Worker

from benchmarks.pace import Pace


def app_for(server: str, topic: str, pace: Pace) -> Any:
    """Return the app. Everything is at Faust's defaults but what lets it run here at all."""
    app = faust.App(
        "bench-stock",
        broker=f"kafka://{server}",
        topic_replication_factor=1,  # there is one broker
        topic_partitions=8,  # a table needs as many as its source topic
        web_enabled=False,  # it would listen on 0.0.0.0:6066
    )
    counts = app.Table("counts", default=int)
    seen, told = 0, False

    @app.agent(app.topic(topic, key_type=str, value_serializer="json"))  # type: ignore[untyped-decorator]  # Faust is untyped
    async def count(events: Any) -> None:
        nonlocal seen, told
        async for customer, _ in events.items():  # noqa: PERF102  # a stream, not a dict
            counts[customer] += 1
            seen += 1
            if told:
                continue
            pace.reached(seen)
            if pace.over:
                told = True
                # Faust has put its logger into the place of sys.stdout.
                print(pace.as_json(), file=sys.__stdout__, flush=True)

    return app


if __name__ == "__main__":
    server, topic, events, seconds = sys.argv[1:]
    app = app_for(server, topic, Pace(int(events), float(seconds)))
    Worker(app, loglevel="warning").execute_from_commandline()
