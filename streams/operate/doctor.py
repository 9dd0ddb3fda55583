"""Checks: is everything there that a worker needs, and as it must be?

One check that fails hides none of the others, and none ends in a traceback.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib

from schemas import events
from schemas.failures import Failure
from schemas.instant import to_rfc3339
from schemas.reference import shown
from schemas.stored import Progress
from streams.clock import Clock
from streams.log import Log, LogError, OffsetRange, OnProgress, scan
from streams.logging import get_logger
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus, aligned
from streams.operate.file_modes import check_modes
from streams.operate.insights_check import check_insights
from streams.operate.kept_records import ask_workers, check_kept
from streams.operate.lookup import latest_progress
from streams.operate.mapping_checks import check_mappings
from streams.operate.privacy.erasing import GROUP as ERASING
from streams.operate.retrying import set_asides
from streams.operate.returns import check_bounce_domain, check_inbound_channels
from streams.operate.shop_checks import (
    check_coupons,
    check_postal_address,
    check_public_url,
    check_sender,
)
from streams.operate.topic_checks import check_topics
from streams.runtime.control_numbers import last_publication, untold_partitions
from streams.runtime.definitions import DefinitionError, read, read_files, versions_of
from streams.runtime.factories import (
    consumer_group,
    dkim_keys,
    lookups_of,
    record_signer,
    sender_domain,
)
from streams.runtime.log_identity import LogIdentity, LogReplaced, LogTooShort, PartitionsChanged
from streams.runtime.logs.embedded.file import faults
from streams.runtime.readiness import DiskProbe, worker_directories
from streams.runtime.ticks import STANDSTILL_MS, TICK
from streams.settings import Settings
from streams.settings.sources import SettingsError
from streams.settings.values import SMTP_PORTS, split_urls
from streams.topology import AGENTS, CUSTOMER_EVENTS, WORKFLOWS

_log = get_logger(__name__)

SMTP_SECONDS = 10.0
"""A relay that doesn't greet within ten seconds holds back every mail."""

SKEW_MS = 5_000
"""More than this between broker and machine, and delivery ages in the metrics mislead."""

NAMED = 5
"""Customers who are held back that are named (the dead letters name all), and so of partitions."""


async def examine(
    settings: Settings,
    log: Log,
    clock: Clock,
    settings_file: Path | None = None,
    *,
    deep: OnProgress | None = None,
) -> list[Check]:
    """Run every check. `log` need not be started; it is stopped again when it was not.
    `settings_file` is where settings were read, None: in none. `deep`: all that is kept is read and
    compared as well, and it is told how far that is."""
    checks = [
        *await _guarded("data directory", lambda: check_data_dir(settings)),
        *await _guarded("keys", lambda: check_keys(settings)),
        *await _guarded("file modes", lambda: check_modes(settings, settings_file)),
    ]
    if deep is not None and not settings.on_kafka:
        checks += await _guarded("log file", lambda: check_log_file(settings))
    try:
        await log.start()
    except LogError as error:
        remedy = "Is it running, and is RITORNO_BROKER right?"
        checks.append(Check("broker", CheckStatus.FAIL, str(error), remedy))
    else:
        try:
            checks.append(Check("broker", CheckStatus.OK, f"{settings.broker_url} answers"))
            checks += await _examine_log(settings, log, clock, deep)
        finally:
            await log.stop()
    return [
        *checks,
        *await _guarded("dkim", lambda: check_dkim(settings)),
        *await _guarded("relay", lambda: check_smtp(settings)),
        *await _guarded("sender", lambda: check_sender(settings)),
        *await _guarded("public URL", lambda: check_public_url(settings)),
        *await _guarded("postal address", lambda: check_postal_address(settings)),
        *await _guarded("bounce domain", lambda: check_bounce_domain(settings)),
        *await _guarded("returns", lambda: check_inbound_channels(settings)),
        *await _guarded("insights", lambda: check_insights(settings)),
        *await _guarded("mappings", lambda: check_mappings(settings)),
    ]


async def _examine_log(
    settings: Settings, log: Log, clock: Clock, deep: OnProgress | None
) -> list[Check]:
    found = await _guarded("topics", lambda: check_topics(log, settings))
    if any(check.name == "topics" and check.status is CheckStatus.FAIL for check in found):
        return [*found, *await _guarded("workflows", lambda: check_workflows(settings, None))]
    ours = [consumer_group(settings), ERASING]
    return [
        *found,
        *await _guarded("workflows", lambda: check_workflows(settings, log)),
        *await _guarded("keys in use", lambda: check_keys_in_use(settings, log)),
        *await _guarded("coupons", lambda: check_coupons(settings, log, ours)),
        *await _guarded("clock", lambda: check_clock(log, clock)),
        *await _guarded("logs", lambda: check_logs(settings, log)),
        *await _guarded("workers", lambda: _examine_kept(settings, log)),
        *await _guarded("lag", lambda: check_lag(log, clock)),
        *await _guarded("set aside", lambda: check_set_asides(log)),
        *await _guarded("stores", lambda: _examine_deeply(settings, log, deep)),
    ]


async def _examine_deeply(settings: Settings, log: Log, deep: OnProgress | None) -> list[Check]:
    if deep is None:
        return []
    # RocksDB takes 20 MB that the other checks don't need.
    from streams.operate.consistency import check_consistency  # noqa: PLC0415  # see above

    return await check_consistency(settings, log, deep)


async def _examine_kept(settings: Settings, log: Log) -> list[Check]:
    health, workers = await ask_workers(lookups_of(settings, log))
    return [workers, *await check_kept(log, {tp for tp, e in health.items() if e.is_open})]


Found = Check | list[Check]


async def _guarded(name: str, check: Callable[[], Found | Awaitable[Found]]) -> list[Check]:
    """Run a check; whatever becomes of it, the others say what they have to say."""
    try:
        found = check()
        if isinstance(found, Awaitable):
            found = await found
    except Failure as error:
        return [Check(name, CheckStatus.FAIL, str(error))]
    except Exception as error:  # a defect of ours in one check must not hide what the others say
        _log.debug("a check has failed itself", check=name, exc_info=error)
        text = f"this check has failed itself: {type(error).__name__}: {error}"
        return [Check(name, CheckStatus.FAIL, text, "Report it with this line.")]
    return found if isinstance(found, list) else [found]


# Definitions, time, progress.


async def check_workflows(settings: Settings, log: Log | None) -> Check:
    """Read the workflow files, and compare them with what is live. Raises LogError."""
    try:
        files = versions_of(read_files(settings.workflows_dir))
    except DefinitionError as error:
        return Check(
            "workflows", CheckStatus.FAIL, str(error), "Mend the file, or RITORNO_WORKFLOWS_DIR."
        )
    live = None if log is None else (await read(log)).live
    if live is None:
        text = f"{several(len(files), 'enabled file')} can be read; none is published yet"
        return Check("workflows", CheckStatus.OK, text, "The first worker publishes them.")
    changed = sorted(name for name in {*files, *live} if files.get(name) != live.get(name))
    if changed:
        text = f"files differ from what is live: {', '.join(changed)}"
        return Check("workflows", CheckStatus.WARN, text, "ritorno workflows publish")
    return Check("workflows", CheckStatus.OK, f"{several(len(files), 'enabled file')}, all live")


async def check_clock(log: Log, clock: Clock) -> Check:
    """Compare the append time of one tick with the machine's clock. Raises LogError."""
    spans = await log.offsets(CUSTOMER_EVENTS)
    number = next((number for number, span in spans.items() if not span.pending), 0)
    before = clock.now()
    offset = await log.append(CUSTOMER_EVENTS, number, [TICK])
    after = clock.now()
    span = (await log.offsets(CUSTOMER_EVENTS))[number]
    if span.end <= offset:
        text = f"the broker's clock can't be asked: {_open_transactions({number: span})}"
        return Check("clock", CheckStatus.WARN, text, _end_transaction({number: span}, log))
    stamp = before
    async for record in scan(log, CUSTOMER_EVENTS, [number], start=offset, stop=offset + 1):
        stamp = record.timestamp
    skew = min(stamp - before, 0) + max(stamp - after, 0)
    if abs(skew) > SKEW_MS:
        side = "ahead of" if skew > 0 else "behind"
        text = f"the broker's clock is {abs(skew) / 1000:.1f} s {side} this machine's"
        return Check("clock", CheckStatus.WARN, text, "Let both keep time by NTP.")
    return Check("clock", CheckStatus.OK, "the broker's clock and this machine's agree")


async def check_logs(settings: Settings, log: Log) -> Check:
    """See that the logs are those that were read. Raises LogError, SettingsError."""
    identity = LogIdentity(log, record_signer(settings))
    problems = []
    for agent in AGENTS:
        for number in await log.offsets(agent.reads):
            progress = await latest_progress(log, number, agent.keeps)
            try:
                await identity.known(agent.reads, number, progress or Progress())
            except (LogTooShort, LogReplaced, PartitionsChanged) as error:
                problems.append(str(error))
    if not problems:
        return Check("logs", CheckStatus.OK, "they are those that were read")
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    remedy = "Stop whoever publishes, until what is said here is done."
    return Check("logs", CheckStatus.FAIL, "; ".join(problems[:NAMED]) + more, remedy)


async def check_lag(log: Log, clock: Clock) -> Check:
    """Say how far the workers are behind, by the progress in the changelog. Raises LogError."""
    ends = await log.offsets(CUSTOMER_EVENTS)
    progress = {number: await latest_progress(log, number) for number in ends}
    known = {number: each for number, each in progress.items() if each is not None}
    if not known:
        return Check("lag", CheckStatus.OK, "no worker has run yet")
    waiting = {
        number: span.high_watermark
        - max(span.start, known[number].next_offset if number in known else 0)
        for number, span in ends.items()
    }
    if short := sorted(number for number, count in waiting.items() if count < 0):
        text = (
            f"negative lag: {CUSTOMER_EVENTS} was made anew, and its log ends before what was read "
            f"of it: partitions {short}"
        )
        return Check("lag", CheckStatus.FAIL, text, "ritorno topics create fills it up")
    behind = sum(waiting.values())
    # A quiet partition's time is minutes old and nothing waits in it, not even a tick.
    still = [known[number].log_time for number in known if waiting[number]]
    pending = {number: span for number, span in ends.items() if span.pending}
    transactions = f"; {_open_transactions(pending)}" if pending else ""
    if still and clock.now() - min(still) > STANDSTILL_MS:
        since = to_rfc3339(min(still))
        text = f"waiting: {several(behind, 'record')}; a partition stands still since {since}"
        remedy = (
            _end_transaction(pending, log) if pending else "Is a worker running? ritorno worker"
        )
        return Check("lag", CheckStatus.WARN, text + transactions, remedy)
    return Check(
        "lag", CheckStatus.OK, f"workers are {several(behind, 'record')} behind{transactions}"
    )


def _open_transactions(pending: Mapping[int, OffsetRange]) -> str:
    """Return what is said of partitions in which a producer's transaction is open."""
    listed = ", ".join(
        f"partition {number} from offset {span.end} ({several(span.pending, 'record')})"
        for number, span in list(pending.items())[:NAMED]
    )
    more = "" if len(pending) <= NAMED else f" and {len(pending) - NAMED} more"
    return f"{CUSTOMER_EVENTS} waits for a producer to end its transaction: {listed}{more}"


def _end_transaction(pending: Mapping[int, OffsetRange], log: Log) -> str:
    number, span = next(iter(pending.items()))
    return (
        "Is the producer running? What it has left open: kafka-transactions.sh abort "
        f"--topic {log.named(CUSTOMER_EVENTS)} --partition {number} --start-offset {span.end}"
    )


async def check_set_asides(log: Log) -> Check:
    """Say what our own code has failed at, as far as nobody has dealt with it. Raises LogError."""
    found = await set_asides(log)
    if not found:
        return Check("set aside", CheckStatus.OK, "nothing has failed twice")
    parts = [f"{number} {kind}" for kind, number in sorted(found.others.items())]
    if found.events:
        parts.append(several(found.events, "record"))
    if found.held_back:
        names = [
            f"{shown(each.customer)!r} (partition {each.partition})" for each in found.held_back
        ]
        more = "" if len(names) <= NAMED else f" and {len(names) - NAMED} more"
        parts.append(f"held back: {', '.join(names[:NAMED])}{more}")
    if found.overflowing:
        parts.append(f"{several(found.overflowing, 'event')} that could not wait any more")
    remedy = (
        "Report it; after the fix, ritorno dead-letters resend --reason internal_error, then "
        "--reason held_back. What is damaged for good: ritorno customer retry ID --afresh"
    )
    return Check("set aside", CheckStatus.WARN, "; ".join(parts), remedy)


# The machine and the relay.


async def check_log_file(settings: Settings) -> Check:
    """Have SQLite look at every page of the embedded log. Raises LogError."""
    path = settings.embedded_path
    wrong = await faults(path)
    if not wrong:
        return Check("log file", CheckStatus.OK, f"SQLite finds nothing wrong in {path}")
    remedy = "Stop the worker, keep a copy of the directory, and restore a backup."
    return Check("log file", CheckStatus.FAIL, f"{path}: {'; '.join(wrong)}", remedy)


async def check_data_dir(settings: Settings) -> Check:
    """Write where a worker does, to the disk's end."""
    directories = worker_directories(settings)
    try:
        for each in directories:
            each.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"{each} can't be written: {error.strerror}"
        return Check("data directory", CheckStatus.FAIL, text, "Set RITORNO_DATA_DIR.")
    ready, problem = await DiskProbe(directories)()
    if not ready:
        return Check("data directory", CheckStatus.FAIL, problem, "Set RITORNO_DATA_DIR.")
    return Check("data directory", CheckStatus.OK, f"{settings.data_dir} can be written")


def check_keys(settings: Settings) -> Check:
    """Say whether what is ours in the topics is signed, and whether that is insisted on."""
    try:
        record_signer(settings)
    except SettingsError as error:
        remedy = "Set RITORNO_TOKEN_KEYS=ID:SECRET, the same for all workers and commands."
        return Check("keys", CheckStatus.FAIL, str(error), remedy)
    if settings.accept_unsigned:
        text = "whoever may write to the topics is believed (RITORNO_ACCEPT_UNSIGNED)"
        remedy = "Unset it when no worker of a release before 0.2 is left."
        return Check("keys", CheckStatus.WARN, text, remedy)
    return Check(
        "keys", CheckStatus.OK, "what Ritorno writes into its topics is signed and checked"
    )


async def check_keys_in_use(settings: Settings, log: Log) -> list[Check]:
    """Say whether what is live was signed with a key that is listed; nothing where nothing is live.
    Raises LogError, SettingsError."""
    last = await last_publication(log, WORKFLOWS)
    if last is None:
        return []
    untold = await untold_partitions(log, events.WORKFLOWS, last, record_signer(settings))
    if not untold:
        return [Check("keys in use", CheckStatus.OK, "what is live is signed with a listed key")]
    where = "any partition" if len(untold) == await log.partitions(CUSTOMER_EVENTS) else (
        f"partitions {', '.join(map(str, untold))}"
    )  # fmt: skip
    text = f"nothing of what is live, signed with a listed key, is in {where} of {CUSTOMER_EVENTS}"
    remedy = (
        "After a move or a restore: ritorno workflows publish. Else the key was replaced: put the "
        "old one back (RITORNO_TOKEN_KEYS, data_dir/signing-key), links and replays need it."
    )
    return [Check("keys in use", CheckStatus.WARN, text, remedy)]


def check_dkim(settings: Settings) -> Check:
    """Read the keys that sign mails, and say what the DNS must hold; it is not asked here."""
    try:
        keys = dkim_keys(settings)
    except SettingsError as error:
        remedy = "Name a key that can be read, or make one: ritorno dkim generate SELECTOR"
        return Check("dkim", CheckStatus.FAIL, str(error), remedy)
    if not keys:
        text = "mails leave unsigned, which is right only where the relay signs them"
        return Check("dkim", CheckStatus.OK, text)
    sender, domain = sender_domain(settings), keys[0].domain
    if not aligned(sender, domain):
        text = f"mails come from {sender} and are signed as {domain}: DMARC counts that as unsigned"
        return Check("dkim", CheckStatus.WARN, text, f"Set RITORNO_MAIL_DKIM_DOMAIN={sender}.")
    if weak := [key.selector for key in keys if key.weak]:
        text = f"the key of {', '.join(weak)} has less than 2048 bits"
        return Check("dkim", CheckStatus.WARN, text, "ritorno dkim generate SELECTOR")
    names = ", ".join(f"{key.record_name} ({key.algorithm})" for key in keys)
    text = f"mails are signed as {domain}; the DNS must have {names}: ritorno dkim show"
    return Check("dkim", CheckStatus.OK, text)


async def check_smtp(settings: Settings) -> Check:
    """Greet each relay (EHLO) and leave; no mail is sent and no password is tried."""
    urls = split_urls(settings.smtp_url.get_secret_value())
    found = await asyncio.gather(*(_greet(url) for url in urls))
    silent = [text for up, text in found if not up]
    text = "; ".join(text for _, text in found)
    if not silent:
        return Check("relay", CheckStatus.OK, text)
    # The others carry the mails, but nobody is left when they fail, too.
    status = CheckStatus.FAIL if len(silent) == len(urls) else CheckStatus.WARN
    return Check("relay", status, text, "Is RITORNO_SMTP_URL right?")


async def _greet(relay_url: str) -> tuple[bool, str]:
    """Return whether a relay answers, and how to say so."""
    url = urlsplit(relay_url)
    host, port = url.hostname or "", url.port or SMTP_PORTS[url.scheme]
    relay = aiosmtplib.SMTP(
        hostname=host,
        port=port,
        use_tls=url.scheme == "smtps",
        start_tls=url.scheme == "smtp+starttls",
        timeout=SMTP_SECONDS,
    )
    try:
        async with asyncio.timeout(2 * SMTP_SECONDS):
            await relay.connect()
            await relay.ehlo()
            await relay.quit()
    except (aiosmtplib.SMTPException, OSError, ssl.SSLError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        return False, f"{host}:{port} does not answer as a mail relay: {why}"
    finally:
        relay.close()
    return True, f"{host}:{port} answers"
