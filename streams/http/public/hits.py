"""`/o/TOKEN` and `/c/TOKEN`: the pixel and the way to a page. Nobody waits for what is noted.

A click is answered at once and judged a second later, when it is known which other links of the
same mail were followed meanwhile. What is noted depends on the token and on what the shop allows
now, whichever is less: a count in the metrics and a fact without a person; in identified mode an
event for the customer's actor as well. Address and program are looked at and forgotten. Where
hits are only counted, those alike within a second are one fact with their number: whoever loads a
picture a thousand times fills no log.

Hits wait in memory, for a second: a process that is killed loses those, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, NamedTuple

from aiohttp import web

from agents.customer.tracking import BURST_MS, HitRequest, judge
from agents.mail.message.tokens import Click, HitSource, OpenToken
from agents.mail.message.tracking import AllowedHosts
from schemas import topics
from schemas.commands import TrackingMode
from schemas.records import OutRecord
from schemas.tracking import Hit, HitKind, strictest
from streams.http.public.context import PageContext
from streams.log import LogError
from streams.logging import get_logger
from streams.partitioner import partition_of
from streams.runtime.background import watched

MOST_WAITING = 10_000
"""Hits in memory; what comes while the log is slower than that is answered and not noted."""

MOST_KNOWN = 50_000
"""Hits remembered, so that a picture that is loaded a thousand times is one opening."""

SUM_MS = 1_000
"""For which hits that are only counted are added up."""

MOST_SUMS = 1_000
"""Kinds of them in a second: steps, links and verdicts, which our own mails name."""

PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
"""A transparent GIF of one pixel."""

_log = get_logger(__name__)


class _PendingHit(NamedTuple):
    """A hit that waits to be judged."""

    kind: HitKind
    source: HitSource
    link: int
    links: int
    url: str
    time: int
    method: str
    headers: dict[str, str]


class Hits:
    """Answers and notes hits."""

    def __init__(self, context: PageContext, most: TrackingMode, hosts: AllowedHosts) -> None:
        """`most`: what the shop allows at most. `hosts`: where a click may lead."""
        self._context = context
        self._most = most
        self._hosts = hosts
        self._waiting: set[asyncio.Task[None]] = set()
        self._bursts: dict[str, list[_PendingHit]] = {}
        self._known: OrderedDict[tuple[str, str, int, str], None] = OrderedDict()
        self._sums: dict[Hit, int] = {}
        self._closing = asyncio.Event()

    async def opened(self, request: web.Request) -> web.Response:
        """Return the pixel."""
        content = self._context.read(request, OpenToken)
        if content is None:
            return self._context.pages.unknown(self._context.pages.messages(request))
        self._note(request, "open", content.source)
        response = web.Response(body=PIXEL, content_type="image/gif")
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # webmail shows it
        return response

    async def clicked(self, request: web.Request) -> web.Response:
        """Lead to where the link in the mail led."""
        messages = self._context.pages.messages(request)
        content = self._context.read(request, Click)
        if content is None:
            return self._context.pages.unknown(messages)
        if content.target not in self._hosts:
            return self._context.pages.to_the_shop(
                messages, messages["link_gone"], messages["link_gone_text"]
            )
        self._note(request, "click", content.source, content)
        return web.Response(status=302, headers={"Location": content.target})

    async def close(self) -> None:
        """Note what waits."""
        self._closing.set()
        if self._waiting:
            await asyncio.wait(self._waiting)

    def _note(
        self, request: web.Request, kind: HitKind, source: HitSource, click: Click | None = None
    ) -> None:
        mode = strictest(source.mode, self._most)
        if mode == "off":
            return
        if len(self._waiting) >= MOST_WAITING:
            _log.warning("hit not noted: the log is too slow", waiting=len(self._waiting))
            return
        seen = _PendingHit(
            kind,
            _reduced(source, mode),
            click.link if click else 0,
            click.links if click else 0,
            click.target if click else "",
            self._context.clock.now(),
            request.method,
            {name.lower(): value for name, value in request.headers.items()},
        )
        self._start(self._judge_and_write(seen))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = watched("hits", asyncio.create_task(work))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _judge_and_write(self, seen: _PendingHit) -> None:
        burst = await self._burst(seen) if seen.kind == "click" and seen.source.mail else 1
        age = seen.time - seen.source.time if seen.source.time else None
        verdict, why = judge(
            HitRequest(seen.kind, seen.method, seen.headers, age, burst, seen.links)
        )
        if self._is_known(seen, verdict):
            return
        source = seen.source
        hit = Hit(
            time=seen.time,
            kind=seen.kind,
            mode=source.mode,
            verdict=verdict,
            why=why,
            workflow=source.workflow,
            step=source.step,
            template=source.template,
            mail_class=source.mail_class,
            link=seen.link,
            mail=source.mail,
            person=source.person,
        )
        self._context.metrics.hit(hit)
        if not source.mail:
            self._add(hit)
            return
        try:
            await self._write(hit)
            if source.mode == "identified":
                await self._append_hit(seen, hit)
        except LogError as error:
            _log.error("hit could not be written", kind=seen.kind, error=str(error))

    def _add(self, hit: Hit) -> None:
        """Add it to those that are like it. All of a second have the time at which it is over."""
        alike = hit.model_copy(update={"time": 0})
        if alike not in self._sums and len(self._sums) >= MOST_SUMS:
            _log.warning("hit not noted: too many kinds in a second", kinds=len(self._sums))
            return
        if not self._sums:
            self._start(self._write_sums())
        self._sums[alike] = self._sums.get(alike, 0) + 1

    async def _write_sums(self) -> None:
        await self._pass(SUM_MS)
        sums, self._sums = self._sums, {}
        now = self._context.clock.now()
        for alike, count in sums.items():
            try:
                await self._write(alike.model_copy(update={"time": now, "count": count}))
            except LogError as error:
                _log.error("hits could not be written", kind=alike.kind, count=count,
                           error=str(error))  # fmt: skip

    async def _burst(self, seen: _PendingHit) -> int:
        """Return how many links of the same mail were followed within BURST_MS of this one."""
        others = self._bursts.setdefault(seen.source.mail, [])
        others.append(seen)
        await self._pass(BURST_MS)
        near = {each.link for each in others if abs(each.time - seen.time) <= BURST_MS}
        self._start(self._forget(seen))
        return len(near)

    async def _forget(self, seen: _PendingHit) -> None:
        """Those that came within BURST_MS after this one still have to see it."""
        await self._pass(BURST_MS)
        others = self._bursts[seen.source.mail]
        others.remove(seen)
        if not others:
            del self._bursts[seen.source.mail]

    async def _pass(self, milliseconds: int) -> None:
        """Wait by the clock, or until the site closes."""
        clock = self._context.clock
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(clock.wait_until(clock.now() + milliseconds)),
            asyncio.ensure_future(self._closing.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _is_known(self, seen: _PendingHit, verdict: str) -> bool:
        """Whether this mail's opening or link was noted already; never where all share a token."""
        if not seen.source.mail:
            return False
        key = (seen.source.mail, seen.kind, seen.link, verdict)
        if key in self._known:
            return True
        self._known[key] = None
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return False

    async def _write(self, hit: Hit) -> None:
        key = hit.workflow.encode()
        partition = partition_of(key, await self._context.log.partitions(topics.FACTS))
        value = hit.model_dump_json().encode()
        headers = (("content-type", b"application/json"),)
        await self._context.log.append(topics.FACTS, partition, [OutRecord(key, value, headers)])

    async def _append_hit(self, seen: _PendingHit, hit: Hit) -> None:
        source = seen.source
        data: dict[str, Any] = {
            "command_id": source.command_id,
            "workflow": source.workflow,
            "step": source.step,
            "template": source.template,
            "class": source.mail_class,
            "verdict": hit.verdict,
            "why": hit.why,
        }
        if seen.kind == "click":
            data |= {"link": seen.link, "url": seen.url}
        type_ = "mail.clicked" if seen.kind == "click" else "mail.opened"
        # The same hit again has the same id: the actor counts it once, also after a restart.
        id_ = "/".join((source.command_id, type_, str(seen.link), hit.verdict))
        await self._context.append(
            [self._context.event(type_, source.customer, data)._replace(id=id_)]
        )


def _reduced(source: HitSource, mode: TrackingMode) -> HitSource:
    """Drop what the shop does not allow any more since the mail was made."""
    about = (mode, source.workflow, source.step, source.template, source.mail_class)
    if mode == "anonymous":
        return HitSource(*about)
    if mode == "pseudonymous":
        return HitSource(*about, source.time, source.mail, source.person)
    return source
