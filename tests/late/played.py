"""What a history of events leads to, in whichever order it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from random import Random
from typing import Any

import msgspec

from agents.customer import grounds
from agents.definitions.published import Definitions
from agents.links.names import PREFIX
from schemas.customer import Customer, decode_customer
from schemas.description import describe
from schemas.reference import of_visitor
from streams.runtime.definitions import read_files
from streams.tools.replay import prepared, replay_file
from tests.cases.played import WORKFLOWS
from tests.late.true_histories import CONSENT, IDENTITY, MINUTE, START, Told

WINDOW = 2 * 24 * 60 * MINUTE
"""How late an event may come."""
UNTIL = START + 90 * 24 * 60 * MINUTE

State = dict[str, Any]


@cache
def _definitions() -> tuple[Definitions, dict[str, str]]:
    shipped = read_files(WORKFLOWS, everything=True)
    return prepared({name: shipped[name] for name in ("loyalty", "segments")})


def state(told: Iterable[Told]) -> State:
    """Play the events in the given order and return what is known then, part by part."""
    definitions, live = _definitions()
    told = list(told)
    outcome = replay_file(
        [each.line() for each in told], until=UNTIL, definitions=definitions, live=live
    )
    assert outcome.refusals == [], outcome.refusals
    customers = {key: decode_customer(key, stored) for key, stored in outcome.customers.items()}
    visitor = customers.get(of_visitor(next((e.visitor for e in told if e.visitor), "")))
    rosa = customers.get("rosa")
    found: State = {"customers": [key for key in sorted(customers) if not key.startswith(PREFIX)]}
    if visitor is not None:
        found["became"] = visitor.became
        if not visitor.became:
            found |= _known(visitor)
    return found if rosa is None else found | _known(rosa)


def _known(customer: Customer) -> State:
    """Return what is known. Whether an account's address is also proven is left out: a proof that
    comes before the address that it proves is of the one before."""
    numbers = customer.statistics
    return {
        "visitors": sorted(customer.visitors),
        "profile": msgspec.structs.asdict(customer.profile)
        | {"ground": grounds.is_owned(customer)},
        "consents": {name: (c.given, c.time) for name, c in sorted(customer.consents.items())},
        "lists": {name: (s.subscribed, s.joined) for name, s in sorted(customer.lists.items())},
        "orders": {each["id"]: _order(each) for each in describe(customer)["orders"]},
        "sums": {
            "count": numbers.count,
            "spent": _amounts(numbers.spent),
            "refunded": _amounts(numbers.refunded),
            "items": numbers.items,
            "first": numbers.first,
            "last": numbers.last,
        },
        "loyalty": (customer.points_balance, customer.tier),
        "segments": customer.segments,
        "bought": sorted(customer.purchases.products.items()),
        "cart": (
            sorted((_line(line) for line in customer.cart.lines), key=str),
            customer.cart.id if customer.cart.lines else "",
        ),
    }


def _order(order: dict[str, Any]) -> dict[str, Any]:
    lines = sorted(order["lines"], key=str)
    return {name: each for name, each in order.items() if name not in _AHEAD} | {"lines": lines}


_AHEAD = frozenset({"runs_out", "accessories"})
"""What the feed has said of its products when it came."""


def _line(line: Any) -> tuple[Any, ...]:
    return (line.product_id, getattr(line, "variant", ""), line.quantity, line.price)


def _amounts(amounts: dict[str, Any]) -> dict[str, Any]:
    return {currency: amount for currency, amount in sorted(amounts.items()) if amount}


Arrival = Callable[[Sequence[Told], Random], list[Told]]


def twice(told: Sequence[Told], chance: Random) -> list[Told]:
    """In order, and some of them a second time, later."""
    return [each for _, each in sorted(_again(told, chance), key=lambda pair: pair[0])]


def late(*kinds: str) -> Arrival:
    """Return an arrival in which events of these kinds come late, and some twice."""

    def arrive(told: Sequence[Told], chance: Random) -> list[Told]:
        def delayed(each: Told) -> int:
            is_late = each.kind in kinds and chance.random() < 0.5
            return each.time + (chance.randint(0, WINDOW) if is_late else 0)

        arrived = [(delayed(each), each) for each in told]
        known = min((at for at, each in arrived if each.kind == IDENTITY), default=UNTIL)
        # What a visitor says of consent moves nothing of a customer's: it comes before.
        arrived = [
            (min(at, known) if each.kind == CONSENT and not each.who else at, each)
            for at, each in arrived
        ]
        arrived += [(at, each) for at, each in _again(told, chance) if at > each.time]
        return [each for _, each in sorted(arrived, key=lambda pair: (pair[0], pair[1].time))]

    return arrive


def _again(told: Sequence[Told], chance: Random) -> list[tuple[int, Told]]:
    again = [each for each in told if chance.random() < 0.3]
    return [(each.time, each) for each in told] + [
        (each.time + chance.randint(1, WINDOW), each) for each in again
    ]


def differences(wanted: State, found: State) -> list[str]:
    """Return the parts that are not the same."""
    return sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )


def smallest(
    told: Sequence[Told], arrived: Sequence[Told], parts: Sequence[str]
) -> tuple[list[Told], list[Told]]:
    """Return as few of the events as possible, in order and as they arrive, of which those parts
    still differ."""
    told, arrived = list(told), list(arrived)
    for each in [*reversed(arrived), *reversed(told)]:
        fewer = [other for other in told if other.id != each.id]
        fewer_arrived = [other for other in arrived if other.id != each.id]
        if len(fewer) < len(told) and _still(fewer, fewer_arrived, parts):
            told, arrived = fewer, fewer_arrived
    for number in reversed(range(len(arrived))):  # what comes twice, once
        once = arrived[:number] + arrived[number + 1 :]
        if {e.id for e in once} == {e.id for e in told} and _still(told, once, parts):
            arrived = once
    return told, arrived


def _still(told: list[Told], arrived: list[Told], parts: Sequence[str]) -> bool:
    if not told:
        return False
    try:
        return any(part in parts for part in differences(state(told), state(arrived)))
    except AssertionError:
        return False
