"""`ritorno ingest`: the ingest port alone, and the keys of who may send there."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.messages.plurals import several
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    print_json,
    say,
    settings_of,
    stdout,
)

HELP = """Take what shops and pages send by HTTP, without a worker; stops on SIGTERM.

It keeps nothing, so as many as one likes stand behind a balancer; several on one machine may have
one port.
"""

KEYS_HELP = """Write keys: who may send, and what.

A public key stands in a page, and with it one may say what people do there. A secret key is one of
the shop's own systems', and is shown once.
"""


_IDENTITY = """\
For later, when customers sign in: a page can only claim who somebody is. The shop's server proves
it with the secret in {file}
by writing context.userHash = HMAC-SHA256(that secret, userId) in hex into the page, as
docs/ingest.md shows. Copy it to the server, never into a page. Until then visitors stay visitors
until they order."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help=HELP, invoke_without_command=True)
    group.callback(invoke_without_command=True, help=HELP)(ingest)
    keys = typer.Typer(help=KEYS_HELP, no_args_is_help=True)
    keys.command("new")(new)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    group.add_typer(keys, name="keys")
    app.add_typer(group, name="ingest")


def ingest(
    context: typer.Context,
    bind: Annotated[str | None, typer.Option(help="Where it listens, HOST:PORT.")] = None,
    admin_bind: Annotated[str | None, typer.Option(help="Metrics and health, HOST:PORT.")] = None,
) -> None:
    """Take what shops and pages send by HTTP, without a worker; stops on SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    settings = settings_of(context, runs_on=True, ingest_bind=bind, admin_bind=admin_bind)
    if settings.ingest_bind is None:
        raise UserError("nowhere to listen: set RITORNO_INGEST_BIND, or --bind 127.0.0.1:8090")
    from streams.runtime.ingest_process import run_ingest  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    run_ingest(settings)


def new(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="What it is called, also in metrics: site, till.")],
    secret: Annotated[
        bool, typer.Option("--secret", help="A shop's own system's; else one for pages.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="The source of its events; /ID by default.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Of pages that use it: https://negozio.example.it.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Events a second that are taken.")] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Another value for a key that there is; both hold.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a write key and print its value: a secret one is seen this once."""
    from streams.tools import write_keys  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    path = settings_of(context).ingest_keys_file
    made = (
        write_keys.rotate(path, key_id)
        if rotate
        else write_keys.add(
            path,
            key_id,
            secret=secret,
            source=source or f"/{key_id}",
            origins=origin or [],
            rate=rate,
        )
    )
    if as_json:
        print_json({"id": key_id, "value": made.value, "identity_secret": made.identity_secret,
                    "file": str(path)})  # fmt: skip
        return
    stdout().print(made.value, soft_wrap=True)
    say(f"Key {key_id} is in {path}; an ingest that runs knows it within seconds.")
    if secret:
        say("It is shown this once: put it where the shop's system keeps its passwords.")
    if made.identity_secret:
        say(_IDENTITY.format(file=made.identity_secret))
    if not (secret or rotate or origin):
        say("No page may use it yet: name each by --origin, or under `origins` in the file.")


def list_keys(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the write keys, without their secrets."""
    from streams.http.ingest.keys import read_keys  # noqa: PLC0415  # as above

    path = settings_of(context).ingest_keys_file
    keys = read_keys(path).keys
    for key in keys:
        if as_json:
            print_json(key.model_dump(mode="json", exclude={"hashes", "identity_secrets"}))
            continue
        held = several(len(tuple(key.digests())), "value")
        state = "revoked" if key.revoked is not None else held
        origins = " ".join(key.origins)
        stdout().print(f"{key.id:24} {key.kind:7} {state:10} {key.source} {origins}".rstrip())
    if not keys and not as_json:
        say(f"no keys in {path}; make one with `ritorno ingest keys new site`")


def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="Which key.")],
    previous: Annotated[
        bool, typer.Option("--previous", help="Only the value that was before the current one.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Have a key believed no more, on every ingest within seconds."""
    from streams.clock import SystemClock  # noqa: PLC0415  # as above
    from streams.tools import write_keys  # noqa: PLC0415  # as above

    path = settings_of(context).ingest_keys_file
    if previous:
        write_keys.drop_previous(path, key_id)
        text = "only the current value holds"
    else:
        write_keys.revoke(path, key_id, SystemClock().now())
        text = "revoked"
    if as_json:
        print_json({"id": key_id, "state": text})
    else:
        say(f"{key_id}: {text}")
