"""`ritorno webhooks`: which signals go where, trying an endpoint, and what none has taken."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.instant import parse_instant
from streams.messages.plurals import several
from streams.tools.cli.console import (
    CommandFailed,
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
from streams.tools.cli.tables import listing
from streams.tools.cli.undelivered import list_undelivered, undelivered_counts

if TYPE_CHECKING:
    from streams.outbound.letters import ReplayReport
    from streams.outbound.subscriptions import WebhookSubscription
    from streams.settings import Settings

Name = Annotated[str, typer.Argument(metavar="NAME", help="As webhooks.yaml calls it.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(
        help="Webhooks of signals and mail outcomes to other systems.", no_args_is_help=True
    )
    group.command("list")(list_webhooks)
    group.command("test")(try_endpoint)
    group.command("failed")(list_failed)
    group.command("replay")(replay)
    app.add_typer(group, name="webhooks")


def list_webhooks(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the webhooks, how many records each has before it, and what it has not taken."""
    settings = settings_of(context)
    rows = run(_described(settings))
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        stdout().print(f"No webhooks: there are none in {settings.webhooks_file}.", markup=False)
        return
    columns = ("name", "url", "types", "when", "behind", "failed")
    cells = [
        (row["name"], row["url"], ", ".join(row["types"]), row["when"],
         "not begun" if row["behind"] is None else str(row["behind"]), str(row["failed"]))
        for row in rows
    ]  # fmt: skip
    stdout().print(listing(columns, cells))


def try_endpoint(context: typer.Context, name: Name, as_json: JsonFlag = False) -> None:
    """Post a message of the type `webhook.test` to an endpoint and say what it answers."""
    from streams.clock import SystemClock  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.outbound.letters import trial_message  # noqa: PLC0415  # as above
    from streams.outbound.webhooks import Attempt, Endpoint, weak_secrets  # noqa: PLC0415  # as above

    subscription = _find(settings_of(context), name)
    for problem in weak_secrets(subscription):
        say(f"warning: {problem}")
    clock = SystemClock()
    id_ = f"test-{secrets.token_hex(8)}"

    async def post() -> tuple[Attempt, float]:
        endpoint = Endpoint(subscription, clock)
        try:
            began = perf_counter()
            attempt = await endpoint.post(trial_message(name, id_, clock.now()))
            return attempt, perf_counter() - began
        finally:
            await endpoint.close()

    attempt, seconds = run(post())
    taken = attempt.meaning == "delivered"
    if as_json:
        print_json({"webhook": name, "id": id_, "taken": taken, "why": attempt.why,
                    "seconds": round(seconds, 3)})  # fmt: skip
    elif taken:
        stdout().print(
            f"{name} has taken the message {id_} in {seconds * 1000:.0f} ms", markup=False
        )
    if not taken:
        raise CommandFailed(f"{name} ({subscription.shown_url}): {printable(attempt.why)}")


def list_failed(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of this webhook alone.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List the messages that an endpoint has refused or did not answer for too long."""
    from streams.operate.dead_letters import WEBHOOK_FAILED  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    settings = settings_of(context)
    list_undelivered(settings, "webhook", WEBHOOK_FAILED, name=name, limit=limit, as_json=as_json)


def replay(
    context: typer.Context,
    name: Name,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Of `webhooks failed`; else all.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Instead: all that it wants of what the log has since this time (RFC 3339)."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time; else up to now.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Post again what an endpoint has not taken; with --since whatever it wants, taken or not."""
    from streams.outbound import letters  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    settings = settings_of(context)
    subscription = _find(settings, name)
    if until is not None and since is None:
        raise UserError("--until needs --since")
    if since is not None and ids:
        raise UserError("say either ids or --since")
    span = None if since is None else (_instant("--since", since), _until(until))
    report = run(_replayed(settings, subscription, ids or [], span))
    if as_json:
        print_json({"delivered": report.delivered, "stopped": report.stopped,
                    "kept": [{"id": id_, "why": why} for id_, why in report.kept]})  # fmt: skip
    else:
        for id_, why in report.kept[: letters.SHOWN]:
            say(f"{id_}: {printable(why)}")
        stdout().print(f"{report.delivered} delivered", markup=False)
    if report.stopped:
        raise CommandFailed(f"{name}: it fails, the rest was not tried")
    if report.kept:
        raise CommandFailed(f"{several(len(report.kept), 'message')} not taken")


async def _replayed(
    settings: Settings,
    subscription: WebhookSubscription,
    ids: Sequence[str],
    span: tuple[int, int] | None,
) -> ReplayReport:
    from streams.clock import SystemClock  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.outbound.letters import (  # noqa: PLC0415  # as above
        failed_letters,
        replay_letters,
        replay_span,
    )
    from streams.outbound.webhooks import Endpoint  # noqa: PLC0415  # as above
    from streams.runtime.factories import record_signer  # noqa: PLC0415  # as above

    signer = record_signer(settings)
    endpoint = Endpoint(subscription, SystemClock())
    try:
        async with open_log(settings) as log:
            if span is not None:
                with progress("posting") as bar:
                    return await replay_span(
                        log, endpoint, signer, since=span[0], until=span[1], on_progress=bar.at
                    )
            if ids:
                known = {each.id async for each in failed_letters(log, subscription.name)}
                if missing := sorted(set(ids) - known):
                    raise UserError(f"not open, or no such letter: {', '.join(missing)}")
            chosen = frozenset(ids)
            return await replay_letters(
                log, endpoint, signer, lambda each: not chosen or each.id in chosen
            )
    finally:
        await endpoint.close()


async def _described(settings: Settings) -> list[dict[str, Any]]:
    from streams.operate.dead_letters import WEBHOOK_FAILED  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.outbound.following import following_of  # noqa: PLC0415  # as above
    from streams.outbound.runtime import webhook_group  # noqa: PLC0415  # as above
    from streams.outbound.subscriptions import read_subscriptions  # noqa: PLC0415  # as above
    from streams.outbound.webhooks import topics_of  # noqa: PLC0415  # as above
    from streams.runtime.factories import consumer_group  # noqa: PLC0415  # as above

    subscriptions = read_subscriptions(settings.webhooks_file)
    if not subscriptions:
        return []
    rows = []
    async with open_log(settings) as log:
        counts = await undelivered_counts(log, WEBHOOK_FAILED)
        for each in subscriptions:
            topics = topics_of(each.takes)
            group = webhook_group(consumer_group(settings), each.name)
            following = following_of(log, group, topics)
            behind: int | None = None
            try:
                for topic in topics:
                    for number, span in (await log.offsets(topic)).items():
                        position = await following.position(topic, number)
                        if position is not None:
                            behind = (behind or 0) + max(0, span.end - max(position, span.start))
            finally:
                await following.close()
            rows.append(
                {"name": each.name, "url": each.shown_url, "types": list(each.types),
                 "when": each.when, "secrets": list(each.secrets), "behind": behind,
                 "failed": counts[each.name]}
            )  # fmt: skip
    return rows


def _find(settings: Settings, name: str) -> WebhookSubscription:
    from streams.outbound.letters import find  # noqa: PLC0415  # see streams/tools/cli/__init__.py
    from streams.outbound.subscriptions import read_subscriptions  # noqa: PLC0415  # as above

    subscriptions = read_subscriptions(settings.webhooks_file)
    found = find(subscriptions, name)
    if found is None:
        names = ", ".join(each.name for each in subscriptions) or "none"
        raise UserError(f"no webhook {name!r} in {settings.webhooks_file}; there are: {names}")
    return found


def _instant(option: str, text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from None


def _until(text: str | None) -> int:
    from streams.clock import SystemClock  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    return SystemClock().now() + 1 if text is None else _instant("--until", text)
