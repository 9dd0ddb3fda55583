"""`ritorno schemas export`: JSON Schemas, AsyncAPI and OpenAPI of all that travels, for other
systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streams.messages.plurals import several
from streams.tools.cli.console import CommandFailed, JsonFlag, print_json, stdout

ASYNCAPI = "asyncapi.json"
"""The one document of every topic and of the webhooks."""
OPENAPI = "openapi.json"
"""That of the ingest port."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="JSON Schemas.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group with one command stays a group
    group.command("export")(export)
    app.add_typer(group, name="schemas")


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Created when missing.")],
    as_json: JsonFlag = False,
) -> None:
    """Write AsyncAPI, OpenAPI and the JSON Schemas of events, commands, outcomes and workflows."""
    from schemas.export import export as export_all  # noqa: PLC0415  # builds every model when imported
    from streams.tools.contract import asyncapi, openapi  # noqa: PLC0415  # as above

    written = []
    try:
        documents = {ASYNCAPI: asyncapi.document(), OPENAPI: openapi.document()}
        for name, schema in (export_all() | documents).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
            path.write_text(text, encoding="utf-8")
            written.append(str(path))
    except OSError as error:
        raise CommandFailed(f"{error.filename or directory}: {error.strerror}") from None
    if as_json:
        print_json({"directory": str(directory), "schemas": written})
    else:
        schemas = several(len(written) - len(documents), "schema")
        stdout().print(f"{schemas}, {ASYNCAPI} and {OPENAPI} in {directory}")
