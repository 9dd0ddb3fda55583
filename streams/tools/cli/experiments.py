"""`ritorno experiments`: what A/B tests and holdouts have come to, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from schemas.instant import parse_instant, to_rfc3339
from schemas.time_units import DAY_MS
from streams.messages.plurals import several
from streams.messages.spans import span
from streams.messages.translations import ENGLISH
from streams.settings import Settings
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    progress,
    run,
    say,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from agents.insights.experiment_results import Design, Missing, Result
    from schemas.decisions import Decision

Happened = dict[str, dict[str, list[int]]]
"""By occurrence and customer: when."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiments")(experiments)


def experiments(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    source: Annotated[
        str, typer.Option("--from", help="What `ritorno replay --out` wrote, or `log`.")
    ] = "log",
    workflows_dir: Annotated[
        Path | None, typer.Option(help="The workflow files, with --from a replay.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare the variants of experiments: rates with their uncertainty, winner, holdout lift."""
    settings = settings_of(context, workflows_dir=workflows_dir)
    from agents.insights import experiment_results  # noqa: PLC0415  # pydantic models take a moment
    from streams.operate.timeline import TimelineError  # noqa: PLC0415  # as above

    try:
        if source == "log":
            designs, decisions, happened, until = run(_of_log(settings))
        else:
            designs, decisions, happened, until = _of_replay(settings, Path(source))
    except TimelineError as error:
        raise UserError(str(error)) from None
    names = experiment_results.experiments_in(decisions)
    if name is not None and name not in names:
        known = ", ".join(names) or "there is none"
        raise UserError(f"nobody was assigned to an experiment {name!r}; known: {known}")
    found = []
    for each in [name] if name is not None else names:
        design = designs.get(each) or experiment_results.design_of(each, decisions)
        measured = happened.get(design.measure, {})
        found.append(experiment_results.compare(design, decisions, measured, until))
    if as_json:
        for result in found:
            print_json(_data(result))
    elif not found:
        stdout().print("Nobody has been assigned to an experiment yet.")
    else:
        for result in found:
            _show(result)


async def _of_log(
    settings: Settings,
) -> tuple[Mapping[str, Design], list[Decision], Happened, int]:
    from streams.operate.timeline import read_decisions, read_events_of  # noqa: PLC0415  # as above
    from streams.runtime.definitions import read  # noqa: PLC0415  # as above

    with progress("reading the log") as bar:
        async with open_log(settings) as log:
            published = await read(log)
            live = (published.live or {}).items()
            designs = _designs(_readable(published.definitions, live))
            decisions = await read_decisions(log, bar.at)
            measures = {design.measure for design in designs.values()} | {"order.completed"}
            happened, until = await read_events_of(log, measures, bar.at)
    return designs, decisions, happened, until


def _readable(
    published: Mapping[tuple[str, str], bytes], live: Iterable[tuple[str, str]]
) -> Iterator[object]:
    from schemas.definitions import DEFINITION  # noqa: PLC0415  # as above

    for version in live:
        try:
            yield DEFINITION.validate_json(published.get(version, b""))
        except ValueError:  # published by a newer Ritorno, or lost
            say(f"note: {'@'.join(version)} can't be read; its experiments are left out")


def _of_replay(
    settings: Settings, directory: Path
) -> tuple[Mapping[str, Design], list[Decision], Happened, int]:
    """A replay writes the customers' last orders, and no other events."""
    from schemas.definitions import DEFINITION  # noqa: PLC0415  # as above
    from streams.operate.timeline import customers_of, decisions_of  # noqa: PLC0415  # as above
    from streams.runtime.definitions import read_files  # noqa: PLC0415  # as above

    contents = read_files(settings.workflows_dir).values()
    decisions = list(decisions_of(directory))
    until = max((decision.time for decision in decisions), default=0)
    orders: dict[str, list[int]] = {}
    for customer in customers_of(directory):
        times = [parse_instant(order["time"]) for order in customer.get("orders", ())]
        orders[customer["key"]] = times
        last = customer.get("last_seen")
        until = max([until, *times, parse_instant(last) if last else 0])
    designs = _designs([DEFINITION.validate_json(each) for each in contents])
    return designs, decisions, {"order.completed": orders}, until


def _designs(definitions: Iterable[object]) -> dict[str, Design]:
    from agents.insights.experiment_results import designs  # noqa: PLC0415  # as above
    from schemas.definitions.workflow import Workflow  # noqa: PLC0415  # as above

    return {
        design.experiment: design
        for definition in definitions
        if isinstance(definition, Workflow)
        for design in designs(definition)
    }


def _data(result: Result) -> dict[str, Any]:
    design, lift = result.design, result.lift
    return {
        "experiment": design.experiment,
        "workflow": design.workflow,
        "measure": design.measure,
        "window_days": design.within / DAY_MS,
        "begun": to_rfc3339(result.begun),
        "until": to_rfc3339(result.until),
        "control": result.control,
        "variants": [
            {
                "name": each.name,
                "holdout": each.holdout,
                "customers": each.customers,
                "waiting": each.waiting,
                "mails": each.mails,
                "conversions": each.conversions,
                "rate": each.rate,
                "interval": list(each.interval),
                "difference": each.difference,
                "difference_interval": list(each.difference_interval),
                "probability_best": each.best,
            }
            for each in result.variants
        ],
        "lift": None if lift is None else {**lift._asdict(), "interval": list(lift.interval)},
        "winner": result.winner or None,
        "missing": [missing._asdict() for missing in result.missing],
    }


def _show(result: Result) -> None:
    design, out = result.design, stdout()
    within = span(design.within, ENGLISH)
    out.print(f"{design.experiment} ({design.workflow}): {design.measure} within {within}")
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for column in ("variant", "customers", "mails", "converted", "rate", "95 %", "to control",
                   "95 %", "best"):  # fmt: skip
        table.add_column(column, justify="left" if column == "variant" else "right")
    for each in result.variants:
        is_control = each.name == result.control
        low, high = each.interval
        less, more = each.difference_interval
        table.add_row(
            each.name + (" (holdout)" if each.holdout else " (control)" if is_control else ""),
            f"{each.customers:,}", f"{each.mails:,}", f"{each.conversions:,}",
            f"{each.rate:.2%}", f"{low:.2%} to {high:.2%}",
            "" if is_control else f"{each.difference:+.2%}",
            "" if is_control else f"{less:+.2%} to {more:+.2%}",
            f"{each.best:.1%}",
        )  # fmt: skip
    out.print(table)
    waiting = sum(each.waiting for each in result.variants)
    if waiting:
        out.print(f"Not in the rates: {several(waiting, 'customer')} with time left.")
    if result.lift is not None:
        low, high = result.lift.interval
        relative = result.lift.relative
        of = "" if relative is None else f", {relative:+.0%} of the holdout's"
        out.print(f"lift over the holdout: {result.lift.difference:+.2%} "
                  f"({low:+.2%} to {high:+.2%}){of}")  # fmt: skip
    if result.winner:
        out.print(f"winner: {result.winner}")
    else:
        out.print("no winner yet: " + "; ".join(map(_words, result.missing)))


def _words(missing: Missing) -> str:
    match missing.what:
        case "days":
            return f"{missing.amount} more days to run"
        case "customers":
            return f"{missing.variant} needs {missing.amount:,} more customers"
        case "conversions":
            return f"{missing.amount} more conversions"
    if missing.amount is None:
        return "there is no difference to be seen"
    return (
        f"the difference may be chance; about {missing.amount:,} more customers of each would tell"
    )
