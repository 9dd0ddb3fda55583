"""The outlet that tells a CRM: properties of contacts by batch upserts.

What several messages say of one contact goes into one input, the last word of each property. The
same properties once more change nothing there, so at least once is enough. A batch that is refused
is halved until the one input is found that nobody wants; the others arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from agents.outbound.circuit import Circuit, meaning
from agents.outbound.messages import Message, read_message
from schemas.durations import duration_text
from schemas.records import Record
from schemas.signing import RecordSigner
from schemas.time_units import SECOND_MS
from schemas.type_patterns import matches
from streams.clock import Clock
from streams.logging import get_logger
from streams.operate.dead_letters import CRM_FAILED
from streams.outbound.conditions import compile_condition, compile_value
from streams.outbound.counts import OutboundCounts
from streams.outbound.crm_api import CrmApi
from streams.outbound.crm_file import Crm, CrmWriting
from streams.outbound.follower import Undelivered, Waiting
from streams.outbound.webhooks import topics_of

AddressOf = Callable[[str], Awaitable[str]]
"""The address of a customer, empty where there is none. Raises LogError."""

_MULTI_STATUS = 207

_log = get_logger(__name__)


class _Input(NamedTuple):
    """What is told of one contact, and of which messages."""

    id: str
    properties: dict[str, Any]
    waiting: list[Waiting]


class CrmOutlet:
    """Tells one CRM."""

    reason = CRM_FAILED

    def __init__(
        self,
        crm: Crm,
        writing: CrmWriting,
        *,
        signer: RecordSigner,
        clock: Clock,
        counts: OutboundCounts,
        address_of: AddressOf,
    ) -> None:
        self.name = crm.name
        self.topics = topics_of(writing.takes)
        self.together = writing.together
        self.circuit = Circuit()
        self._api = CrmApi(crm)
        self._writing = writing
        self._signer = signer
        self._clock = clock
        self._counts = counts
        self._address_of = address_of
        self._values = [
            (
                each,
                compile_condition(each.when) if each.when else None,
                {name: compile_value(text, ("type", "data"))
                 for name, text in each.properties.items()},
            )
            for each in writing.map
        ]  # fmt: skip
        self._one = asyncio.Lock()
        self._next = 0
        self._why = ""

    def read(self, record: Record) -> Message | None:
        """Return what of a record tells something, None when nothing does."""
        message = read_message(record, self._signer)
        return message if message is not None and self._properties(message) else None

    async def deliver(self, waiting: Sequence[Waiting]) -> Sequence[Undelivered]:
        """Tell all of it; return what the CRM doesn't want, or was down for too long for."""
        return await self._deliver(await self._inputs(waiting))

    async def close(self) -> None:
        """Hang up."""
        await self._api.close()

    def _properties(self, message: Message) -> dict[str, Any]:
        variables = {"type": message.type, "data": message.data}
        found: dict[str, Any] = {}
        for each, holds, values in self._values:
            if not matches(message.type, each.types) or (holds is not None and not holds(message)):
                continue
            told = {name: value(variables) for name, value in values.items()}
            found |= {name: _plain(value) for name, value in told.items() if value is not None}
        return found

    async def _inputs(self, waiting: Sequence[Waiting]) -> list[_Input]:
        """Raises LogError."""
        by_id: dict[str, _Input] = {}
        for each in waiting:
            customer = each.message.customer
            id_ = customer if self._writing.by == "customer" else await self._address_of(customer)
            if not id_:
                self._counts.note(self.name, "nobody")  # no contact can be meant
                continue
            found = by_id.setdefault(id_, _Input(id_, {}, []))
            found.properties.update(self._properties(each.message))
            found.waiting.append(each)
        return list(by_id.values())

    async def _deliver(self, inputs: list[_Input]) -> list[Undelivered]:
        while inputs:
            oldest = min(each.record.timestamp for one in inputs for each in one.waiting)
            budget = self._writing.give_up_after
            if self.circuit.gives_up(oldest, self._clock.now(), budget):
                why = f"given up after {duration_text(budget)}: {self._why}"
                return self._undelivered(inputs, "given_up", why)
            async with self._one:
                await self._clock.wait_until(max(self.circuit.until, self._next))
                self._next = self._clock.now() + int(SECOND_MS / self._writing.per_second)
                body = {"inputs": [self._input(each) for each in inputs]}
                answer = await self._api.post(self._writing.path, body)
            found = meaning(answer.status)
            if found == "failed":
                self._failed(answer.why, inputs[0], answer.retry_after)
                continue
            self.circuit.succeeded()
            if found == "delivered" and not _has_errors(answer.status, answer.body):
                times = sum(len(each.waiting) for each in inputs)
                self._counts.note(self.name, "delivered", times)
                return []
            if len(inputs) == 1:
                return self._undelivered(inputs, "refused", f"it answers {answer.status}")
            half = len(inputs) // 2
            first = await self._deliver(inputs[:half])
            return first + await self._deliver(inputs[half:])
        return []

    def _input(self, each: _Input) -> dict[str, Any]:
        own = {} if self._writing.by == "email" else {self._writing.id_property: each.id}
        return {
            "idProperty": self._writing.id_property,
            "id": each.id,
            "properties": {**own, **each.properties},
        }

    def _undelivered(self, inputs: list[_Input], result: Any, why: str) -> list[Undelivered]:
        lost = [Undelivered(each, why) for one in inputs for each in one.waiting]
        self._counts.note(self.name, result, len(lost))
        return lost

    def _failed(self, why: str, first: _Input, retry_after: int | None) -> None:
        self._why = why
        self._counts.note(self.name, "failed")
        before = self.circuit.failures
        name = f"{self.name}/{first.waiting[0].message.id}"
        self.circuit.failed(self._clock.now(), name=name, retry_after=retry_after)
        if before < Circuit.TRIES <= self.circuit.failures:
            _log.warning("a CRM fails, what it is told waits", crm=self.name, reason=why)


def _plain(value: Any) -> Any:
    """Return a value as CRMs take it: whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def _has_errors(status: int, body: Any) -> bool:
    """Whether some of a batch was not taken."""
    return status == _MULTI_STATUS or (isinstance(body, dict) and bool(body.get("numErrors")))
