"""Messages that no endpoint has taken: the dead letters of webhooks, and posting them again.

A letter holds the record as it was and begins its detail with the webhook's name. It is dealt with
once the endpoint has taken the message, which has the same id as before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import NamedTuple

from agents.outbound.messages import TEST, Message, read_message
from schemas.dead_letters import DeadLetter, resolve
from schemas.records import Record
from schemas.signing import RecordSigner
from streams.log import Log, OnProgress, no_progress, scan
from streams.operate.dead_letters import WEBHOOK_FAILED, open_letters
from streams.outbound.subscriptions import WebhookSubscription
from streams.outbound.webhooks import Endpoint, topics_of, wanted_by
from streams.topology import DEAD_LETTERS

SHOWN = 50
"""Of what was not taken, for a person."""


class ReplayReport(NamedTuple):
    """What was posted again."""

    delivered: int
    kept: list[tuple[str, str]]
    """What was not taken: the letter's id, or the record's place, and why."""
    stopped: bool
    """Whether the endpoint did not answer, so that the rest was not tried."""


def webhook_of(letter: DeadLetter) -> str:
    """Return the name of the webhook that a letter is of."""
    return letter.detail.partition(":")[0]


def failed_letters(
    log: Log, name: str | None = None, *, reason: str = WEBHOOK_FAILED
) -> AsyncIterator[DeadLetter]:
    """Yield the letters of webhooks, or of one of them, that nobody has dealt with, oldest first.
    `reason`: of another kind of outlet. Raises LogError."""
    return open_letters(
        log, lambda each: each.reason == reason and name in (None, webhook_of(each))
    )


async def first_failed(
    log: Log, limit: int, name: str | None = None, *, reason: str = WEBHOOK_FAILED
) -> tuple[list[DeadLetter], bool]:
    """Return the first of `failed_letters`, and whether there are more. Raises LogError."""
    letters: list[DeadLetter] = []
    async for letter in failed_letters(log, name, reason=reason):
        if len(letters) == limit:
            return letters, True
        letters.append(letter)
    return letters, False


async def replay_letters(
    log: Log,
    endpoint: Endpoint,
    signer: RecordSigner,
    chosen: Callable[[DeadLetter], bool] = lambda _: True,
) -> ReplayReport:
    """Post the chosen letters of a webhook again, in order. Raises LogError."""
    delivered, kept = 0, []
    async for letter in failed_letters(log, endpoint.subscription.name):
        if not chosen(letter):
            continue
        message = read_message(record_of(letter), signer)
        if message is None:
            kept.append((letter.id, "its record can't be read, or is not signed by us"))
            continue
        attempt = await endpoint.post(message)
        if attempt.meaning == "delivered":
            await log.append(DEAD_LETTERS, letter.partition, [resolve(letter)])
            delivered += 1
            continue
        kept.append((letter.id, attempt.why))
        if attempt.meaning == "failed":
            return ReplayReport(delivered, kept, True)
    return ReplayReport(delivered, kept, False)


async def replay_span(
    log: Log,
    endpoint: Endpoint,
    signer: RecordSigner,
    *,
    since: int,
    until: int,
    on_progress: OnProgress = no_progress,
) -> ReplayReport:
    """Post what a webhook wants of what was appended in [since, until) (ms), whether it had it or
    not: the ids are the same. Raises LogError."""
    delivered, kept = 0, []
    wants = wanted_by(endpoint.subscription)
    for topic in topics_of(endpoint.subscription.takes):
        async for record in scan(log, topic, since=since, on_progress=on_progress):
            message = read_message(record, signer) if record.timestamp < until else None
            if message is None or not wants(message):
                continue
            attempt = await endpoint.post(message)
            if attempt.meaning == "delivered":
                delivered += 1
                continue
            kept.append((f"{topic} {record.partition}:{record.offset}", attempt.why))
            if attempt.meaning == "failed":
                return ReplayReport(delivered, kept, True)
    return ReplayReport(delivered, kept, False)


def find(subscriptions: Collection[WebhookSubscription], name: str) -> WebhookSubscription | None:
    """Return the webhook of a name."""
    return next((each for each in subscriptions if each.name == name), None)


def trial_message(name: str, id_: str, now: int) -> Message:
    """Return what is posted to try an endpoint at `now` (ms); it is about nobody."""
    return Message(id_, TEST, now, "", {"webhook": name, "customer": ""})


def record_of(letter: DeadLetter) -> Record:
    """Return the record that a letter holds."""
    origin = letter.origin
    return Record(origin.topic, origin.partition, origin.offset, letter.time, *letter.original)
