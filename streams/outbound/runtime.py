"""Everything outbound of a worker: reads the files, follows for each outlet, and follows changes.

A worker delivers what lies in the partitions whose customers it has; on another partition's
handover the next owner goes on where this one was. A CRM is polled by the worker that has the first
partition. The files are looked at every second: what is added, changed or taken away needs no
restart, and a file that can't be used changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from schemas.failures import InputError
from schemas.signing import RecordSigner
from schemas.time_units import DAY_MS
from streams.clock import Clock
from streams.http.ingest.intake import Intake
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.outbound.counts import OutboundCounts
from streams.outbound.crm_file import Crm, read_crm
from streams.outbound.crm_outlet import AddressOf, CrmOutlet
from streams.outbound.crm_polling import CrmPolling
from streams.outbound.follower import Follower, Outlet
from streams.outbound.following import following_of
from streams.outbound.subscriptions import WebhookSubscription, read_subscriptions
from streams.outbound.webhooks import WebhookOutlet, weak_secrets
from streams.replaced_file import FileStamp, stamp_of
from streams.runtime.background import kept_up

LOOK_SECONDS = 1.0

AGAIN_MS = DAY_MS
"""Positions are committed anew so often: a broker forgets those of a quiet week."""

_log = get_logger(__name__)

Place = tuple[str, int]
_Key = TypeVar("_Key")
_Poll = Callable[[], Awaitable[None]]


class OutboundFiles(NamedTuple):
    """Where it is said what goes where."""

    webhooks: Path
    crm: Path


class _Spec(NamedTuple):
    """An outlet that there is to be."""

    name: str
    group: str
    make: Callable[[], Outlet]


class _Running:
    """One outlet, and who follows for it."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.tasks: dict[Place, asyncio.Task[None]] = {}


class Outbound:
    """Runs beside the log. `start`, then `stop`."""

    def __init__(
        self,
        *,
        log: Log,
        group: str,
        files: OutboundFiles,
        data_dir: Path,
        signer: RecordSigner,
        clock: Clock,
        owned: Callable[[], Collection[int]],
        counts: OutboundCounts,
        address_of: AddressOf,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`group`: what the groups' names begin with, the workers' own. `owned`: the partitions
        that are this worker's now. `data_dir`: where it is kept how far a CRM was read.
        `address_of`: of a customer of one of these partitions."""
        self._log = log
        self._group = group
        self._files = files
        self._data_dir = data_dir
        self._signer = signer
        self._clock = clock
        self._owned = owned
        self._counts = counts
        self._address_of = address_of
        self._pause = pause
        self._intake = Intake(log)
        self._seen: list[FileStamp | None] = []
        self._crms: Collection[Crm] = ()
        self._webhooks: Collection[WebhookSubscription] = ()
        self._specs: dict[str, _Spec] = {}
        """By all that is said of one, so that another text is another outlet."""
        self._polls: dict[str, _Poll] = {}
        self._running: dict[str, _Running] = {}
        self._polling: dict[str, asyncio.Task[None]] = {}
        self._again = clock.now() + AGAIN_MS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Raises OperatorFileError for a file that can't be used."""
        self._read()
        self._task = asyncio.create_task(kept_up("outbound", self._watch), name="outbound")

    async def stop(self) -> None:
        """Stop; what is on its way is told again at the next start. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        await _cancelled([task])
        await _cancelled(list(self._polling.values()))
        self._polling.clear()
        await self._intake.stop()
        for key in list(self._running):
            await self._end(key)

    async def _watch(self) -> None:
        while True:
            await self._adjust()
            await self._pause(LOOK_SECONDS)
            try:
                self._read()
            except InputError as error:
                _log.error("what is outbound goes on as before", problem=str(error))

    def _read(self) -> None:
        """Read the files if they are others. Raises OperatorFileError, once."""
        seen = [stamp_of(path) for path in self._files]
        if seen == self._seen:
            return
        self._seen = seen
        crms = read_crm(self._files.crm, again=bool(self._crms))
        webhooks = read_subscriptions(self._files.webhooks, again=bool(self._webhooks))
        self._crms, self._webhooks = crms, webhooks
        for problem in (each for webhook in webhooks for each in weak_secrets(webhook)):
            _log.warning("a webhook's secret is weak", problem=problem)
        self._specs = {
            **{f"webhook {each!r}": self._of_webhook(each) for each in webhooks},
            **dict(self._of_crms(crms)),
        }
        self._polls = dict(self._polls_of(crms))

    def _of_webhook(self, each: WebhookSubscription) -> _Spec:
        make = partial(
            WebhookOutlet, each, signer=self._signer, clock=self._clock, counts=self._counts
        )
        return _Spec(each.name, webhook_group(self._group, each.name), make)

    def _of_crms(self, crms: Collection[Crm]) -> Iterator[tuple[str, _Spec]]:
        for each in crms:
            if each.write is not None:
                make = partial(
                    CrmOutlet, each, each.write, signer=self._signer, clock=self._clock,
                    counts=self._counts, address_of=self._address_of,
                )  # fmt: skip
                yield f"crm {each!r}", _Spec(each.name, crm_group(self._group, each.name), make)

    def _polls_of(
        self, crms: Collection[Crm]
    ) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        for crm in crms:
            for reading in crm.read:
                polling = CrmPolling(
                    crm, reading, self._intake, clock=self._clock, data_dir=self._data_dir,
                    is_ours=lambda: 0 in self._owned(),
                )  # fmt: skip
                yield f"{crm.name} {crm.url} {crm.token} {reading!r}", polling.run

    async def _adjust(self) -> None:
        """Follow for the outlets that there are, in the partitions that are ours."""
        for key in self._running.keys() - self._specs.keys():
            await self._end(key)
        owned = self._owned()
        for key, spec in self._specs.items():
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = _Running(self._follower(spec))
            follower = running.follower
            wanted = {(topic, number) for topic in follower.outlet.topics for number in owned}
            gone = running.tasks.keys() - wanted
            await _let_go(running.tasks, wanted)
            follower.forget(gone)
            for place in wanted - running.tasks.keys():
                running.tasks[place] = asyncio.create_task(
                    kept_up("outbound", partial(follower.follow, *place))
                )
        await _let_go(self._polling, self._polls)
        for key in self._polls.keys() - self._polling.keys():
            self._polling[key] = asyncio.create_task(kept_up("outbound", self._polls[key]))
        if self._clock.now() >= self._again:
            self._again = self._clock.now() + AGAIN_MS
            for running in self._running.values():
                await running.follower.commit(again=True)

    def _follower(self, spec: _Spec) -> Follower:
        outlet = spec.make()
        return Follower(
            outlet,
            log=self._log,
            following=following_of(self._log, spec.group, outlet.topics),
            signer=self._signer,
            clock=self._clock,
            counts=self._counts,
        )

    async def _end(self, key: str) -> None:
        running = self._running.pop(key)
        await _let_go(running.tasks, ())
        name = running.follower.outlet.name
        self._counts.end(name)
        try:
            await running.follower.close()
        except LogError as error:
            _log.warning("how far a webhook or CRM was is not noted, the last messages come again",
                         outlet=name, error=str(error))  # fmt: skip


def webhook_group(group: str, name: str) -> str:
    """Return the group under which a webhook's positions are kept. `group`: the workers'."""
    return f"{group}-webhook-{name}"


def crm_group(group: str, name: str) -> str:
    """Return the group under which a CRM's positions are kept. `group`: the workers'."""
    return f"{group}-crm-{name}"


async def _let_go(tasks: dict[_Key, asyncio.Task[None]], kept: Collection[_Key]) -> None:
    await _cancelled([tasks.pop(key) for key in list(tasks) if key not in kept])


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
