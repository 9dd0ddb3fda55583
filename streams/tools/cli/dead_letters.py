"""`ritorno dead-letters`: what was refused, why, and sending it again once the cause is fixed."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.dead_letters import NO_PARTITION, DeadLetter, shop_resource
from schemas.instant import to_rfc3339
from schemas.records import OutRecord
from schemas.reference import shown
from streams.clock import SystemClock
from streams.log import Log
from streams.operate.dead_letters import ResendReport, find_letter, open_letters, resend
from streams.runtime.factories import notation, record_signer
from streams.settings import Settings
from streams.tools.cli.console import (
    CommandFailed,
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    run,
    say,
    settings_of,
    stdout,
)
from streams.tools.cli.tables import listing
from streams.tools.event_types import suggestion

if TYPE_CHECKING:
    from streams.connect.mappings.resending import LetterMapper
    from streams.connect.shop_letters import ShopLetters

Reason = Annotated[str | None, typer.Option(help="Only those refused for this reason.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Records that could not be read.", no_args_is_help=True)
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("resend")(resend_letters)
    app.add_typer(group, name="dead-letters")


def list_letters(
    context: typer.Context,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List the letters nobody has dealt with, oldest first."""
    letters, more = run(_open(settings_of(context), reason, limit))
    if as_json:
        for letter in letters:
            print_json(_as_dict(letter))
        return
    if not letters:
        stdout().print("No dead letters.")
        return
    columns = ("id", "time", "from", "reason", "what is wrong")
    stdout().print(listing(columns, map(_row, letters)))
    if more:
        say(f"There are more; --limit shows more than {limit}.")


def show(
    context: typer.Context,
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="PARTITION:OFFSET from the list.")],
    as_json: JsonFlag = False,
) -> None:
    """Show one letter with the untouched record."""
    settings = settings_of(context)

    async def find() -> DeadLetter | None:
        async with open_log(settings) as log:
            return await find_letter(log, letter_id)

    letter = run(find())
    if letter is None:
        raise UserError(f"there is no dead letter {letter_id}")
    if as_json:
        print_json(_as_dict(letter) | _content(letter))
        return
    out = stdout()
    out.print(f"refused   {to_rfc3339(letter.time)}", markup=False)
    detail = letter.detail + suggestion(letter.detail)
    out.print(f"reason    {letter.reason}: {printable(detail)}", markup=False)
    out.print(f"from      {printable(_origin(letter))}", markup=False)
    out.print(f"key       {_shown(letter.original.key)}", markup=False)
    for name, value in letter.original.headers:
        out.print(f"header    {printable(name)}: {_shown(value)}", markup=False)
    out.print(f"value     {_shown(letter.original.value)}", markup=False)


def resend_letters(
    context: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="PARTITION:OFFSET from the list.")
    ] = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send letters again to where they came from, and take them off the list."""
    if sum((bool(ids), reason is not None, everything)) != 1:
        raise UserError("say which ones: ids, --reason or --all")
    settings, chosen = settings_of(context), set(ids or ())

    def wanted(letter: DeadLetter) -> bool:
        return everything or letter.reason == reason or letter.id in chosen

    async def send_again() -> ResendReport:
        async with open_log(settings) as log:
            if chosen:
                found = {letter.id async for letter in open_letters(log, wanted)}
                if missing := sorted(chosen - found):
                    raise UserError(f"not open, or no such letter: {', '.join(missing)}")
            mapper, shops = _map_again(settings), _shop_letters(settings, log)

            async def read_again(letter: DeadLetter) -> list[OutRecord]:
                came = shop_resource(letter)
                return await (mapper.map(letter) if came is None else shops.read(letter, came))

            signer = partial(record_signer, settings)
            try:
                report = await resend(log, wanted, signer, notation(settings), read_again)
                shops.heard()
            finally:
                await mapper.stop()
                await shops.stop()
            return report

    report = run(send_again())
    if as_json:
        kept = [{"id": letter.id, "why": why} for letter, why in report.kept]
        print_json({"resent": report.resent, "kept": kept})
    else:
        for letter, why in report.kept:
            say(f"{letter.id}: {why}")
        stdout().print(f"{report.resent} sent again")
    if report.kept:
        raise CommandFailed(f"{len(report.kept)} could not be sent again and stay on the list")


def _map_again(settings: Settings) -> LetterMapper:
    """Raises OperatorFileError."""
    from streams.connect.mappings.mapping_file import read_mappings  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.connect.mappings.resending import LetterMapper  # noqa: PLC0415  # as above

    return LetterMapper(read_mappings(settings), notation(settings))


def _shop_letters(settings: Settings, log: Log) -> ShopLetters:
    from streams.connect.connections import read_connections  # noqa: PLC0415  # as above
    from streams.connect.shop_letters import ShopLetters  # noqa: PLC0415  # as above

    return ShopLetters(
        log,
        partial(read_connections, settings),
        clock=SystemClock(),
        signer=partial(record_signer, settings),
        data_dir=settings.data_dir,
    )


async def _open(
    settings: Settings, reason: str | None, limit: int
) -> tuple[list[DeadLetter], bool]:
    """Return at most `limit` letters, and whether there are more."""
    letters: list[DeadLetter] = []
    async with open_log(settings) as log:
        async for letter in open_letters(log, lambda each: reason in (None, each.reason)):
            if len(letters) == limit:
                return letters, True
            letters.append(letter)
    return letters, False


def _row(letter: DeadLetter) -> tuple[str, ...]:
    refused = to_rfc3339(letter.time - letter.time % 1000)
    detail = letter.detail + suggestion(letter.detail)
    return letter.id, refused, _origin(letter), letter.reason, detail


def _origin(letter: DeadLetter) -> str:
    if (came := shop_resource(letter)) is not None:
        what = came.resource or "webhook"
        by = f" in {came.topic}" if came.topic else ""
        return f"{what} {came.id}".strip() + f"{by} of {came.connection}"
    if letter.origin.partition == NO_PARTITION:
        return f"line {letter.origin.offset} of a file"
    return f"{letter.origin.topic} {letter.origin.partition}:{letter.origin.offset}"


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    came = shop_resource(letter)
    return {
        "id": letter.id,
        "shop": None if came is None else came._asdict(),
        "time": to_rfc3339(letter.time),
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "reason": letter.reason,
        "detail": letter.detail,
    }


def _content(letter: DeadLetter) -> dict[str, Any]:
    """The record's bytes, in base64 since nothing is known of them."""
    return {
        "key": _base64(letter.original.key),
        "value": _base64(letter.original.value),
        "headers": [[name, _base64(value)] for name, value in letter.original.headers],
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _shown(value: bytes | None) -> str:
    """Bytes for a terminal: text as it is, anything a terminal could obey escaped."""
    if value is None:
        return "(none)"
    return printable(shown(value.decode("utf-8", "backslashreplace")))
