"""`ritorno worker`: read the log, decide, and send, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.tools.cli.console import settings_of, settings_reader


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("worker")(worker)


def worker(
    context: typer.Context,
    smtp_url: Annotated[
        str | None, typer.Option(help="smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…")
    ] = None,
    admin_bind: Annotated[str | None, typer.Option(help="Metrics and health, HOST:PORT.")] = None,
    public_bind: Annotated[str | None, typer.Option(help="The links in mails, HOST:PORT.")] = None,
    worker_id: Annotated[
        str | None, typer.Option(help="Stays the same over restarts; the host's name by default.")
    ] = None,
    workflows_dir: Annotated[Path | None, typer.Option(help="Files and templates.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="On Kafka: so many workers under one command.")
    ] = 1,
) -> None:
    """Run a worker; more of them with the same broker share the work. Stops on SIGTERM."""
    flags = {
        "smtp_url": smtp_url,
        "admin_bind": admin_bind,
        "public_bind": public_bind,
        "worker_id": worker_id,
        "workflows_dir": workflows_dir,
    }
    settings, read = settings_of(context, runs_on=True, **flags), settings_reader(context, **flags)
    if processes > 1:
        from streams.runtime.processes.supervisor import run_processes  # noqa: PLC0415  # as below

        run_processes(settings, processes, read)
        return
    from streams.runtime.worker_process import run_worker  # noqa: PLC0415  # Faust takes a second to import

    run_worker(settings, read=read)
