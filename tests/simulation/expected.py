"""The expected end of each customer, worked out from the log by plain arithmetic.

It shares no code with the actors: `tests/simulation/naive.py` adds up what happened,
`tests/simulation/probe.py` says when timers fire, `tests/simulation/waiting.py` who had to wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from agents.effects import Effect
from schemas.customer import Customer, decode_customer
from schemas.decisions import Decision
from schemas.records import Record
from schemas.set_aside import SetAside
from schemas.topics import CUSTOMER_EVENTS
from streams.partitioner import partition_of
from tests.simulation import probe
from tests.simulation.machine import PARTITIONS, Environment
from tests.simulation.naive import fold
from tests.simulation.probe import End
from tests.simulation.shop import KNOWN, PLAIN, Shop, ShopEvent, name_of
from tests.simulation.waiting import Waiting, waiting


class Reckoning:
    """One story's."""

    def __init__(
        self, environment: Environment, shop: Shop, places: Mapping[int, Sequence[SetAside]]
    ) -> None:
        """`places` that were set aside, by partition."""
        self._world = environment
        self._events = shop.by_id
        self._erasures = Counter(e.key for e in shop.all if e.type == "customer.erasure_requested")
        self.waiting = {key: self._waiting(key, places) for key in PLAIN + KNOWN}
        """Of who was held back at any time it tells more than nothing."""

    def check_plain(self, live: Mapping[bytes, bytes]) -> None:
        """What happened to who was never held back."""
        for key in PLAIN:
            if not self.waiting[key].spans:
                self._check_sums(key, live)

    def check_held(
        self,
        live: Mapping[bytes, bytes],
        effects: Sequence[Effect],
        refused: set[tuple[int, int]],
    ) -> None:
        """`refused`: partition and offset of what found no room."""
        expected = set[tuple[int, int]]()
        for key, each in self.waiting.items():
            expected |= {(_home(key), offset) for offset in each.refused}
            if each.spans and key in PLAIN:
                self._check_sums(key, live)
                self._check_order(key, effects)
        assert refused == expected, "what found no room is refused, and nothing else"

    def check_timers(self, effects: Sequence[Effect]) -> None:
        """Each run of the probe ends as a loop says."""
        ended: dict[tuple[str, str], Decision] = {}
        times = Counter[tuple[str, str]]()
        for decision in (e.content for e in effects if isinstance(e.content, Decision)):
            if decision.workflow == probe.ID and decision.decision in ("completed", "exited"):
                key = decision.customer, decision.run.split("/")[1]
                times[key] += 1
                # An order that comes once more when its customer was forgotten is a new one.
                most = 1 + self._erasures[decision.customer]
                assert times[key] <= most, f"not twice: {decision}"
                ended[key] = decision
        for key in PLAIN:
            if self.waiting[key].spans:
                continue
            wanted = self._probe(key)
            found = {order: each for (who, order), each in ended.items() if who == key}
            assert found.keys() == wanted.keys(), f"none lost, none too many: {key}"
            for order, end in wanted.items():
                assert end.decision == found[order].decision, f"timers first: {found[order]} {end}"
                assert end.earliest <= found[order].time <= end.latest, f"{found[order]} {end}"

    def _check_order(self, key: str, effects: Sequence[Effect]) -> None:
        """Sums are the same in any order, but runs begin in that of the log."""
        decisions = (e.content for e in effects if isinstance(e.content, Decision))
        entered = [
            each.run.split("/")[1]
            for each in decisions
            if (each.customer, each.workflow, each.decision) == (key, probe.ID, "entered")
        ]
        told = {e.data["order_id"]: 0 for e in self._delivered(key) if e.type == "order.completed"}
        assert entered == [order for order in told if order in entered], f"in order: {key}"

    def _probe(self, key: str) -> dict[str, End]:
        return probe.ends(self._home_of(key), self._events, key, self._world.visits)

    def _check_sums(self, key: str, live: Mapping[bytes, bytes]) -> None:
        naive = fold(self._delivered(key))
        kept = customer_of(live, key)
        numbers = kept.statistics
        assert numbers.count == len(naive.orders), key
        assert numbers.spent.get("EUR", Decimal(0)) == naive.spent, key
        assert numbers.refunded.get("EUR", Decimal(0)) == naive.refunded, key
        assert kept.consented("marketing") == naive.consent[1], key
        assert {line.product_id: line.quantity for line in kept.cart.lines} == naive.cart, key
        assert kept.views == naive.views, key

    def _delivered(self, key: str) -> Iterator[ShopEvent]:
        """Yield the customer's events in the order of the log, but those that found no room."""
        refused = self.waiting[key].refused
        for record in self._home_of(key):
            event = self._events.get(name_of(record))
            if event is not None and event.key == key and record.offset not in refused:
                yield event

    def _waiting(self, key: str, places: Mapping[int, Sequence[SetAside]]) -> Waiting:
        of_customers = [
            (each.offset, each.name)
            for each in places.get(_home(key), ())
            if each.what == "customer"
        ]
        return waiting(self._home_of(key), of_customers, key)

    def _home_of(self, key: str) -> list[Record]:
        return self._world.log.topics[CUSTOMER_EVENTS][_home(key)]


def customer_of(live: Mapping[bytes, bytes], key: str) -> Customer:
    """Return a kept customer, a new one if nothing is kept."""
    stored = live.get(key.encode())
    return Customer(key=key) if stored is None else decode_customer(key, stored)


def _home(key: str) -> int:
    return partition_of(key.encode(), PARTITIONS)
