"""Key figures on the command line: `kpi`, `cohorts`, `attribution`, `roi`, `funnel`, `carts`."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.written_amounts import read_amount
from streams.messages.plurals import several
from streams.messages.translations import Language
from streams.tools.cli.console import (
    ITALIAN,
    JsonFlag,
    LanguageOption,
    UserError,
    print_json,
    progress,
    run,
    say,
    settings_of,
    stdout,
)

FromOption = Annotated[str | None, typer.Option("--from", help="First day counted, 2026-03-01.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last day counted.")]
ByOption = Annotated[
    str | None, typer.Option("--by", help="month, source, workflow, step, variant or segment.")
]
CurrencyOption = Annotated[
    str | None, typer.Option(help="EUR; needed where orders are in several.")
]
RefundsOption = Annotated[
    str, typer.Option(help="after: what was paid back is off its order; before: it isn't.")
]
CsvFlag = Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")]

MOST_COSTS = 10_000
"""Lines of a file of costs."""

MOST_DIGITS, MOST_LETTERS = 12, 40
"""Of an amount."""

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
COST_COLUMNS = ("month", "what", "workflow", "amount")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("kpi")(kpi)
    app.command("cohorts")(cohorts)
    app.command("attribution")(attribution)
    app.command("roi")(roi)
    app.command("funnel")(funnel)
    carts = typer.Typer(help="Abandoned carts.", no_args_is_help=True)
    carts.callback()(lambda: None)
    carts.command("calculator")(calculator)
    app.add_typer(carts, name="carts")


def kpi(
    context: typer.Context,
    first: FromOption = None,
    last: ToOption = None,
    by: ByOption = None,
    workflow: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    currency: CurrencyOption = None,
    refunds: RefundsOption = "after",
    years: Annotated[str, typer.Option(help="Of the simple lifetime value.")] = "1",
    window: Annotated[
        int, typer.Option(help="Days within which to order again, or to reach a goal.")
    ] = 30,
    language: LanguageOption = ITALIAN,
    as_csv: CsvFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Say the shop's key figures: orders, customers, mails, carts, workflows."""
    given = {"first": first, "last": last, "by": by, "workflow": workflow, "currency": currency,
             "refunds": refunds, "years": years, "window_days": window}  # fmt: skip
    _answer(context, "kpi", given, language, as_csv=as_csv, as_json=as_json)


def cohorts(
    context: typer.Context,
    first: FromOption = None,
    last: ToOption = None,
    by: ByOption = None,
    currency: CurrencyOption = None,
    refunds: RefundsOption = "after",
    language: LanguageOption = ITALIAN,
    as_csv: CsvFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Follow customers by the month (or source) of their first order: who came back, with what."""
    given = {"first": first, "last": last, "by": by, "currency": currency, "refunds": refunds}
    _answer(context, "cohorts", given, language, as_csv=as_csv, as_json=as_json)


def attribution(
    context: typer.Context,
    first: FromOption = None,
    last: ToOption = None,
    by: ByOption = None,
    workflow: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    currency: CurrencyOption = None,
    refunds: RefundsOption = "after",
    language: LanguageOption = ITALIAN,
    as_csv: CsvFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what orders are credited to which workflow: by its code, by a click, by being sent."""
    given = {"first": first, "last": last, "by": by, "workflow": workflow, "currency": currency,
             "refunds": refunds}  # fmt: skip
    _answer(context, "attribution", given, language, as_csv=as_csv, as_json=as_json)


def roi(
    context: typer.Context,
    costs: Annotated[Path, typer.Option(help="CSV: month, what, workflow, amount.")],
    first: FromOption = None,
    last: ToOption = None,
    currency: CurrencyOption = None,
    refunds: RefundsOption = "after",
    language: LanguageOption = ITALIAN,
    as_csv: CsvFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare what workflows are credited with to what they cost: (revenue - cost) / cost."""
    given = {"first": first, "last": last, "currency": currency, "refunds": refunds,
             "costs": read_costs(costs)}  # fmt: skip
    _answer(context, "roi", given, language, as_csv=as_csv, as_json=as_json)


def funnel(
    context: typer.Context,
    workflow: Annotated[str, typer.Argument(help="w06-abandoned-cart-a")],
    first: FromOption = None,
    last: ToOption = None,
    language: LanguageOption = ITALIAN,
    as_csv: CsvFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Follow a workflow from entering through its mails to goals and orders."""
    given = {"first": first, "last": last, "workflow": workflow}
    _answer(context, "funnel", given, language, as_csv=as_csv, as_json=as_json)


def calculator(
    visitors: Annotated[int, typer.Option(help="In a month.")],
    cr: Annotated[str, typer.Option(help="Orders of visitors, 0.024 or 2.4%.")],
    aov: Annotated[str, typer.Option(help="The average order, 20.")],
    abandoned: Annotated[str, typer.Option(help="Carts that are left behind, 0.79 or 79%.")],
    recovery: Annotated[str, typer.Option(help="What comes back of them.")] = "10%",
    as_json: JsonFlag = False,
) -> None:
    """Reckon what abandoned carts cost in a month and in a year, and what of it may come back."""
    from agents.insights.kpi_formulas import cart_loss  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    try:
        found = cart_loss(
            visitors=visitors, conversion=_share("--cr", cr), order_value=_amount("--aov", aov),
            abandoned=_share("--abandoned", abandoned),
        )  # fmt: skip
    except ValueError as error:
        raise UserError(str(error)) from None
    back = found.recovered(_share("--recovery", recovery))
    if as_json:
        for name, value in (("cart.loss", found.loss), ("cart.recoverable", back)):
            for span, months in (("month", 1), ("year", 12)):
                print_json({"kpi": name, "value": f"{(value * months).normalize():f}",
                            "unit": "", "by": "span", "key": span})  # fmt: skip
        return
    for name, value in (("lost", found.loss), ("may come back", back)):
        stdout().print(f"{name:14} {value:>14,.2f} a month {value * 12:>16,.2f} a year")


def _share(name: str, text: str) -> Decimal:
    try:
        if len(text) > MOST_LETTERS or "e" in text.lower():
            raise InvalidOperation
        if text.endswith("%"):
            return Decimal(text[:-1].strip().replace(",", ".")) / 100
        return Decimal(text.replace(",", "."))
    except InvalidOperation:
        raise UserError(f"{name}: expected a share, 0.24 or 24% (got {text[:40]!r})") from None


def _amount(name: str, text: str) -> Decimal:
    try:
        return read_amount(text).amount
    except ValueError:
        raise UserError(f"{name}: expected an amount, 12.50 (got {text[:40]!r})") from None


def read_costs(path: Path) -> list[dict[str, str]]:
    """Read a file of costs. Raises UserError naming file, line and column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if set(rows.fieldnames or ()) != set(COST_COLUMNS):
                raise UserError(f"{path}:1: expected the columns {', '.join(COST_COLUMNS)} "
                                f"(got {', '.join(rows.fieldnames or ())[:100]})")  # fmt: skip
            costs = []
            for row in rows:
                if rows.line_num > MOST_COSTS:
                    raise UserError(f"{path}: more than {several(MOST_COSTS, 'line')}")
                at = f"{path}:{rows.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{at}: expected {', '.join(COST_COLUMNS)}")
                amount = _amount(f"{at}: amount", row["amount"])
                month = row["month"].strip()
                if not _MONTH.fullmatch(month):
                    raise UserError(f"{at}: month: expected 2026-03 (got {month[:40]!r})")
                costs.append({"month": month, "workflow": row["workflow"].strip(),
                              "amount": f"{amount:f}"})  # fmt: skip
            return costs
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _answer(
    context: typer.Context,
    name: str,
    given: Mapping[str, Any],
    language: Language,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    from streams.tools.insights import ask  # noqa: PLC0415  # as above

    arguments = {key: value for key, value in given.items() if value is not None}
    with progress("reading the facts") as bar:
        answer = run(ask(settings_of(context), name, arguments, bar.at))
    about = {each: answer[each] for each in ("fresh", "zone", "amounts", "behind")}
    rows = [{**figure, **about} for figure in answer["figures"]]
    if as_json:
        for row in rows:
            print_json(row)
    elif as_csv:
        _write_csv(rows)
    else:
        _show(rows, about, language)


def _write_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _show(rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any], language: Language) -> None:
    from streams.tools.cli.tables import listing  # noqa: PLC0415  # as above
    from streams.tools.figure_words import about_words, figure_cells, heads  # noqa: PLC0415  # as above

    cells = [figure_cells(row, language) for row in rows]
    if not cells:
        say("nothing is known of this span yet")
        return
    stdout().print(listing(heads(language), cells))
    stdout().print(about_words(about, language), soft_wrap=True)
