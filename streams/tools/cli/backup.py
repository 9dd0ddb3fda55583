"""`ritorno backup` and `ritorno restore`: a copy of the whole log, and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.instant import to_rfc3339
from streams.messages.plurals import several
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    progress,
    run,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from streams.operate.backup import Backup

BACKUP = typer.Argument(metavar="DIRECTORY", help="Of the backup; one for each.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    context: typer.Context, directory: Annotated[Path, BACKUP], as_json: JsonFlag = False
) -> None:
    """Copy the whole log into a directory, as it is at one moment; workers go on meanwhile.

    The copy is an embedded log: ritorno --broker embedded://DIRECTORY replay reads it. A key that
    Ritorno has made itself goes along. RITORNO_TOKEN_KEYS does not: keep it, nothing is believed
    without.
    """
    from streams.clock import SystemClock  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.operate.backup import back_up  # noqa: PLC0415  # as above
    from streams.runtime.factories import KEY_FILE, has_signing_keys  # noqa: PLC0415  # as above

    settings = settings_of(context)

    async def copy() -> Backup:
        async with open_log(settings) as log:
            with progress("copying the log") as bar:
                return await back_up(log, directory, SystemClock(), bar.at)

    copied = run(copy())
    if not settings.token_keys and has_signing_keys(settings):
        shutil.copyfile(settings.data_dir / KEY_FILE, directory / KEY_FILE)
    _tell(copied, "copied", as_json)


def restore(
    context: typer.Context, directory: Annotated[Path, BACKUP], as_json: JsonFlag = False
) -> None:
    """Bring a backup back into the log that is set, which must hold nothing yet.

    Stop all workers first, and move their RITORNO_DATA_DIR away: what they keep is of the log that
    was lost. What came after the backup is gone; mails that were sent after it may be sent again,
    unless ritorno mail pause holds them first. docs/backup.md has the steps.
    """
    from streams.clock import SystemClock  # noqa: PLC0415  # as above
    from streams.operate.backup import restore as bring_back  # noqa: PLC0415  # as above
    from streams.runtime.factories import KEY_FILE, has_signing_keys, record_signer  # noqa: PLC0415  # as above

    settings = settings_of(context)
    kept = [*settings.data_dir.glob("state"), *settings.data_dir.glob("*/state"),
            *settings.data_dir.glob("places.sqlite")]  # fmt: skip
    if kept:
        raise UserError(
            f"{kept[0]} is of the log that was lost, or of one that isn't: move it away first, and "
            "that of every other worker"
        )

    if (directory / KEY_FILE).exists() and not has_signing_keys(settings):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(directory / KEY_FILE, settings.data_dir / KEY_FILE)

    async def put_back() -> Backup:
        async with open_log(settings) as log:
            with progress("restoring the log") as bar:
                return await bring_back(
                    directory, log, record_signer(settings), SystemClock(),
                    replication=settings.replication, on_progress=bar.at,
                )  # fmt: skip

    _tell(run(put_back()), "restored", as_json)


def _tell(backup: Backup, done: str, as_json: bool) -> None:
    if as_json:
        print_json({"taken": to_rfc3339(backup.taken), "records": dict(backup.records)})
        return
    out = stdout()
    for name, count in backup.records.items():
        out.print(f"{name:22} {several(count, 'record'):>20}")
    out.print(f"{done}: the log as it was at {to_rfc3339(backup.taken)}")
