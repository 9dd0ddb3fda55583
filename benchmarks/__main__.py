"""Measure: `python -m benchmarks [SUITE …]`, all of them without a name.

    kafka      events/s through the whole worker on real Kafka, and its peers
    embedded   the same on the embedded log
    mails      events/s and mails/s with customers who get mail, on real Kafka
    assembly   mails/s rendered, built and signed on one core, and a peer
    distance   mails/s to a relay that is 20 ms away
    backlog    100,000 mails wait for a relay 20 ms away, and receipts overtake them
    recovery   kept records/s, and the first event after a kill -9
    takeover   one of two workers is killed with -9: when the other goes on with its events
    rolling    two workers are updated one after the other: for how long each partition pauses
    explain    one customer's decisions among a million, on real Kafka
    replay     events/s of a file
    standing   the same with fifteen segments and five time triggers, and without any
    catalogue  the same with every shipped workflow live, and with the first three
    cost       processor time an event, stage by stage, and json.loads of the same records
    memory     bytes per customer
    written    bytes that an event writes, by topic
    timers     a million customers whose step is due within ten minutes: how late it is done
    million    a million customers come back to a worker with an empty data directory
    visitors   what visitors cost of whom nothing is known, and how they are forgotten
    imports    a million rows of orders and of customers, and a product feed of 100 MB
    idle       what a shop in which nothing happens writes in a day
    connect    a burst of 1,000 webhooks, and 100,000 orders of a shop's history
    mappings   foreign records/s mapped into our log, and the worker on the same events
    ingest     calls by HTTP beside a bare aiohttp answer, and batches beside the log's own append
    insights   facts/s into the store, and questions among twenty million facts
    sale       the longest wait for an answer while a sale, held mails and a workflow come at once

Writes `benchmarks/results.json`. Broker, workers and peers share this machine's cores, so close
whatever else needs them.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import (
    assembly,
    backlog,
    big_sale,
    catalogue,
    connecting,
    cost,
    distance,
    explaining,
    footprint,
    idle,
    importing,
    ingesting,
    insights,
    machine,
    mapping,
    million,
    recovery,
    replaying,
    results,
    rolling,
    standing,
    takeover,
    throughput,
    timers,
    visitors,
    written,
)
from benchmarks.machine import NoBroker
from benchmarks.pace import Measured
from benchmarks.results import Result
from benchmarks.say import Say, progress_output

SUITES = ("kafka", "embedded", "mails", "assembly", "distance", "backlog", "recovery",
          "takeover", "rolling", "explain", "replay", "standing", "catalogue", "cost", "memory",
          "written", "imports", "visitors", "idle", "timers", "million", "connect", "sale",
          "mappings", "ingest", "insights")  # fmt: skip

IN_THIS_PROCESS: Mapping[str, Callable[[Path, Say], list[Result]]] = {
    "assembly": lambda _, say: assembly.measure(say),
    "replay": replaying.measure,
    "standing": standing.measure,
    "catalogue": catalogue.measure,
    "cost": lambda _, say: cost.measure(say),
    "timers": lambda _, say: timers.measure(say),
    "written": lambda _, say: written.measure(say),
    "imports": importing.measure,
    "insights": insights.measure,
}
"""Suites without a log, by name."""

WITHOUT_A_BROKER: Mapping[str, Callable[[Path, Say], Awaitable[list[Result]]]] = {
    "distance": lambda _, say: distance.measure(say),
    "backlog": backlog.measure,
    "ingest": ingesting.measure,
    "memory": footprint.measure,
    "visitors": visitors.measure,
    "connect": connecting.measure,
}
"""Suites that make what they need themselves."""


ON_KAFKA: Mapping[str, Callable[[machine.Machine, Say], Awaitable[list[Result]]]] = {
    "mails": throughput.mails,
    "recovery": recovery.measure,
    "takeover": takeover.measure,
    "rolling": rolling.measure,
    "explain": explaining.measure,
    "sale": big_sale.measure,
    "mappings": mapping.measure,
}
"""Suites that need nothing but a worker on a real broker."""


async def measure(suites: Sequence[str], say: Say) -> tuple[list[Result], dict[str, str]]:
    """Run `suites` in order, each on a fresh log; return what they have found, and by suite why it
    has found nothing. Raises NoBroker."""
    found: list[Result] = []
    failed: dict[str, str] = {}
    peers: dict[str, Measured] = {}
    for suite in suites:
        try:
            found += await _one(suite, peers, say)
        except NoBroker:
            raise
        except Exception as error:  # of hours: what the others find is not lost with it
            failed[suite] = repr(error)
            say(f"{suite} has failed: {error!r}")
    return found, failed


async def _one(suite: str, peers: dict[str, Measured], say: Say) -> list[Result]:
    """Run one suite; `peers` are the paces of others on Kafka, as far as they are known."""
    with machine.scratch() as directory:
        if suite in IN_THIS_PROCESS:
            rows = IN_THIS_PROCESS[suite](directory, say)
        elif suite in WITHOUT_A_BROKER:
            rows = await WITHOUT_A_BROKER[suite](directory, say)
        elif suite in ON_KAFKA:
            async with machine.broker(directory) as here:
                rows = await ON_KAFKA[suite](here, say)
        elif suite == "kafka":
            async with machine.broker(directory) as here:
                rows, found = await throughput.kafka(here, say)
                peers |= found
        elif suite == "embedded":
            async with machine.embedded(directory) as here:
                rows = await throughput.embedded(here, say, peers)
        elif suite == "million":
            async with machine.embedded(directory) as here:
                rows = await million.measure(here, say)
        else:
            rows = await idle.embedded(directory / "shop", say)
            async with machine.broker(directory) as here:
                rows += await idle.kafka(here, directory / "kafka", say)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was named; returns the exit code."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    wanted = parser.parse_args(arguments).suites
    if unknown := set(wanted) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    suites = [suite for suite in SUITES if not wanted or suite in wanted]
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with progress_output(console) as say:
            found, failed = asyncio.run(measure(suites, say))
    except NoBroker as error:
        console.print(f"Kafka can't be run here: {error}. Without it: "
                      "python -m benchmarks embedded assembly distance backlog "
                      "replay standing catalogue cost memory timers million")  # fmt: skip
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        return 130
    results.write(found)
    results.show(found, console)
    console.print(f"written to {results.FILE}", soft_wrap=True)
    for suite, why in failed.items():
        console.print(f"{suite} has failed, its figures are missing: {why}", soft_wrap=True)
    return 1 if failed else 0


def _interrupt(*_: Any) -> None:
    """End as Ctrl-C does, so that every process is ended on the way out."""
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
