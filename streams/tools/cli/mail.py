"""`ritorno mail`: what waits and why, one mail's life, holding mails back and letting them go."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, get_args

import typer
from rich.table import Table

from agents.mail.message.verp import BadReference, Reference, ReturnAddresses
from agents.mail.queue.queued_mail import QueuedMail, State, read_command, read_notify
from schemas.commands import (
    Control,
    DeliveryClass,
    NotifyCommand,
    PauseCommand,
    PausedClass,
    ReleaseCommand,
    ResumeCommand,
    SendCommand,
)
from schemas.instant import to_rfc3339
from schemas.reference import shown
from streams.clock import SystemClock
from streams.log import Log
from streams.mail.history import MailHistory, MailTransition, find_history
from streams.mail.inspection import QueueOverview, control, read_queues
from streams.runtime.definitions import read
from streams.runtime.factories import record_signer, signing_keys
from streams.settings import Settings
from streams.settings.sources import SettingsError
from streams.tools.cli.console import (
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
from streams.tools.cli.tables import facts, listing

WAITING = ("queued", "deferred", "held", "attempting")

ClassOption = Annotated[
    str | None,
    typer.Option("--class", help=f"Only these: {', '.join(get_args(PausedClass))}."),
]
WorkflowOption = Annotated[str | None, typer.Option(help="Only mails of this workflow.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="The mails that were decided.", no_args_is_help=True)
    group.command("list")(list_mails)
    group.command("show")(show)
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("release")(release)
    app.add_typer(group, name="mail")


# Looking.


def list_mails(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="Only those in this state; those that wait, by default.")
    ] = None,
    delivery: Annotated[
        str | None, typer.Option("--class", help=f"One of {', '.join(get_args(DeliveryClass))}.")
    ] = None,
    workflow: WorkflowOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List the mails that wait, the next one first, and what is paused."""
    if state is not None:
        _one_of("--state", state, get_args(State))
    if delivery is not None:
        _one_of("--class", delivery, get_args(DeliveryClass))
    found = run(_read_queues(settings_of(context)))
    states = WAITING if state is None else (state,)
    mails = sorted(
        (
            entry
            for entry in found.entries()
            if entry.state in states
            and delivery in (None, entry.lane.delivery)
            and (workflow is None or _about(entry).get("workflow") == workflow)
        ),
        key=lambda entry: (entry.due, entry.id),
    )
    if as_json:
        for entry in mails[:limit]:
            print_json(_as_dict(entry))
        return
    _say_what_holds(found)
    if not mails:
        stdout().print("No mails wait." if state is None else f"No mails are {state}.")
        return
    stdout().print(_table(mails[:limit]))
    if len(mails) > limit:
        say(f"{len(mails):,} in all; --limit shows more than {limit}.")


def show(
    context: typer.Context,
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="Command id, Message-ID or X-Ritorno-Mail.")
    ],
    customer: Annotated[
        str | None, typer.Option(help="Whose mail it is, if known: much less is read then.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell one mail's life; works while workers run."""
    settings = settings_of(context)
    id_, owner = _sealed(settings, wanted) or (wanted, "")

    async def look_up() -> MailHistory | None:
        with progress("reading the log") as bar:
            async with open_log(settings) as log:
                return await find_history(log, id_, customer=customer or owner, on_progress=bar.at)

    history = run(look_up())
    if history is None:
        raise UserError(f"no trace of a mail {wanted!r}")
    if as_json:
        print_json(_history_as_dict(history))
    else:
        stdout().print(_view(history))
        stdout().print(_timeline(history))


def _sealed(settings: Settings, wanted: str) -> Reference | None:
    """Return which mail a header X-Ritorno-Mail names; None when this is no such token, or there
    are no keys that could have sealed it."""
    try:
        return ReturnAddresses(signing_keys(settings)).read(wanted.strip())
    except (BadReference, SettingsError):
        return None


# Holding back and letting go.


def pause(
    context: typer.Context,
    paused_class: ClassOption = None,
    workflow: WorkflowOption = None,
    reason: Annotated[str, typer.Option(help="For whoever asks why.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Hold mails back until they are resumed: all mails, or those of a class or a workflow.

    It holds from when the workers read it. Mails on their way to the relay still arrive.
    """
    command = PauseCommand(
        time=SystemClock().now(),
        paused_class=_class(paused_class),
        workflow=workflow or "",
        reason=reason,
    )
    _tell(context, command, as_json, f"Paused: {_scope(command.paused_class, workflow)}.")


def resume(
    context: typer.Context,
    paused_class: ClassOption = None,
    workflow: WorkflowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """End pauses, all of them or those within a class or a workflow.

    Without a workflow it also ends what a bad reputation holds, and forgives it.
    """
    command = ResumeCommand(
        time=SystemClock().now(), paused_class=_class(paused_class), workflow=workflow or ""
    )
    _tell(context, command, as_json, f"Resumed: {_scope(command.paused_class, workflow)}.")


def release(
    context: typer.Context,
    command_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Command id.")] = None,
    held: Annotated[bool, typer.Option("--held", help="All that wait until now.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Let held mails go although the pause, or the reason, stays. Quiet hours are kept."""
    if (command_id is None) != held:
        raise UserError("say which: a command id, or --held for all")
    settings = settings_of(context)
    if command_id is not None:
        entry = run(_read_queues(settings)).find(command_id)
        if entry is None or entry.state not in WAITING:
            state = "" if entry is None else f"; this one is {entry.state}"
            raise UserError(f"no mail {command_id!r} waits{state}")
    command = ReleaseCommand(time=SystemClock().now(), id=command_id or "")
    _tell(context, command, as_json, f"Released: {command_id or 'all that are held'}.")


def _tell(context: typer.Context, command: Control, as_json: bool, done: str) -> None:
    settings = settings_of(context)

    async def tell() -> None:
        async with open_log(settings) as log:
            if not isinstance(command, ReleaseCommand):
                await _warn_of_typo(log, command.workflow)
            await control(log, command, record_signer(settings))

    run(tell())
    if as_json:
        print_json(command.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        stdout().print(done, markup=False)


async def _warn_of_typo(log: Log, workflow: str) -> None:
    """A pause of a workflow that there is not holds nothing, which nobody would notice."""
    live = (await read(log)).live or {}
    if workflow and workflow not in live:
        close = difflib.get_close_matches(workflow, live, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        say(f"No workflow {workflow!r} is published{hint}")


def _class(text: str | None) -> PausedClass | None:
    if text is None:
        return None
    known: tuple[PausedClass, ...] = get_args(PausedClass)
    _one_of("--class", text, known)
    return next(each for each in known if each == text)


def _one_of(option: str, text: str, known: tuple[str, ...]) -> None:
    if text not in known:
        raise UserError(f"{option} {text}: expected one of {', '.join(known)}")


def _scope(paused_class: PausedClass | None, workflow: str | None) -> str:
    what = {None: "all mails", "notify": "webhooks"}.get(paused_class, f"{paused_class} mails")
    return f"{what} of {workflow}" if workflow else what


# How it looks.


async def _read_queues(settings: Settings) -> QueueOverview:
    with progress("reading the changelog") as bar:
        async with open_log(settings) as log:
            return await read_queues(log, bar.at)


def _say_what_holds(found: QueueOverview) -> None:
    out = stdout()
    for each in found.pauses:
        why = f" ({printable(each.reason)})" if each.reason else ""
        text = f"paused since {to_rfc3339(each.since)}: {_scope(each.paused_class, each.workflow)}"
        out.print(printable(text) + why, markup=False)
    if found.held_since:
        text = f"marketing held by bounces or complaints since {to_rfc3339(found.held_since)}"
        out.print(text, markup=False)


def _table(mails: list[QueuedMail]) -> Table:
    columns = ("id", "class", "state", "due", "expires", "attempts", "what")
    return listing(columns, map(_row, mails))


def _row(entry: QueuedMail) -> tuple[str, ...]:
    about = _about(entry)
    reason = f" {entry.held}" if entry.state == "held" else ""
    what = " ".join(about[name] for name in ("workflow", "step", "template") if name in about)
    return (entry.id, entry.lane.delivery, f"{entry.state}{reason}", to_rfc3339(entry.due),
            to_rfc3339(entry.expires), str(entry.attempt), what)  # fmt: skip


def _about(entry: QueuedMail) -> dict[str, str]:
    """Return what the command says, as long as it is kept."""
    if not entry.command:
        return {}
    command = read_notify(entry) if entry.webhook else read_command(entry)
    return _said(command)


def _said(command: SendCommand | NotifyCommand) -> dict[str, str]:
    about = {
        "customer": shown(command.customer),
        "workflow": command.workflow,
        "version": command.version,
        "step": command.step,
    }
    if isinstance(command, SendCommand):
        about |= {"class": command.mail_class, "template": command.template}
    return about


def _as_dict(entry: QueuedMail) -> dict[str, Any]:
    return {
        "id": entry.id,
        **_about(entry),
        "delivery": entry.lane.delivery,
        "provider": entry.provider,
        "state": entry.state,
        "held": entry.held if entry.state == "held" else None,
        "due": to_rfc3339(entry.due),
        "expires": to_rfc3339(entry.expires),
        "attempts": entry.attempt,
        "ambiguous": entry.ambiguous,
    }


def _history_as_dict(history: MailHistory) -> dict[str, Any]:
    command = history.command
    return {
        "id": history.id,
        "customer": shown(history.customer),
        **({} if command is None else _said(command)),
        "message_id": history.message_id or None,
        "state": history.state,
        "held": history.entry.held
        if history.entry is not None and history.state == "held"
        else None,
        "expires": None if command is None else to_rfc3339(command.expires),
        "attempts": max((change.attempt or 0 for change in history.changes), default=0),
        "changes": [_change_as_dict(change) for change in history.changes],
    }


def _change_as_dict(change: MailTransition) -> dict[str, Any]:
    return {
        "time": to_rfc3339(change.time),
        "what": change.what,
        "attempt": change.attempt,
        "code": change.code,
        "enhanced_code": change.enhanced_code,
        "kind": change.kind or None,
        "reason": change.reason or None,
        "relay": change.relay or None,
        "until": None if change.until is None else to_rfc3339(change.until),
        "ambiguous": change.ambiguous,
    }


def _view(history: MailHistory) -> Table:
    about = {} if history.command is None else _said(history.command)
    rows = {"mail": history.id, "customer": shown(history.customer), **about,
            "Message-ID": history.message_id, "state": history.state}  # fmt: skip
    if history.command is not None:
        rows["expires"] = to_rfc3339(history.command.expires)
    return facts((name, value) for name, value in rows.items() if value)


def _timeline(history: MailHistory) -> Table:
    return listing(("time", "what", "attempt", "remark"), map(_change_row, history.changes))


def _change_row(change: MailTransition) -> tuple[str, ...]:
    attempt = "" if change.attempt is None else str(change.attempt)
    return to_rfc3339(change.time), change.what, attempt, _remark(change)


def _remark(change: MailTransition) -> str:
    parts = [
        change.kind,
        "" if change.code is None else str(change.code),
        # A relay repeats its enhanced code in the text.
        "" if (change.enhanced_code or "") in change.reason else change.enhanced_code or "",
        change.reason,
        f"until {to_rfc3339(change.until)}" if change.until is not None else "",
        change.relay,
        "nobody knows whether it has arrived" if change.ambiguous else "",
    ]
    return " ".join(part for part in parts if part)
