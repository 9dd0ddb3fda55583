"""The long fault run: `make soak`. Prints what it does and finds; the first flaw ends it.

python -m tests.faults.soak [--faults 100] [--seed 1] [--events 6000]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from streams.runtime.logs.kafka import KafkaLog
from tests.broker import KafkaBroker, jars
from tests.faults.run import Run


async def on_a_broker_of_its_own(
    faults: list[str], seed: int, events: int, directory: Path
) -> Counter[str]:
    """Run `faults` and return the verified counts."""
    broker = KafkaBroker(jars(), directory)
    try:
        await asyncio.to_thread(broker.start)
        return await soak(broker, faults, seed, events, directory)
    finally:
        await asyncio.to_thread(broker.kill)


async def soak(
    broker: KafkaBroker, faults: list[str], seed: int, events: int, directory: Path
) -> Counter[str]:
    """Run `faults` against a broker without our topics and return the verified counts."""
    log = KafkaLog([broker.bootstrap])
    try:
        await log.start()
        run = Run(
            log=log,
            broker=broker,
            directory=directory,
            bootstrap=broker.bootstrap,
            seed=seed,
            say=lambda text: print(f"{time.strftime('%H:%M:%S')} {text}", flush=True),
        )
        return await run.go(faults, events)
    finally:
        await log.stop()


def main() -> None:
    """Read the options, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=6_000, help="unique events during each fault")
    options = parser.parse_args()
    order = list(Run.FAULTS) * (options.faults // len(Run.FAULTS) + 1)
    random.Random(options.seed).shuffle(order)
    directory = Path(tempfile.mkdtemp(prefix="ritorno-soak-"))
    began = time.monotonic()
    try:
        tally = asyncio.run(
            on_a_broker_of_its_own(order[: options.faults], options.seed, options.events, directory)
        )
    except BaseException:
        print(f"FAILED. Seed {options.seed}; logs and data are kept in {directory}", flush=True)
        raise
    shutil.rmtree(directory)
    for name, count in sorted(tally.items()):
        print(f"  {name:22} {count}")
    seconds = time.monotonic() - began
    print(f"verified: {options.faults} faults, seed {options.seed}, {seconds:.0f} s")
    sys.exit(0)


if __name__ == "__main__":
    main()
