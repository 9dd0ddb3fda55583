"""`ritorno workflows`: what they may ask, what is wrong with them, try them; make them live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agents.rules.comparisons import possible
from agents.rules.fields import Field, FieldRegistry
from agents.rules.fields.dependencies import events_of
from schemas.events import PAYLOADS
from schemas.suggestions import did_you_mean
from streams.messages.plurals import several
from streams.messages.translations import ENGLISH
from streams.runtime.definition_files import read_directory
from streams.runtime.definitions import PublicationReport, publish, read_files
from streams.runtime.factories import record_signer
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    printable,
    run,
    settings_of,
    stdout,
)
from streams.tools.cli.workflow_diff import diff
from streams.tools.cli.workflow_graph import draw
from streams.tools.cli.workflow_lint import lint_files
from streams.tools.cli.workflow_tests import test_files
from streams.tools.reevaluation import ReevaluationReport, reevaluate
from streams.topology import CUSTOMER_EVENTS

if TYPE_CHECKING:
    from streams.tools.publish_plan import PublishPlan


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Workflow files.", no_args_is_help=True)
    group.command("publish")(publish_files)
    group.command("lint")(lint_files)
    group.command("test")(test_files)
    group.command("fields")(list_fields)
    group.command("review")(reevaluate_customers)
    group.command("graph")(draw)
    group.command("diff")(diff)
    app.add_typer(group, name="workflows")


Directory = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="Default: RITORNO_WORKFLOWS_DIR.")
]


def publish_files(
    context: typer.Context,
    directory: Directory = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the recipes that are not enabled.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Publish the workflow files of DIR; new runs begin with exactly these from now on."""
    settings = settings_of(context)
    definitions = read_files(directory or settings.workflows_dir, everything=everything)
    signer = record_signer(settings)

    async def publish_all() -> tuple[PublishPlan, PublicationReport]:
        from streams.tools.publish_plan import plan_publication  # noqa: PLC0415  # see streams/tools/cli/__init__.py

        async with open_log(settings) as log:
            return await plan_publication(log, definitions, ENGLISH), await publish(
                log, definitions, signer
            )

    plan, report = run(publish_all())
    if as_json:
        added = [f"{name}@{version}" for name, version in report.added]
        changes = {change.id: change.kind for change in plan.changes}
        print_json({"live": dict(report.live), "added": added, "changed": report.activated,
                    "changes": changes})  # fmt: skip
        return
    out = stdout()
    for name, version in report.live.items():
        news = "  (new version)" if (name, version) in report.added else ""
        out.print(f"{name:32} {version}{news}")
    if not report.activated:
        out.print("These were live already.")
    elif not plan.first and (plan.changes or not report.untold):
        _tell_changes(plan)
    if report.untold:
        partitions = several(len(report.untold), "partition")
        why = "nothing of what is live, signed with a key that is listed, was there"
        out.print(f"{partitions} of {CUSTOMER_EVENTS} told again: {why}.")


def _tell_changes(plan: PublishPlan) -> None:
    from streams.tools.workflow_files.changes.report import brief, overview  # noqa: PLC0415  # as above

    stdout().print(overview(plan.changes, plan.unchanged, plan.first, ENGLISH))
    for change in plan.changes:
        stdout().print(Text(f"  {printable(brief(change, ENGLISH))}"), soft_wrap=True)


EventOption = Annotated[
    str,
    typer.Option("--event", help="Also the properties of this event, or of another trigger."),
]


def list_fields(
    context: typer.Context,
    directory: Directory = None,
    event: EventOption = "",
    as_json: JsonFlag = False,
) -> None:
    """List every field that a condition may name, with the shop's own of the files in DIR."""
    reading = read_directory(directory or settings_of(context).workflows_dir)
    registry = FieldRegistry(reading.definitions.values())
    known = registry.fields(event)
    if event and not any(name.startswith("event.") for name in known):
        near = did_you_mean(event, PAYLOADS) or f"; events: {', '.join(sorted(PAYLOADS))}"
        raise UserError(f"--event {event}: no event type{near}")
    if as_json:
        for field in known.values():
            print_json(described(field))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("field", "type", "what it is", "may be asked"):
        table.add_column(title, no_wrap=title in ("field", "type"))
    for field in known.values():
        values = f" ({', '.join(sorted(v for v in field.values if v))})" if field.values else ""
        asked = ", ".join(possible(field))
        table.add_row(field.name, field.type, escape(field.about + values), asked)
    stdout().print(table)


def reevaluate_customers(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Look at all known customers by the definitions that are live, also at silent ones.

    After an import, or when segments, dates or silences were published that concern customers who
    won't do anything by themselves.
    """
    settings = settings_of(context)

    async def review_all() -> ReevaluationReport:
        async with open_log(settings) as log:
            return await reevaluate(log, record_signer(settings))

    report = run(review_all())
    if as_json:
        print_json({"customers": report.customers, "partitions": report.partitions})
    else:
        stdout().print(f"{several(report.customers, 'customer')} will be looked at.")


def described(field: Field) -> dict[str, Any]:
    """Return a field for a program to read."""
    return {
        "name": field.name,
        "type": field.type,
        "about": field.about,
        "possible": list(possible(field)),
        "values": None if field.values is None else sorted(field.values),
        "changed_by": events_of(field.part),
        "by_time": field.changes is not None or field.part == "now",
    }
