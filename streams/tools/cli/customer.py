"""`ritorno customer`: all that is known about one, and trying again with who is held back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from schemas.customer import Customer
from schemas.description import describe
from schemas.instant import to_rfc3339
from schemas.money import amount_text
from schemas.reference import both, id_of, is_visitors, of_visitor
from schemas.stored import NEVER
from streams.clock import SystemClock
from streams.operate.lookup import known_customers, latest_states
from streams.runtime.factories import lookups_of
from streams.tools.cli.console import (
    JsonFlag,
    UserError,
    open_log,
    print_json,
    progress,
    run,
    settings_of,
    stdout,
    without_answer,
)
from streams.tools.cli.tables import facts

EVIDENCE_SHOWN = 10
"""The last ones; `ritorno privacy evidence` shows all with all that proves them."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="What is known about a customer.", no_args_is_help=True)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("unlink")(unlink)
    app.add_typer(group, name="customer")


def show(
    context: typer.Context,
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="Customer or visitor id.")],
    as_json: JsonFlag = False,
) -> None:
    """Show the latest state of a customer: its worker's, or the log's while none runs.

    A visitor may have the same id as a customer; both are shown then.
    """
    settings = settings_of(context)

    async def look_up() -> dict[str, bytes]:
        with progress("looking it up") as bar:
            async with open_log(settings) as log:
                return await latest_states(
                    log,
                    customer_id,
                    bar.at,
                    lookups=lookups_of(settings, log),
                    told=without_answer,
                )

    states = run(look_up())
    known = known_customers(states)
    if not states:
        raise UserError(f"nothing is known about {customer_id!r}")
    if not known:
        raise UserError(f"{customer_id!r} was erased")
    for number, customer in enumerate(known.values()):
        if as_json:
            print_json(describe(customer))
            continue
        if number:
            stdout().print()
        stdout().print(facts(_rows(customer)))


def unlink(
    context: typer.Context,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Customer id.")],
    visitor_id: Annotated[str, typer.Argument(metavar="VISITOR", help="Anonymous id.")],
    as_json: JsonFlag = False,
) -> None:
    """Undo a wrong merge: a visitor is not this customer after all.

    What the visitor does is the visitor's again, and nothing links the two once more: there is no
    way back. The visitor gets back what it had brought along.
    """
    settings = settings_of(context)
    from streams.operate.unlinking import UnlinkReport  # noqa: PLC0415  # as above
    from streams.operate.unlinking import unlink as append_unlink  # noqa: PLC0415  # as above
    from streams.runtime.factories import record_signer  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    async def append() -> UnlinkReport | None:
        with progress("reading the log") as bar:
            async with open_log(settings) as log:
                known = known_customers(await latest_states(log, customer_id))
                visitors = known_customers(await latest_states(log, visitor_id))
                if not _are_one(known, visitors, customer_id, visitor_id):
                    return None
                return await append_unlink(
                    log,
                    customer_id,
                    visitor_id,
                    record_signer(settings),
                    time=SystemClock().now(),
                    lookups=lookups_of(settings, log),
                    on_progress=bar.at,
                )

    report = run(append())
    merges = 0 if report is None else report.merges
    if as_json:
        print_json({"customer": customer_id, "visitor": visitor_id, "merges": merges,
                    "done_before": report is None})  # fmt: skip
        return
    out = stdout()
    if report is None:
        out.print(f"{visitor_id} and {customer_id} are two people already, by an operator's word.",
                  markup=False)  # fmt: skip
        return
    out.print(f"{visitor_id} is not {customer_id} from here on, as soon as a worker has read this. "
              "Nothing links the two again.", markup=False)  # fmt: skip
    if not merges:
        out.print("The log no longer has what the visitor brought along, if it did: that stays "
                  "with the customer.", markup=False)  # fmt: skip
        return
    out.print("The visitor gets back what it had brought along, and the customer loses it. What "
              "stays with the customer: all that came after the merge, scores, orders, points, "
              "codes, and mails that were sent.", markup=False)  # fmt: skip


def _are_one(
    known: Mapping[str, Customer],
    visitors: Mapping[str, Customer],
    customer_id: str,
    visitor_id: str,
) -> bool:
    """Return whether there is something to undo, False where that was done before. Raises UserError
    where one of the two isn't there."""
    from agents.customer.unlinking import are_unlinked  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    customer, visitor = known.get(customer_id), visitors.get(of_visitor(visitor_id))
    if customer is None:
        swapped = visitor_id in visitors and of_visitor(customer_id) in known
        hint = f": the customer comes first, then the visitor {customer_id!r}" if swapped else ""
        raise UserError(f"there is no customer {customer_id!r}{hint}")
    linked = visitor_id in customer.visitors or (visitor and visitor.became == customer_id)
    if not linked and are_unlinked(customer, visitor_id):
        return False
    if not linked and visitor is None:
        raise UserError(f"there is no visitor {visitor_id!r}")
    return True


def retry(
    context: typer.Context,
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="Customer or visitor id.")],
    afresh: Annotated[
        bool, typer.Option(help="Give up what is kept: begin anew with the events that wait.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Apply the events that wait for a customer whose kept record could not be read."""
    settings = settings_of(context)
    from streams.operate.retrying import try_again  # noqa: PLC0415  # as above
    from streams.runtime.factories import record_signer  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    async def append() -> None:
        async with open_log(settings) as log:
            for reference in both(customer_id):
                await try_again(log, reference, record_signer(settings), afresh=afresh)

    run(append())
    if as_json:
        print_json({"customer": customer_id, "afresh": afresh})
    else:
        stdout().print("Asked for; ritorno doctor shows who is still held back.")


def _rows(customer: Customer) -> Iterator[tuple[str, str]]:
    profile = customer.profile
    yield "visitor" if is_visitors(customer.key) else "customer", id_of(customer.key)
    if customer.became:
        yield "turned out to be", customer.became
    known = (profile.name or f"{profile.first_name} {profile.last_name}".strip(), profile.email)
    yield "who", ", ".join(part for part in known if part) or "not known yet"
    yield from _address_rows(customer)
    yield "seen", f"{_when(customer.first_seen)} to {_when(customer.last_seen)}"
    if customer.suppressed:
        yield "suppressed", customer.suppressed
    for purpose, consent in customer.consents.items():
        answer = "given" if consent.given else "withdrawn"
        yield "consent", f"{purpose}: {answer} {_when(consent.time)} ({consent.source})"
    for name, membership in customer.lists.items():
        state = "subscribed" if membership.subscribed else "unsubscribed"
        if membership.pending:
            state = "not confirmed yet, asked"
        yield "list", f"{name}: {state} {_when(membership.time)}"
    for name, other in customer.list_addresses.items():
        state = "confirmed" if other.confirmed else "not confirmed"
        yield "list", f"{name}: for {other.email}, {state}"
    for each in customer.evidence[-EVIDENCE_SHOWN:]:
        what = f"list {each.list}" if each.purpose == "list" else each.purpose
        said, words = "yes" if each.given else "no", f", {each.wording}" if each.wording else ""
        yield "evidence", f"{_when(each.time)} {what}: {said} ({each.source}{words})"
    yield "engagement", f"{customer.engagement.value:.1f} {customer.engagement.band}".rstrip()
    if customer.cart.lines:
        goods = ", ".join(f"{line.quantity} × {line.name or line.product_id}"
                          for line in customer.cart.lines)  # fmt: skip
        total = f"{amount_text(customer.cart.total())} {customer.cart.currency}"
        yield "cart", f"{goods} ({total}), changed {_when(customer.cart.changed)}"
    yield from _order_rows(customer)
    for run_ in customer.runs:
        due = "waits for an event" if run_.due >= NEVER else f"due {_when(run_.due)}"
        yield "run", f"{run_.workflow} step {run_.step + 1}: {due}"
    for pending in customer.pending:
        yield "mail on its way", f"{pending.workflow} {pending.step}"
    for sent in customer.sent[-10:]:
        yield "mail", f"{_when(sent.time)} {sent.workflow} {sent.step} ({sent.mail_class})"


def _address_rows(customer: Customer) -> Iterator[tuple[str, str]]:
    if not customer.profile.email:
        return
    # The actor's rules take a while to import.
    from agents.customer import grounds  # noqa: PLC0415  # see above

    yield "address", grounds.ground_of(customer)
    if grounds.has_objected_elsewhere(customer):
        yield "address", "has objected to marketing under another id, so there is none"


def _order_rows(customer: Customer) -> Iterator[tuple[str, str]]:
    statistics = customer.statistics
    if not statistics.count:
        return
    spent = ", ".join(f"{amount_text(sum_)} {code}" for code, sum_ in statistics.spent.items())
    yield "orders", f"{statistics.count}, {spent}, last {_when(statistics.last)}"
    for order in customer.orders[-5:]:
        total = f"{amount_text(order.total)} {order.currency}"
        name = f"{order.number} ({order.id})" if order.number else order.id
        yield "order", f"{name} {_when(order.time)} {total} {order.status}"


def _when(instant: int) -> str:
    return to_rfc3339(instant - instant % 1000) if 0 < instant < NEVER else "never"
