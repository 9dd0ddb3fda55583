"""`ritorno replay`: who would have received what, when and why, from a recorded log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.table import Table

from agents.links.names import is_link
from schemas.instant import parse_instant, to_rfc3339
from schemas.time_units import DAY_MS
from streams.messages.plurals import several
from streams.messages.translations import Language, message
from streams.settings import Settings
from streams.tools.cli.console import (
    OUTPUT,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    progress,
    run,
    say,
    settings_of,
    stdout,
)
from streams.tools.cli.files import opened
from streams.tools.event_types import near_own
from streams.tools.publisher import read_lines

if TYPE_CHECKING:
    from agents.definitions.published import Definitions
    from streams.tools.replayed_partition import Outcome

SHOWN = 5
"""Examples printed of each reason for a refusal."""
ODD_KINDS_SHOWN = 20
"""Kinds of odd fields that are printed, the most frequent."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("replay")(replay)


def replay(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="NDJSON file of events, also .gz; - for stdin; or a topic.")
    ],
    until: Annotated[
        str, typer.Option(help="The end, such as 2026-03-31 (that day included) or RFC 3339.")
    ],
    out: Annotated[
        Path, typer.Option(*OUTPUT, help="Directory for the three files that are written.")
    ],
    workflows_dir: Annotated[Path | None, typer.Option(help="Workflow files to decide by.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also by the recipes that are not enabled.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of a file: play its customers in partitions, by so many processes."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Replay a recorded log on virtual time: nothing is sent, every run gives the same bytes.

    Writes commands.ndjson, decisions.ndjson and customers.ndjson. A file is decided by the workflow
    files, a topic by the versions that were live in it.
    """
    settings = settings_of(context, workflows_dir=workflows_dir)
    end = parse_until(until)
    from streams.runtime import gc_tuning  # noqa: PLC0415  # as the next one
    from streams.tools import replayed_partition as replaying  # noqa: PLC0415  # pydantic models take a moment

    gc_tuning.search_less()
    path = Path(source)
    try:
        if source == "-" or path.is_file() or _looks_like_file(source):
            outcome = _of_file(path, end, settings, everything=everything, jobs=jobs)
        elif jobs is not None:
            raise UserError(f"--jobs: {source} is no file; a topic is played by one process")
        else:
            outcome = run(_of_topic(source, end, settings))
        replaying.write(outcome, out)
    except replaying.ReplayError as error:
        raise UserError(f"{source}: {error}") from None
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}") from None
    _show(outcome, out, as_json=as_json)


def parse_until(text: str) -> int:
    """Return the last instant (ms) that `text` names: of a date, its last one in UTC.

    Raises UserError.
    """
    try:
        instant = parse_instant(text)
        day = len(text) == len("2026-03-31") and datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise UserError(f"--until {text}: {error}") from None
    return instant + DAY_MS - 1 if day else instant


def _looks_like_file(source: str) -> bool:
    return "/" in source or source.endswith((".ndjson", ".jsonl", ".json", ".gz"))


def _of_file(
    path: Path, until: int, settings: Settings, *, everything: bool, jobs: int | None
) -> Outcome:
    from streams.runtime.definitions import read_files  # noqa: PLC0415  # as above
    from streams.runtime.factories import (  # noqa: PLC0415  # as above
        deduplication_rules,
        notation,
        visitor_limits,
    )
    from streams.tools.replay import prepared, replay_file  # noqa: PLC0415  # as above

    files = read_files(settings.workflows_dir, everything=everything)
    # A file is one partition, whatever the worker has: as many visitors arrive as there are.
    limits = visitor_limits(settings)._replace(per_second=None)
    definitions, live = prepared(files, deduplication_rules(settings), limits, notation(settings))
    if jobs is not None:
        return _side_by_side(path, until, jobs, definitions, live)
    with opened(path) as source, progress(f"replaying {path.name}", source.size) as bar:
        return replay_file(
            _lines(source.stream),
            until=until,
            definitions=definitions,
            live=live,
            report=lambda _: bar.at(source.position()),
        )


def _side_by_side(
    path: Path, until: int, jobs: int, definitions: Definitions, live: Mapping[str, str]
) -> Outcome:
    from streams.tools.parallel_replay import ReplayFile, replay_side_by_side  # noqa: PLC0415  # as above

    if str(path) == "-":
        raise UserError("--jobs: standard input can be read only once; write it to a file first")

    @contextmanager
    def lines() -> Iterator[Iterable[bytes]]:
        with opened(path) as source:
            yield _lines(source.stream)

    with progress(f"replaying {path.name}") as bar:
        return replay_side_by_side(
            ReplayFile(lines),
            jobs,
            until=until,
            definitions=definitions,
            live=live,
            report=bar.at,
            told=say,
        )


async def _of_topic(topic: str, until: int, settings: Settings) -> Outcome:
    from agents.definitions.published import Definitions  # noqa: PLC0415  # as above
    from streams.runtime.definitions import DefinitionLoader  # noqa: PLC0415  # as above
    from streams.runtime.factories import (  # noqa: PLC0415  # as above
        coupon_key,
        deduplication_rules,
        has_signing_keys,
        link_key,
        notation,
        record_signer,
        visitor_limits,
    )
    from streams.tools.replay import replay_topic  # noqa: PLC0415  # as above

    keyless = not has_signing_keys(settings)
    if keyless:
        say("neither RITORNO_TOKEN_KEYS nor a key in RITORNO_DATA_DIR: whoever has written into "
            "the topic is believed, and generated coupon codes are others")  # fmt: skip
    definitions = Definitions(
        coupon_key=b"" if keyless else coupon_key(settings),
        link_key=b"" if keyless else link_key(settings),
        deduplication_rules=deduplication_rules(settings),
        limits=visitor_limits(settings),
        notation=notation(settings),
    )
    signer = None if keyless else record_signer(settings)
    with progress(f"replaying {topic}") as bar:
        async with open_log(settings) as log:
            if await log.describe(topic) is None:
                raise UserError(f"there is no topic {topic!r}, and no file of that name")
            await DefinitionLoader(log, definitions).refresh()
            return await replay_topic(
                log,
                topic=topic,
                until=until,
                definitions=definitions,
                signer=signer,
                report=bar.at,
            )


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield every line, blank ones too, so that the replay numbers them as an editor does."""
    number = 0
    for line in read_lines(stream):
        for _ in range(line.number - number - 1):
            yield b""
        number = line.number
        yield line.content


def _show(outcome: Outcome, out: Path, *, as_json: bool) -> None:
    summary = summarize(outcome)
    if as_json:
        print_json({**summary, "out": str(out)})
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for label, count in _rows(summary):
        table.add_row(label, f"{count:,}")
    stdout().print(table)
    _show_refusals(outcome)
    _show_odd(outcome)
    _show_undeclared(outcome)
    if outcome.believed:
        believed = several(outcome.believed, "record")
        say(f"believed unsigned: {believed} that only Ritorno may write")
    if summary["events_after_until"]:
        say(f"left out, after --until: {several(summary['events_after_until'], 'event')}")
    say(f"written: {out}/commands.ndjson, decisions.ndjson, customers.ndjson")


def summarize(outcome: Outcome) -> dict[str, Any]:
    """Return what a replay has produced, in numbers."""
    commands: Counter[str] = Counter()
    for *_, line in outcome.commands:
        command = json.loads(line)
        commands[f"{command['workflow']} {command['step']} ({command['class']})"] += 1
    decisions: Counter[str] = Counter()
    for *_, line in outcome.decisions:
        decision = json.loads(line)
        decisions[f"{decision['decision']}: {decision['reason']}"] += 1
    return {
        "events": outcome.events,
        "events_after_until": outcome.after_until,
        "customers": sum(not is_link(each) for each in outcome.customers),
        "commands": len(outcome.commands),
        "commands_by_step": dict(sorted(commands.items())),
        "decisions": len(outcome.decisions),
        "decisions_by_reason": dict(sorted(decisions.items())),
        "believed_unsigned": outcome.believed,
        "refused": len(outcome.refusals),
        "refused_by_reason": dict(sorted(outcome.reasons().items())),
        "refused_examples": [
            {"where": where, "reason": reason, "detail": detail}
            for where, reason, detail in outcome.refusals[:100]
        ],
        **({"odd_fields": _odd_fields(outcome)} if outcome.odd else {}),
        **({"undeclared": dict(sorted(outcome.undeclared.items()))} if outcome.undeclared else {}),
        "first": to_rfc3339(min(outcome.commands)[0]) if outcome.commands else None,
        "last": to_rfc3339(max(outcome.commands)[0]) if outcome.commands else None,
    }


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    yield "events", summary["events"]
    yield "customers and visitors", summary["customers"]
    yield "mails commanded", summary["commands"]
    for step, count in summary["commands_by_step"].items():
        yield f"  {step}", count
    yield "decisions", summary["decisions"]
    for reason, count in summary["decisions_by_reason"].items():
        yield f"  {reason}", count
    yield "refused", summary["refused"]


def _show_refusals(outcome: Outcome) -> None:
    for reason, count in sorted(outcome.reasons().items()):
        say(f"REFUSED: {count} × {reason}")
        examples = [(where, text) for where, why, text in outcome.refusals if why == reason]
        for where, text in examples[:SHOWN]:
            say(f"  {where}: {printable(text)}")


def _odd_fields(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "type": kind.type,
            "field": kind.field,
            "problem": kind.problem,
            "left_out": not kind.kept,
            "count": count,
            "examples": [
                {"where": where, "value": value} for where, value in outcome.odd_examples[kind]
            ],
        }
        for kind, count in sorted(outcome.odd.items())
    ]


def _show_odd(outcome: Outcome) -> None:
    kinds = sorted(outcome.odd.items(), key=lambda kind: (-kind[1], kind[0]))
    for kind, count in kinds[:ODD_KINDS_SHOWN]:
        problem = message(Language("en"), f"odd.problem.{kind.problem}")
        say(f"ODD: {count} × {kind.type} {printable(kind.field)}: {problem}, {kind.became}")
        for where, value in outcome.odd_examples[kind]:
            say(f"  {where}: {printable(value)}")
    if len(kinds) > ODD_KINDS_SHOWN:
        more = several(len(kinds) - ODD_KINDS_SHOWN, "further kind")
        say(f"and {more} of odd fields; ritorno events quality tells them all")


def _show_undeclared(outcome: Outcome) -> None:
    names = sorted(outcome.undeclared.items(), key=lambda row: (-row[1], row[0]))
    for type_, count in names[:SHOWN]:
        say(f"UNDECLARED: {count} × {printable(type_)}, not in events.yaml{near_own(type_)}")
    if len(names) > SHOWN:
        say(f"and {several(len(names) - SHOWN, 'further name')}")
