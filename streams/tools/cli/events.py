"""`ritorno events`: what a shop may send, what arrives, and what producers send wrongly."""

from __future__ import annotations

import typer

from streams.tools.cli.console import JsonFlag, print_json, stdout
from streams.tools.cli.event_follow import follow
from streams.tools.cli.event_quality import quality
from streams.tools.cli.tables import listing


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(
        help="What a shop may send, what arrives, and which producer sends what wrongly.",
        no_args_is_help=True,
    )
    group.command("types")(list_types)
    group.command("follow")(follow)
    group.command("quality")(quality)
    app.add_typer(group, name="events")


def list_types(as_json: JsonFlag = False) -> None:
    """List every type of event that may be published, with its properties; `*` marks those that may
    not be missing."""
    from streams.tools.event_types import listed  # noqa: PLC0415  # the models of all events

    if as_json:
        for each in listed():
            print_json(each._asdict())
        return
    columns = ("type", "in Segment", "what it says, and its properties")
    stdout().print(
        listing(
            columns,
            [
                (
                    each.name,
                    each.segment,
                    f"{each.about} {_properties(each.properties, each.needed)}",
                )
                for each in listed()
            ],
        )
    )


def _properties(names: tuple[str, ...], needed: tuple[str, ...]) -> str:
    return ", ".join(f"{name}*" if name in needed else name for name in names)
