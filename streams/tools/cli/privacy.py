"""`ritorno privacy`: what customers have a right to: evidence, a copy of their data, erasure."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from schemas.customer import Customer
from schemas.customer.consent import Evidence
from schemas.events import PAYLOADS, Event
from schemas.instant import to_rfc3339
from schemas.records import OutRecord, Record
from schemas.reference import of_visitor, shown
from schemas.signals import SIGNAL, AudienceExported, DataExported, DataRequested
from schemas.stored import head, is_erased
from schemas.time_units import DAY_MS
from schemas.wire import to_record
from streams.clock import SystemClock
from streams.log import Log, scan
from streams.operate.lookup import known_customers, latest_states
from streams.operate.privacy.collecting import collect, find_customer
from streams.partitioner import partition_of
from streams.runtime.factories import lookups_of, record_signer
from streams.settings import Settings
from streams.tools.cli.console import (
    OUTPUT,
    CommandFailed,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    progress,
    run,
    say,
    settings_of,
    stdout,
    without_answer,
)
from streams.tools.cli.tables import listing
from streams.topology import CUSTOMER_EVENTS, CUSTOMER_SIGNALS, CUSTOMERS_CHANGELOG, PERSONAL

if TYPE_CHECKING:
    from streams.runtime.logs.embedded import EmbeddedLog

SOURCE = "/ritorno/command-line"

ANSWER_MS = 30 * DAY_MS
"""Within "one month" (GDPR art. 12(3)); the shortest month but one has thirty days."""

POLL_SECONDS = 0.2

CustomerId = Annotated[str, typer.Argument(metavar="ID", help="Customer or visitor id.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(
        help="What customers have a right to: evidence, a copy, erasure.", no_args_is_help=True
    )
    group.command("evidence")(evidence)
    group.command("requests")(requests)
    group.command("export")(export)
    group.command("erase")(erase)
    app.add_typer(group, name="privacy")


# Evidence.


def evidence(context: typer.Context, customer_id: CustomerId, as_json: JsonFlag = False) -> None:
    """Show what a customer has said about consent and lists, and what proves it."""
    settings = settings_of(context)

    async def look_up() -> Customer | None:
        async with open_log(settings) as log:
            lookups = lookups_of(settings, log)
            found = await find_customer(log, customer_id, lookups=lookups, told=without_answer)
            return found[1]

    customer = run(look_up())
    if customer is None:
        raise UserError(f"nothing is known about {customer_id!r}")
    said = sorted(customer.evidence, key=lambda each: each.time)
    if as_json:
        for each in said:
            print_json(_evidence_as_dict(each))
        return
    if not said:
        stdout().print("Nothing was ever said.")
        return
    columns = ("time", "what", "said", "how", "words", "mail", "event")
    stdout().print(listing(columns, map(_evidence_row, said)))


def _evidence_row(each: Evidence) -> tuple[str, ...]:
    what = f"list {each.list}" if each.purpose == "list" else each.purpose
    how = f"{each.source} from {each.ip}" if each.ip else each.source
    return (
        to_rfc3339(each.time - each.time % 1000),
        what,
        "yes" if each.given else "no",
        how,
        each.wording or "-",
        each.mail or "-",
        each.event_id,
    )


def _evidence_as_dict(each: Evidence) -> dict[str, Any]:
    return {
        "time": to_rfc3339(each.time),
        "purpose": each.purpose,
        "list": each.list or None,
        "given": each.given,
        "source": each.source,
        "wording": each.wording or None,
        "mail": each.mail or None,
        "ip": each.ip or None,
        "event_id": each.event_id,
    }


# Requests for a copy.


def requests(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the copies that customers have asked for and have not got, the oldest first."""
    open_ = run(_requests(settings_of(context)))
    if as_json:
        for each in open_:
            print_json(
                {
                    "customer": each.customer,
                    "time": to_rfc3339(each.time),
                    "due": to_rfc3339(each.time + ANSWER_MS),
                }
            )
        return
    if not open_:
        stdout().print("Nobody waits for a copy.")
        return
    stdout().print(listing(("customer", "asked", "due"), map(_request_row, open_)))


def _request_row(each: DataRequested) -> tuple[str, ...]:
    asked, due = (to_rfc3339(at - at % 1000) for at in (each.time, each.time + ANSWER_MS))
    return shown(each.customer), asked, due


async def _requests(settings: Settings) -> list[DataRequested]:
    """A request is answered by an export after it; the topic keeps both for thirty days."""
    open_: dict[str, DataRequested] = {}
    async with open_log(settings) as log:
        async for record in scan(log, CUSTOMER_SIGNALS):
            _take_signal(record, open_)
    return sorted(open_.values(), key=lambda each: each.time)


def _take_signal(record: Record, open_: dict[str, DataRequested]) -> None:
    try:
        signal = SIGNAL.validate_json(record.value or b"")
    except ValueError:
        return
    if isinstance(signal, DataRequested):
        open_.setdefault(signal.customer, signal)
    elif isinstance(signal, DataExported) or signal.signal == "customer.erased":
        open_.pop(signal.customer, None)


# A copy.


def export(
    context: typer.Context,
    customer_id: CustomerId,
    out: Annotated[
        Path, typer.Option(*OUTPUT, help="Directory for the files; must be new or empty.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Write a copy of all that is known about a customer (GDPR art. 15 and 20)."""
    settings = settings_of(context)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: {out} exists and is not an empty directory")
    counts = run(_export(settings, customer_id, out))
    if as_json:
        print_json({"directory": str(out), **counts})
        return
    for name, count in counts.items():
        stdout().print(f"{count:>8,}  {name}", markup=False)
    stdout().print(f"Written to {out}. Send it to the person only, in a way that is safe.",
                   markup=False)  # fmt: skip


async def _export(settings: Settings, customer_id: str, out: Path) -> dict[str, int]:
    # Rendering needs the templates and what makes mails, which the other commands don't.
    from agents.mail.message.compose import Composer  # noqa: PLC0415  # see above
    from agents.mail.message.render import TemplateProblem  # noqa: PLC0415
    from streams.mail.templates import load_renderer  # noqa: PLC0415
    from streams.operate.privacy.copies import write_copy  # noqa: PLC0415
    from streams.runtime.factories import mail_settings  # noqa: PLC0415

    try:
        renderer = load_renderer(settings.workflows_dir, settings.shop_locale)
    except TemplateProblem as error:
        raise UserError(f"a mail template can't be used: {error}") from None
    composer = Composer(mail_settings(settings), renderer)
    async with open_log(settings) as log:
        with progress("reading the log") as bar:
            collected = await collect(
                log,
                customer_id,
                lookups=lookups_of(settings, log),
                told=without_answer,
                on_progress=bar.at,
            )
        if collected.is_empty:
            raise UserError(f"nothing is known about {customer_id!r}")
        try:
            counts = write_copy(
                collected,
                out,
                time=SystemClock().now(),
                shop=settings.shop_name,
                email=settings.shop_support_email,
                view=composer.view,
            )
        except OSError as error:
            raise CommandFailed(f"{out}: {error.strerror or error}") from None
        await _note_export(log, collected.ids[0])
    return counts


async def _note_export(log: Log, customer: str) -> None:
    """Let `requests` and other systems know that the copy was made."""
    done = DataExported(id=uuid.uuid4().hex, time=SystemClock().now(), customer=customer)
    partition = partition_of(customer.encode(), await log.partitions(CUSTOMER_SIGNALS))
    record = OutRecord(customer.encode(), done.model_dump_json().encode())
    await log.append(CUSTOMER_SIGNALS, partition, [record])


# Erasure.


def erase(
    context: typer.Context,
    customer_id: CustomerId,
    source: Annotated[
        str, typer.Option(help="How the customer asked; goes with the event.")
    ] = "asked the shop",
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the workers.")
    ] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether it is meant.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Erase a customer: state, queue, log. It can't be undone; a worker has to be running."""
    settings = settings_of(context)
    if not yes and not typer.confirm(f"Erase {customer_id!r} for good?", err=True):
        raise UserError("nothing was erased")
    left, audiences = run(_erase(settings, customer_id, source, wait))
    files = [
        {"time": to_rfc3339(each.time), "export": each.export, "segment": each.segment,
         "format": each.format, "by": each.by}
        for each in audiences
    ]  # fmt: skip
    snapshots = _out_of_the_store(settings)
    if as_json:
        print_json({"customer": customer_id, "left": left, "audiences": files,
                    "snapshots": snapshots})  # fmt: skip
        return
    stdout().print(f"{customer_id!r} is erased.", markup=False)
    for each in files:
        say(f"stands, as a hash, in the audience {each['segment']} that {each['by']} wrote at "
            f"{each['time']}: write it anew, and replace it where it was handed to")  # fmt: skip
    for path in snapshots or ():
        say(
            f"may stand, under a pseudonym, in the snapshot {path}: remove it, and make another one"
        )
    for topic, until in left.items():
        say(f"{topic}: records stay until {until}, single ones can't be removed from Kafka")


async def _erase(
    settings: Settings, customer_id: str, source: str, wait: float
) -> tuple[dict[str, str], list[AudienceExported]]:
    """Ask for the erasure and wait for it; return what stays, by topic, and until when, and in
    which audiences the person was handed out."""
    from streams.outbound.audience import exports  # noqa: PLC0415  # only here

    async with open_log(settings) as log:
        who, known = await find_customer(log, customer_id)
        audiences = [each for each, _ in await exports(log, who)]
        starts = {n: span.end for n, span in (await log.offsets(CUSTOMERS_CHANGELOG)).items()}
        partition = partition_of(who.encode(), await log.partitions(CUSTOMER_EVENTS))
        asking = record_signer(settings).sign(CUSTOMER_EVENTS, _asking(who, source))
        asked = await log.append(CUSTOMER_EVENTS, partition, [asking])
        deadline = time.monotonic() + wait
        # Who they were as a visitor is forgotten after them, by actors of its own, and so is a
        # visitor of the same id.
        own = await latest_states(log, of_visitor(who))
        visitors = [*map(of_visitor, () if known is None else known.visitors)]
        visitors += [each for each in known_customers(own) if each != who]
        everybody = {who: asked} | dict.fromkeys(visitors, 0)
        for each, since in everybody.items():
            while not await _is_forgotten(log, each.encode(), starts, since):
                await _pause(
                    deadline, "asked for; no worker has carried it out yet. Is one running?"
                )
        if settings.on_kafka:
            return await _what_stays(log), audiences
        for each in everybody:
            while not await _is_out_of_the_log(log, each):
                await _pause(deadline, "forgotten; the worker still clears the log, by itself")
    return {}, audiences


def _out_of_the_store(settings: Settings) -> list[str] | None:
    """Have the store of facts take the erasure in, and return which snapshots were made of it;
    None, having said so, if it can't be asked: the person is erased all the same."""
    from streams.insights.errors import InsightsError  # noqa: PLC0415  # see above
    from streams.tools.insights import snapshots_after_erasure  # noqa: PLC0415  # as above

    async def asked() -> list[str] | None:
        with progress("reading the facts") as bar:
            try:
                return await snapshots_after_erasure(settings, bar.at)
            except InsightsError as error:
                say(f"the store of facts takes the erasure in when it is fed next: {error}")
                return None

    return run(asked())


def _asking(customer: str, source: str) -> OutRecord:
    type_ = "customer.erasure_requested"
    return to_record(
        Event(
            id=uuid.uuid4().hex,
            type=type_,
            source=SOURCE,
            time=SystemClock().now(),
            customer=customer,
            anonymous_id=None,
            backfill=False,
            data=PAYLOADS[type_].model_validate({"source": source}),
        )
    )


async def _pause(deadline: float, problem: str) -> None:
    if time.monotonic() >= deadline:
        raise CommandFailed(problem)
    await asyncio.sleep(POLL_SECONDS)


async def _is_forgotten(log: Log, key: bytes, starts: Mapping[int, int], asked: int) -> bool:
    """Whether the changelog has, since `starts` (by partition), an empty state that knows of the
    request."""
    partition = partition_of(key, len(starts))
    async for record in scan(log, CUSTOMERS_CHANGELOG, [partition], start=starts[partition]):
        if record.key == key and _is_empty_since(record.value, asked):
            return True
    return False


def _is_empty_since(state: bytes | None, asked: int) -> bool:
    return state is None or (is_erased(state) and head(state).applied >= asked)


async def _is_out_of_the_log(log: Log, customer: str) -> bool:
    from streams.operate.privacy.erasing import Erasing  # noqa: PLC0415  # only on the embedded log

    return await Erasing(cast("EmbeddedLog", log)).is_done(customer)


async def _what_stays(log: Log) -> dict[str, str]:
    """Return, by topic, until when Kafka keeps records that it was given until now."""
    left = {}
    now = SystemClock().now()
    for topic in PERSONAL:
        described = await log.describe(topic)
        config = described.config if described else {}
        if "compact" in config.get("cleanup.policy", "delete"):
            lag = int(config.get("min.compaction.lag.ms", 0)) + int(config.get("segment.ms", 0))
            left[topic] = to_rfc3339(now + lag - (now + lag) % 1000) + ", by compaction"
        else:
            kept = int(config.get("retention.ms", -1))
            left[topic] = "for ever" if kept < 0 else to_rfc3339(now + kept - (now + kept) % 1000)
    return left
