"""`ritorno mappings`: topics that others own, mapped into our log."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.messages.plurals import several
from streams.settings import Settings
from streams.tools.cli.console import (
    CommandFailed,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    run,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.connect.mappings.mapping_file import MappingFile
    from streams.connect.mappings.offsets import KeptEntry, MappedPartition

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Default: RITORNO_MAPPINGS.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Topics that others own, mapped into events.", no_args_is_help=True)
    group.command("test")(test)
    group.command("show")(show)
    group.command("run")(run_mappings)
    app.add_typer(group, name="mappings")


def test(context: typer.Context, file: FileArgument = None, as_json: JsonFlag = False) -> None:
    """Check the file and run the examples that it carries; needs no broker."""
    from streams.connect.mappings.examples import try_examples  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.runtime.factories import notation  # noqa: PLC0415  # as above

    settings = settings_of(context)
    mappings = _read(file, settings, for_examples=True)
    tried = failed = 0
    for result in try_examples(mappings, notation(settings)):
        tried += 1
        failed += bool(result.problems)
        if as_json:
            print_json(result._asdict())
            continue
        verdict = "FAILED" if result.problems else "passed"
        lines = [f"{verdict}  {result.mapping}: {result.name}"]
        if result.problems:
            lines += [f"  {result.location}", *(f"  {each}" for each in result.problems)]
        stdout().print(_printable(lines), markup=False, soft_wrap=True)
    if failed:
        raise CommandFailed(f"{failed} of {several(tried, 'example')} failed")
    if as_json:
        return
    without = [each.source.name for each in mappings.mappings if not each.source.examples]
    if without:
        stdout().print(f"without examples: {', '.join(without)}", soft_wrap=True)
    count = several(len(mappings.mappings), "mapping")
    stdout().print(f"{several(tried, 'example')} of {count} passed")


def show(context: typer.Context, file: FileArgument = None, as_json: JsonFlag = False) -> None:
    """Show each mapping, what it makes of which topic, and how far its partitions are."""
    settings = settings_of(context)
    mappings = _read(file, settings)
    progress = run(_progress(settings))
    for mapping in mappings.mappings:
        source = mapping.source
        known = {
            str(where.partition): {"next": each.entry.next, "topic": each.entry.topic}
            for where, each in progress.items()
            if where.mapping == source.name
        }
        types = [each.type for each in source.events]
        if as_json:
            print_json(
                {
                    "mapping": source.name,
                    "topic": source.topic,
                    "broker": source.broker,
                    "format": source.format,
                    "envelope": source.envelope,
                    "source": source.event_source,
                    "events": types,
                    "partitions": known,
                }
            )
            continue
        what = source.format if source.envelope == "none" else f"{source.format}, {source.envelope}"
        where = source.broker or "our own Kafka"
        lines = [
            f"{source.name}: {source.topic} ({what}) on {where}",
            f"  becomes {', '.join(types) or 'CloudEvents of ours'} from {source.event_source}",
        ]
        reached = [f"{each}: {known[each]['next']}" for each in sorted(known, key=int)]
        lines.append(f"  mapped up to {', '.join(reached)}" if reached else "  not begun yet")
        stdout().print(_printable(lines), markup=False, soft_wrap=True)


def run_mappings(
    context: typer.Context,
    admin_bind: Annotated[str | None, typer.Option(help="Metrics and health, HOST:PORT.")] = None,
) -> None:
    """Map the topics without a worker; several of these share the partitions. Stops on SIGTERM."""
    settings = settings_of(context, runs_on=True, admin_bind=admin_bind)
    run(_run(_read(None, settings), settings))


async def _run(file: MappingFile, settings: Settings) -> None:
    from streams.connect.mappings.process import run_until  # noqa: PLC0415  # Kafka's client takes a moment

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await run_until(stopped, file, settings)


async def _progress(settings: Settings) -> Mapping[MappedPartition, KeptEntry]:
    from streams.connect.mappings.offsets import MappingOffsets  # noqa: PLC0415  # as above
    from streams.runtime.factories import record_signer  # noqa: PLC0415  # as above
    from streams.topology import MAPPING_OFFSETS  # noqa: PLC0415  # as above

    async with open_log(settings) as log:
        if await log.describe(MAPPING_OFFSETS) is None:
            return {}
        return await MappingOffsets(log, record_signer(settings)).read()


def _printable(lines: list[str]) -> str:
    """Return lines with nothing in them that a terminal would obey."""
    return "\n".join(map(printable, lines))


def _read(path: Path | None, settings: Settings, *, for_examples: bool = False) -> MappingFile:
    """`for_examples`: nothing but the file is read. Raises OperatorFileError, UserError when there
    is none."""
    from streams.connect.mappings.mapping_file import (  # noqa: PLC0415  # see streams/tools/cli/__init__.py
        mappings_file,
        read_examples,
        read_file,
        read_mappings,
    )

    if path is not None:
        return read_file(path)
    found = read_examples(settings) if for_examples else read_mappings(settings)
    if found is None:
        raise UserError(f"there is no file {mappings_file(settings)}; RITORNO_MAPPINGS names one")
    return found
