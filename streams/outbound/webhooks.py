"""The outlet that posts messages to one endpoint, signed as Standard Webhooks says.

Messages of one customer arrive in the order of the log: the next of a partition waits until the one
before is delivered or given up. An endpoint that fails is asked by one message at a time, in
growing gaps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from agents.mail.message.webhook import read_secrets, signed_request
from agents.mail.replies import Answered
from agents.outbound.circuit import Circuit, Meaning, meaning
from agents.outbound.messages import MAILS, SIGNALS, Message, read_message
from schemas.durations import duration_text
from schemas.records import Record
from schemas.secret_reference import PlacedReference
from schemas.signing import RecordSigner
from schemas.topics import CUSTOMER_EVENTS, CUSTOMER_SIGNALS
from streams.clock import Clock
from streams.http.fetching import public_connector
from streams.logging import get_logger
from streams.mail.webhooks import Webhooks
from streams.messages.plurals import several
from streams.operate.dead_letters import WEBHOOK_FAILED
from streams.outbound.conditions import Holds, compile_condition
from streams.outbound.counts import OutboundCounts
from streams.outbound.follower import Undelivered, Waiting
from streams.outbound.subscriptions import WebhookSubscription
from streams.settings.secret_references import read_secret
from streams.settings.sources import SettingsError

AT_ONCE = 8
"""Requests to one endpoint at the same time, of different partitions."""

STRONG_BYTES = 24
"""Of a secret, what Standard Webhooks asks for at least."""
MAKE_SECRET = "echo whsec_$(openssl rand -base64 32)"

_log = get_logger(__name__)


class Attempt(NamedTuple):
    """How one POST ended."""

    meaning: Meaning
    why: str = ""
    retry_after: int | None = None


class Endpoint:
    """Posts to one endpoint."""

    def __init__(self, subscription: WebhookSubscription, clock: Clock) -> None:
        self.subscription = subscription
        self._clock = clock
        self._posts = Webhooks(connector=None if subscription.private else public_connector)

    async def post(self, message: Message) -> Attempt:
        """Post a message once. Never raises, except when cancelled."""
        secrets, problem = self._secrets()
        if not secrets:
            return Attempt("failed", problem)
        url = self.subscription.url
        request = signed_request(url, message.id, message.body, secrets, self._clock.now())
        answer = await self._posts.post(request)
        if not isinstance(answer, Answered):
            return Attempt("failed", getattr(answer, "reason", "no answer"))
        found = meaning(answer.status)
        why = "" if found == "delivered" else f"it answers {answer.status}"
        return Attempt(found, why, answer.retry_after)

    async def close(self) -> None:
        """Hang up."""
        await self._posts.close()

    def _secrets(self) -> tuple[list[bytes], str]:
        """Return the secrets that can be read, and what is wrong with the others."""
        secrets: list[bytes] = []
        problem = ""
        for reference in self.subscription.secrets:
            try:
                secrets += read_secrets(read_secret(reference).get_secret_value())
            except SettingsError as error:
                problem = str(error)
            except ValueError as error:
                problem = f"{reference}: {error}"
        return secrets, problem or "it has no secret"


def weak_secrets(subscription: WebhookSubscription) -> Iterator[str]:
    """Yield a sentence for each secret of a webhook that is too short to sign with; what can't be
    read is told when something is posted."""
    for reference in subscription.secrets:
        with suppress(SettingsError, ValueError):
            for secret in read_secrets(read_secret(reference).get_secret_value()):
                if len(secret) < STRONG_BYTES:
                    place = reference.place if isinstance(reference, PlacedReference) else ""
                    yield (
                        f"{place}: {reference} has {several(len(secret), 'byte')}, which can be "
                        f"guessed; make one of {STRONG_BYTES} or more: {MAKE_SECRET}"
                    )


class WebhookOutlet:
    """Delivers to one endpoint."""

    reason = WEBHOOK_FAILED
    together = 1

    def __init__(
        self,
        subscription: WebhookSubscription,
        *,
        signer: RecordSigner,
        clock: Clock,
        counts: OutboundCounts,
    ) -> None:
        self.subscription = subscription
        self.name = subscription.name
        self.topics = topics_of(subscription.takes)
        self._wants = wanted_by(subscription)
        self.circuit = Circuit()
        self._why = ""
        self._endpoint = Endpoint(subscription, clock)
        self._signer = signer
        self._clock = clock
        self._counts = counts
        self._room = asyncio.Semaphore(AT_ONCE)
        self._one = asyncio.Lock()

    def read(self, record: Record) -> Message | None:
        """Return what of a record is to be posted, None when nothing is."""
        message = read_message(record, self._signer)
        return message if message is not None and self._wants(message) else None

    async def deliver(self, waiting: Sequence[Waiting]) -> Sequence[Undelivered]:
        """Post them one after the other, each until it is delivered or given up."""
        undelivered = []
        for each in waiting:
            why = await self._deliver(each)
            if why:
                undelivered.append(Undelivered(each, why))
        return undelivered

    async def close(self) -> None:
        """Hang up."""
        await self._endpoint.close()

    async def _deliver(self, each: Waiting) -> str:
        """Return why a message is given up, empty once it is delivered."""
        budget = self.subscription.give_up_after
        while True:
            if self.circuit.gives_up(each.record.timestamp, self._clock.now(), budget):
                self._counts.note(self.name, "given_up")
                return f"given up after {duration_text(budget)}: {self._why}"
            async with self._admitted():
                attempt = await self._endpoint.post(each.message)
            if attempt.meaning == "failed":
                self._why = attempt.why
                self._failed(each, attempt)
                continue
            self._succeeded()
            delivered = attempt.meaning == "delivered"
            self._counts.note(self.name, "delivered" if delivered else "refused")
            return attempt.why

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        """Wait until the endpoint may be asked; while it fails, alone."""
        async with self._room:
            if not self.circuit.failures:
                yield
                return
            async with self._one:
                await self._clock.wait_until(self.circuit.until)
                yield

    def _failed(self, each: Waiting, attempt: Attempt) -> None:
        self._counts.note(self.name, "failed")
        before = self.circuit.failures
        self.circuit.failed(
            self._clock.now(),
            name=f"{self.name}/{each.message.id}",
            retry_after=attempt.retry_after,
        )
        if before < Circuit.TRIES <= self.circuit.failures:
            _log.warning("a webhook's endpoint fails, its messages wait",
                         webhook=self.name, reason=attempt.why)  # fmt: skip

    def _succeeded(self) -> None:
        if self.circuit.failures >= Circuit.TRIES:
            _log.info("a webhook's endpoint answers again", webhook=self.name)
        self.circuit.succeeded()


def wanted_by(subscription: WebhookSubscription) -> Holds:
    """Return which messages a webhook wants."""
    holds = compile_condition(subscription.when) if subscription.when else None

    def wanted(message: Message) -> bool:
        return subscription.takes(message.type) and (holds is None or holds(message))

    return wanted


def topics_of(takes: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the topics in which the types lie that somebody takes."""
    signals = (CUSTOMER_SIGNALS,) if any(map(takes, SIGNALS)) else ()
    mails = (CUSTOMER_EVENTS,) if any(map(takes, MAILS)) else ()
    return (*signals, *mails)
