"""The whole machine on one page: what flows where, who reads it, what is kept.

    shop, CRM, site ────┐
    ingest, pages ──────┼─► customer-events ─► CUSTOMERS ─┬─► send-commands ─► MAILER ─┬─► relays
    inbound mail ───────┤           ▲      (one actor per ├─► customer-signals   │     └─► webhooks
    ticks, publishing ──┘           │           customer) ├─► facts              ├─► suppressions
                                    │                     │ messages             │ outcomes
                                    └─────────────────────┴──────────────────────┘
    CUSTOMERS ◄─► customers-changelog, a store        MAILER ◄─► mailer-changelog, a store
    publishing ──► workflows, products: read when a record of customer-events names what is new
    anything unreadable ──► dead-letters       customer-signals ─► ERASER ─► a person out of it all
    customer-signals, outcomes of mails ──► OUTBOUND ──► other systems
    COMMANDS ──► customer-events · send-commands: hold, let go · suppressions · dead letters again

One worker process runs all of it; more workers with the same group share the partitions. A
customer's events, commands and state all have the customer's partition number, so one worker holds
all there is to know about a customer, and a partition moves as a whole.

Two agents (`AGENTS`) are handed batches of records of one partition and take each batch through the
commit protocol. Customers (`streams/runtime/commit_protocol.py`): effects, states and progress,
acknowledgement. Mailer (`streams/mail/mailer.py`): mails, dead letters and suppressions, progress,
acknowledgement. What an agent keeps is a local store per partition and
a compacted changelog topic from which any other worker can recover it
(`streams/runtime/state/changelog.py`).

Doors (`DOORS`) lead in and out beside the log. What decides comes in by records alone: a workflow,
a product, a tick is a control record in every partition of `customer-events`, told by whoever
publishes (`streams/runtime/definitions.py`, `streams/runtime/product_feed.py`), and the topics
`workflows` and `products` hold what it is about.

`topics create`, `doctor`, the worker and the Faust app take everything from here, and
`tests/runtime/test_topology.py` compares it with what a worker really appends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas import topics as names
from schemas.dead_letters import MAX_LETTER_BYTES
from schemas.time_units import DAY_MS, HOUR_MS
from streams.log import TopicSpec

GROUP = "ritorno"
"""Consumer group of the workers, and so the name under which offsets are committed."""


CUSTOMER_EVENTS = names.CUSTOMER_EVENTS
"""The one log. Key: customer id (or anonymous id), of links and coupon pools `ritorno/…`; ticks and
control records have none. Whatever
changes a decision is a record in here, in the customer's partition, and the time of a decision is
the broker's append time of these records, which no producer can forge."""

SEND_COMMANDS = names.SEND_COMMANDS
"""Key: customer id. One decided mail or webhook, the taking back of one, what came back of one; or
without a key, in every partition, that mails are to be held or let go (`schemas/commands.py`)."""

CUSTOMER_SIGNALS = names.CUSTOMER_SIGNALS
"""Key: customer id. What changed about a customer: score, tier… for systems downstream, that a copy
was handed out (`ritorno privacy export`, `ritorno audience export`), and the erasures that ERASER
is to carry out."""

FACTS = names.FACTS
"""What happened to the business, each fact once (`schemas/facts.py`; key: the person's pseudonym);
and by workflow each decision, with customer and reason, and each hit on a link or an image. The
key figures and `explain` read them."""

WORKFLOWS = names.WORKFLOWS
"""Key: `id@version`. Published workflow definitions; a version, once published, never changes."""

PRODUCTS = names.PRODUCTS
"""Key: SKU. The product feed as every partition has been told it
(`streams/runtime/product_feed.py`)."""

DEAD_LETTERS = names.DEAD_LETTERS
"""Key: the original one. The untouched record with where it came from and why it was refused."""

CUSTOMERS_CHANGELOG = names.CUSTOMERS_CHANGELOG
"""Key: customer id. The customer's kept record (`schemas/stored.py`)."""

MAILER_CHANGELOG = names.MAILER_CHANGELOG
"""Key: command id. A mail that waits, is being tried, or was dealt with a short while ago. What is
paused and the sender's reputation lie beside, under keys of their own."""


SUPPRESSIONS = names.SUPPRESSIONS
"""Key: the keyed hash of an address. Addresses that get no mail, whoever has them
(`schemas/suppressions.py`); each mailer holds them all."""


MAPPING_OFFSETS = names.MAPPING_OFFSETS
"""Key: mapping and partition. How far the topics are mapped that others own
(`streams/connect/mappings/offsets.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """A Faust agent: the topic it reads, what it keeps and where it writes."""

    name: str
    reads: str
    keeps: str
    writes: tuple[str, ...]


CUSTOMERS = AgentSpec(
    name="customers",
    reads=CUSTOMER_EVENTS,
    keeps=CUSTOMERS_CHANGELOG,
    # customer-events as well: a visitor who becomes known hands over to the customer's actor, and
    # the actors of links (addresses, cart ids, checkout ids) tell one customer of another's order.
    writes=(SEND_COMMANDS, CUSTOMER_SIGNALS, FACTS, CUSTOMER_EVENTS, DEAD_LETTERS),
)
"""Decides. One actor per customer (`agents/`), and ones like them for coupon pools and for links,
the addresses, cart ids and checkout ids that several have (`agents/links/`), run by
`streams/runtime/customers.py`; its ticks come from `streams/runtime/ticks.py`."""

MAILER = AgentSpec(
    name="mailer",
    reads=SEND_COMMANDS,
    keeps=MAILER_CHANGELOG,
    writes=(CUSTOMER_EVENTS, SUPPRESSIONS, DEAD_LETTERS),
)
"""Delivers. Moves commands into its own durable queue and reports what became of each mail
(`streams/mail/mailer.py`)."""

AGENTS = (CUSTOMERS, MAILER)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSpec:
    """A way in or out that is no topic: of a worker, or beside the workers."""

    name: str
    at: str
    """The file to begin with."""
    reads: tuple[str, ...] = ()
    """What it follows; who merely looks something up is not meant."""
    writes: tuple[str, ...] = ()


PUBLIC_PAGES = DoorSpec(
    name="public pages",
    at="streams/http/public/site.py",
    # What people do there is an event; that a link was followed by anybody is a fact as well.
    writes=(CUSTOMER_EVENTS, FACTS),
)
"""Behind the links in mails: unsubscribing, preferences, surveys, openings and clicks."""

INGEST = DoorSpec(
    name="ingest",
    at="streams/http/ingest/server.py",
    writes=(CUSTOMER_EVENTS, DEAD_LETTERS),
)
"""What shops, pages and other systems send by HTTP; also alone, without a worker
(`ritorno ingest`)."""

INBOUND_MAIL = DoorSpec(
    name="inbound mail", at="streams/mail/inbound/sources.py", writes=(CUSTOMER_EVENTS,)
)
"""Bounces, complaints and unsubscriptions that come back by SMTP, maildir or IMAP."""

SMTP = DoorSpec(name="SMTP relays", at="streams/mail/smtp.py")
"""Out: mails. What became of each comes back through the mailer."""

WEBHOOKS = DoorSpec(name="webhooks", at="streams/mail/webhooks.py")
"""Out: what a workflow tells other systems by HTTP, in the mailer's queue like a mail."""

OUTBOUND = DoorSpec(
    name="outbound",
    at="streams/outbound/runtime.py",
    # Of customer-events what became of mails.
    reads=(CUSTOMER_SIGNALS, CUSTOMER_EVENTS),
    # What a CRM tells is an event; what no endpoint takes is a dead letter.
    writes=(DEAD_LETTERS, CUSTOMER_EVENTS),
)
"""Out: signals and mail outcomes for other systems, by signed webhooks and into a CRM, which is
read as well. Follows each partition for each of them under a group of its own."""

ERASER = DoorSpec(name="eraser", at="streams/operate/privacy/eraser.py", reads=(CUSTOMER_SIGNALS,))
"""Reads of erasures that the actors have decided, commits how far it is under a group of its own,
and changes records of PERSONAL in place, where the log is ours; it appends nothing."""

FOREIGN_STREAMS = DoorSpec(
    name="foreign streams",
    at="streams/connect/mappings/mapper.py",
    # It reads topics that others own, which are not on this page, and its own progress.
    reads=(MAPPING_OFFSETS,),
    writes=(CUSTOMER_EVENTS, DEAD_LETTERS, MAPPING_OFFSETS),
)
"""In: topics that others own become events of ours as `mappings.yaml` says; in a worker, or alone
as `ritorno mappings run`."""

INSIGHTS = DoorSpec(name="insights", at="streams/insights/service.py", reads=(FACTS,))
"""Out: key figures, of a store that is fed from facts; in a worker on the embedded log, or alone as
`ritorno insights`. Answers commands on a local port (`streams/insights/server.py`)."""

ADMIN = DoorSpec(name="admin port", at="streams/http/admin.py")
"""Metrics, health and readiness."""

INTERNAL = DoorSpec(name="internal port", at="streams/http/internal/server.py")
"""Workers and commands ask the owner of a partition what it keeps."""

SHOPS = DoorSpec(
    name="connected shops",
    at="streams/connect/connector.py",
    writes=(CUSTOMER_EVENTS, PRODUCTS, DEAD_LETTERS),
)
"""What shop systems send by webhooks and are asked for, also by `ritorno connect`."""

COMMANDS = DoorSpec(
    name="commands",
    at="streams/tools/cli/commands.py",
    writes=(
        CUSTOMER_EVENTS,  # publish, customer retry, privacy, suppressions remove, doctor's tick…
        SEND_COMMANDS,  # mail pause, mail release
        CUSTOMER_SIGNALS,  # privacy export, audience export
        WORKFLOWS,
        PRODUCTS,
        DEAD_LETTERS,  # what was sent again, or could not be taken
        SUPPRESSIONS,
    ),
)
"""What a person runs beside the workers: publishing, and looking after what runs."""

DOORS = (
    PUBLIC_PAGES,
    INGEST,
    INBOUND_MAIL,
    FOREIGN_STREAMS,
    SMTP,
    WEBHOOKS,
    OUTBOUND,
    ERASER,
    INSIGHTS,
    ADMIN,
    INTERNAL,
    SHOPS,
    COMMANDS,
)

PER_CUSTOMER = (
    CUSTOMER_EVENTS,
    SEND_COMMANDS,
    CUSTOMER_SIGNALS,
    CUSTOMERS_CHANGELOG,
    MAILER_CHANGELOG,
)
"""Must have the same number of partitions, for ever: another number sends a customer's next event
to an actor that knows nothing of the customer."""

PERSONAL = (
    CUSTOMER_EVENTS,
    SEND_COMMANDS,
    CUSTOMER_SIGNALS,
    FACTS,
    DEAD_LETTERS,
    CUSTOMERS_CHANGELOG,
    MAILER_CHANGELOG,
)
"""Hold what is known of people: what an erasure has to reach, as far as the broker lets it."""

KAFKA_PARTITIONS = 8
"""Default on Kafka: two workers of four partitions each."""

EMBEDDED_PARTITIONS = 4
"""Default on the embedded log, which one process reads alone."""

LOG_RECORD_BYTES = 1_048_576
"""The largest record of any topic but `dead-letters`, as Kafka takes it by default. What is kept of
one customer has less (`RECORD_BYTES` in `schemas/bounds.py`)."""

_FACTS_PARTITIONS = 4
"""It needs spreading only a little: who reads it does little with each."""

# Append time is what makes the log a clock; the other topics have it so that their ages are honest.
_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}

COMPACTION_LAG_MS = DAY_MS
"""Longer than any pause of a worker we accept: until then an old state that a paused worker wrote
too late can't displace the newer one (`streams/runtime/state/recovery.py`)."""

_CHANGELOG = _APPEND_TIME | {
    "cleanup.policy": "compact",  # never "delete": a customer who is silent for a year stays known
    "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
    # Kafka never compacts the segment it writes to; a week, its default, is a week of progress
    # records to read again in each recovery.
    "segment.ms": str(DAY_MS),
}


def _kept_for(days: int) -> dict[str, str]:
    return _APPEND_TIME | {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


_CONFIG: Mapping[str, Mapping[str, str]] = {
    # A year: replays and backtests see each season once, and no longer, because it is personal
    # data. What decisions need for longer is in the customers' own records.
    CUSTOMER_EVENTS: _kept_for(365),
    # Read within seconds into the mailer's own queue; a week covers a mailer that was switched off.
    SEND_COMMANDS: _kept_for(7),
    CUSTOMER_SIGNALS: _kept_for(30),
    # As long as what they follow from: the figures made of them reach as far back.
    FACTS: _kept_for(365),
    # Long enough for somebody to fix the cause and send them again; not for ever, because the
    # untouched records hold personal data, of which an erasure finds only what lies under the
    # customer's key.
    # A letter is a record and its six headers more: with Kafka's usual limit the largest record
    # could be read but never refused, and its partition would stand still.
    DEAD_LETTERS: _kept_for(90) | {"max.message.bytes": str(MAX_LETTER_BYTES)},
    WORKFLOWS: _APPEND_TIME | {"cleanup.policy": "compact"},
    PRODUCTS: _APPEND_TIME | {"cleanup.policy": "compact"},
    CUSTOMERS_CHANGELOG: _CHANGELOG,
    MAILER_CHANGELOG: _CHANGELOG,
    # Never forgotten by age: who was suppressed stays so until somebody decides otherwise.
    SUPPRESSIONS: _APPEND_TIME | {"cleanup.policy": "compact"},
    # Written every few seconds while a mapping is busy: an hour of that is read at each start.
    MAPPING_OFFSETS: _APPEND_TIME | {"cleanup.policy": "compact", "segment.ms": str(HOUR_MS)},
}

OPTIONAL = frozenset({MAPPING_OFFSETS})
"""Whoever needs one of these makes it, where the topics are those of an older release."""


def topics(partitions: int, replication: int = 1) -> tuple[TopicSpec, ...]:
    """Return every topic of the machine; `partitions` is the count of the per-customer ones."""
    # With three copies a write needs two of them, so that one broker may be away.
    durability = {"min.insync.replicas": "2"} if replication >= 3 else {}
    return tuple(
        TopicSpec(
            name=name,
            partitions=_partitions(name, partitions),
            replication=replication,
            config={**config, **durability},
        )
        for name, config in _CONFIG.items()
    )


def _partitions(topic: str, per_customer: int) -> int:
    if topic in PER_CUSTOMER:
        return per_customer
    return _FACTS_PARTITIONS if topic == FACTS else 1
