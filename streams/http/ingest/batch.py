"""A request as it is read call by call: the events that it holds, and what of it isn't taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json

from schemas import history
from schemas.dead_letters import refuse_line
from schemas.events import Event
from schemas.line_keys import key_of
from schemas.notation import Notation
from schemas.records import OutRecord
from schemas.reserved import is_anybodys, reserved, reserved_id
from schemas.validation import Unreadable
from streams.http.ingest import cloud_events, public_key, segment_calls
from streams.http.ingest.access import Admitted, RequestRefused
from streams.http.ingest.bots import is_bot
from streams.http.ingest.public_key import NOBODY, Claim, VisitorLinks, Withheld
from streams.http.ingest.segment_calls import CALL_BYTES, ReceivedCall, check_size, read_call
from streams.topology import CUSTOMER_EVENTS

LETTER_BYTES = 10_000
"""Kept of a call that is too large: it could not be sent again anyway."""

_HISTORY_NEEDS_ITS_TIME = (
    "timestamp, of a CloudEvent time: none that can be read, and this is history"
)

_DETAIL = 300
"""Characters of what is wrong that are told."""


class RefusedCall(NamedTuple):
    """A call of a batch that isn't taken."""

    place: int
    """In the batch, from 0."""
    reason: str
    error: str

    def told(self) -> dict[str, object]:
        """Return it as an answer names it."""
        return {"index": self.place, "reason": self.reason, "error": self.error}


class CallBatch:
    """What a request brings: one call or many, all under one key."""

    def __init__(
        self,
        admitted: Admitted,
        received_at: int,
        *,
        notation: Notation,
        links: VisitorLinks,
        raw: bytes,
        sent_at: int | None = None,
        is_history: bool = False,
    ) -> None:
        """`received_at` and `sent_at`, by our clock and by the sender's, in ms. `raw` is the body:
        whether anything in it may be history is seen at once."""
        self.admitted = admitted
        self.received_at = received_at
        self._notation = notation
        self._links = links
        self._sent_at = sent_at
        self._is_large = len(raw) > CALL_BYTES
        self._call = ReceivedCall(
            received_at, admitted.key.source, is_history, history.may_be_said(raw)
        )
        self._is_bot = admitted.key.is_public and is_bot(admitted.agent)
        self.events: list[Event] = []
        """To be appended, in their order."""
        self.links: list[Event] = []
        """Those among them by which a visitor is said to be a customer."""
        self.letters: list[OutRecord] = []
        """Of what a secret key has sent. Under a public one there are none: anybody could fill the
        log with them, and sent again they would be the shop's own word."""
        self.refused: list[RefusedCall] = []
        self.reasons: dict[str, int] = {}
        """How many of them for what."""
        self.bots = 0

    @property
    def counted(self) -> int:
        """How many of the calls are taken."""
        return len(self.events) - len(self.links)

    # One alone: what is wrong with it is the answer.

    def read_single(self, call: Any) -> None:
        """Read the only call. Raises RequestRefused."""
        self._alone(self._of_call, call)

    def read_single_event(self, body: Any) -> None:
        """Read the only CloudEvent. Raises RequestRefused."""
        self._alone(self._of_event, body)

    def read_binary(self, headers: Mapping[str, str], data: Any) -> None:
        """Read a CloudEvent in binary mode. Raises RequestRefused."""
        self._alone(lambda _: self._of_event(cloud_events.of_headers(headers.items(), data)), None)

    def _alone(self, read: Any, call: Any) -> None:
        key = self.admitted.key.id
        try:
            read(call)
        except Unreadable as error:
            raise RequestRefused(400, error.reason, error.detail[:_DETAIL], key=key) from None
        except Withheld as error:
            raise RequestRefused(403, "withheld", str(error)[:_DETAIL], key=key) from None

    # Of many: the others count.

    def read_call(self, index: int, call: Any) -> None:
        """Read a call of several."""
        self._among(index, lambda each: self._of_call(each, index), call)

    def read_event(self, index: int, body: Any) -> None:
        """Read a CloudEvent of several."""
        self._among(index, self._of_event, body)

    def _among(self, index: int, read: Any, call: Any) -> None:
        try:
            if self._is_large:
                check_size(call)
            read(call)
        except Unreadable as error:
            self._refuse(index, error.reason, error.detail)
            if not self.admitted.key.is_public:
                self.letters.append(self._letter(index, call, error))
        except Withheld as error:
            self._refuse(index, "withheld", str(error))

    def _refuse(self, index: int, reason: str, error: str) -> None:
        self.refused.append(RefusedCall(index, reason, error[:_DETAIL]))
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def _letter(self, index: int, call: Any, why: Unreadable) -> OutRecord:
        if isinstance(call, dict) and "specversion" in call:
            call = cloud_events.timed(call, self.received_at)
        elif isinstance(call, dict):
            call = segment_calls.completed(call, self._sent_at, self._call, index)
        text = to_json(call, inf_nan_mode="constants")
        return refuse_line(
            text[:LETTER_BYTES] if why.reason == "too_large" else text,
            topic=CUSTOMER_EVENTS,
            number=index + 1,
            reason=why.reason,
            detail=why.detail,
            time=self.received_at,
            key=key_of(text),
            source=self.admitted.key.source,
        )

    # What it says.

    def _of_call(self, call: Any, place: int = 0) -> None:
        key, claim = self.admitted.key, NOBODY
        if key.is_public and isinstance(call, dict):
            call, claim = public_key.of_call(call, self.admitted.keys, key)
        event = read_call(call, self._sent_at, self._call, self._notation, place)
        self._take(event, claim, _agent(call))

    def _of_event(self, body: Any) -> None:
        key, claim = self.admitted.key, NOBODY
        if key.is_public:
            body, claim = public_key.of_cloud_event(body, self.admitted.keys, key)
        event = cloud_events.read_event(body, self.received_at, key.source, self._notation)
        self._take(event, claim, "")

    def _take(self, event: Event, claim: Claim, agent: str) -> None:
        key = self.admitted.key
        if not is_anybodys(event):  # no worker would believe it
            if named := reserved_id(event):
                raise Unreadable("reserved", named)
            if claimed := reserved(event):
                raise Unreadable("unsigned", claimed)
        if key.is_public:
            event = public_key.said_in_public(event, key.source)
        if not key.may_tell(event.type):
            raise Withheld(f"type: {event.type!r} is none that this key may tell")
        if event.backfill and event.time is None:  # it would count as done today
            raise Unreadable("invalid_event", _HISTORY_NEEDS_ITS_TIME)
        # What a secret key says is the shop's word, whatever program somebody has ordered with.
        if key.is_public and (self._is_bot or (agent and is_bot(agent))):
            self.bots += 1
            return
        link = self._links.event(event, claim, self.received_at)
        if link is not None:
            self.links.append(link)
            self.events.append(link)
        self.events.append(event)


def _agent(call: Any) -> str:
    """Return the program that a call names in its context."""
    context = call.get("context") if isinstance(call, dict) else None
    agent = context.get("userAgent") if isinstance(context, dict) else None
    return agent if isinstance(agent, str) else ""
