"""Replay of a file by several processes, each with some of the partitions.

Which lines a partition gets is known beforehand (`streams/tools/replay_dealing.py`), and nobody
speaks to another partition, so the processes run side by side and the outcome is the same for any
number of them. It differs from a replay as one partition only as any log does from one with another
number of partitions: a timer that is due within the same second in which another customer's event
happens fires at that second's end, if that customer is in another partition.

A link's actor is where those are who have the link in common. Coupon pools are actors that all
customers speak to. Where one is asked, where a link turns out to be in two partitions, or anybody
else speaks across partitions, the file is replayed as one partition, by one process.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from agents.definitions.published import Definitions
from agents.links.names import is_link
from schemas.events import Event
from schemas.validation import checked_time
from streams.runtime import gc_tuning
from streams.tools.replay import replay_file
from streams.tools.replay_dealing import EVERYBODY, PARTITIONS, Dealer
from streams.tools.replayed_file import FileLog
from streams.tools.replayed_partition import COLLECT_EVERY, ODD_SHOWN, Outcome

SECONDS = 0.2
"""Between two looks at how far the processes are."""

OnLines = Callable[[int], None]


class CrossesPartitions(Exception):
    """Somebody has spoken to somebody of another partition."""


class ReplayFile(NamedTuple):
    """A file that each process opens for itself, so that nobody holds it."""

    open: Callable[[], AbstractContextManager[Iterable[bytes]]]
    """Opens it; yields every line, blank ones too."""


def replay_side_by_side(
    source: ReplayFile,
    jobs: int,
    *,
    until: int,
    definitions: Definitions,
    live: Mapping[str, str],
    report: OnLines | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Replay as `replay_file` does, as `PARTITIONS` partitions and by `jobs` processes.

    `report` is called with the number of lines that the slowest process has read; `told` with what
    a person should know. Raises ReplayError.
    """
    with source.open() as lines:
        dealer = Dealer(lines)
    play = _Play(source, dealer, until, definitions, live)
    try:
        if jobs == 1:
            outcomes = [play.partitions(range(PARTITIONS), report or (lambda _: None))]
        else:
            outcomes = _in_processes(play, min(jobs, PARTITIONS), report)
        return _joined(outcomes)
    except CrossesPartitions as across:
        told(f"{across}: the file is replayed as one partition, by one process")
        with source.open() as lines:
            return replay_file(
                lines, until=until, definitions=definitions, live=live, report=report
            )


class _Play(NamedTuple):
    """What each process is given; by fork, so nothing is copied."""

    source: ReplayFile
    dealer: Dealer
    until: int
    definitions: Definitions
    live: Mapping[str, str]

    def partitions(self, numbers: Iterable[int], report: OnLines) -> Outcome:
        """Play some of the partitions. Raises CrossesPartitions, ReplayError."""
        outcome = Outcome()
        logs = {number: self._log(number, outcome) for number in numbers}
        latest: Any = None
        with self.source.open() as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    partition, time = self.dealer.deal(line)
                    if partition == EVERYBODY:
                        for each, log in logs.items():
                            log.take_line(
                                number, line, since=self._instant(latest), counts=each == 0
                            )
                    elif partition in logs:
                        since = 0 if time is not None else self._instant(latest)
                        logs[partition].take_line(number, line, since=since)
                    latest = latest if time is None else time
                if number % COLLECT_EVERY == 0:
                    report(number)
        for log in logs.values():
            log.finish()
        return outcome

    def _instant(self, text: Any) -> int:
        """Return the instant of the line before, 0 when it tells none."""
        return checked_time("time", text, self.definitions.notation, [], needed=False) or 0

    def _log(self, partition: int, outcome: Outcome) -> FileLog:
        def near(event: Event) -> None:
            if is_link(event.customer):
                _see_that_it_is_one(outcome.links, event.customer, partition)
            elif self.dealer.home(event.customer) != partition:
                raise CrossesPartitions(f"{event.type} goes from one partition to another")

        return FileLog(
            self.until, self.definitions, self.live, outcome, partition=partition, tells=near
        )


def _see_that_it_is_one(links: dict[str, int], link: str, partition: int) -> None:
    """A link's actor is in a partition; raise CrossesPartitions when it is in another one, too."""
    if links.setdefault(link, partition) != partition:
        raise CrossesPartitions("an address, a cart or a checkout is of several partitions")


_play: _Play
"""Of this process, which is one of `_in_processes`."""
_lines_read: Any


def _in_processes(play: _Play, jobs: int, report: OnLines | None) -> list[Outcome]:
    context = multiprocessing.get_context("fork")
    read = context.Array("q", jobs, lock=False)
    with ProcessPoolExecutor(jobs, context, _begin, (play, read)) as pool:
        running = [pool.submit(_part, number, jobs) for number in range(jobs)]
        try:
            for _ in _waiting(running):
                if report is not None:
                    report(min(read))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        return [each.result() for each in running]


def _waiting(running: list[Future[Outcome]]) -> Iterator[None]:
    """Yield from time to time until all are done. Raises what one of them has raised, at once."""
    while True:
        done, left = wait(running, timeout=SECONDS, return_when=FIRST_EXCEPTION)
        for each in done:
            each.result()
        if not left:
            return
        yield


def _begin(play: _Play, read: Any) -> None:
    global _play, _lines_read  # how a pool's process is given what it works on
    _play, _lines_read = play, read
    gc_tuning.search_less()


def _part(number: int, jobs: int) -> Outcome:
    def report(lines: int) -> None:
        _lines_read[number] = lines

    return _play.partitions(range(number, PARTITIONS, jobs), report)


def _joined(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome of all. Raises CrossesPartitions."""
    whole = Outcome()
    for each in outcomes:
        for link, partition in each.links.items():
            _see_that_it_is_one(whole.links, link, partition)
        whole.commands += each.commands
        whole.decisions += each.decisions
        whole.refusals += each.refusals
        whole.customers |= each.customers
        whole.events += each.events
        whole.after_until += each.after_until
        whole.believed += each.believed
        whole.odd += each.odd
        whole.undeclared += each.undeclared
        for kind, examples in each.odd_examples.items():
            found = whole.odd_examples.setdefault(kind, [])
            found += examples
    for examples in whole.odd_examples.values():
        examples.sort(key=lambda example: _line(example[0]))
        del examples[ODD_SHOWN:]
    whole.refusals.sort(key=lambda refusal: (_line(refusal[0]), refusal))
    return whole


def _line(where: str) -> int:
    return int(where.rpartition(" ")[2])
