"""Every shipped workflow live over a real history: what must hold of it, and what it came to.

    python -m tests.histories.whole_catalogue online-retail|complete-journey [ONE_IN [CHOICE]]

prints the report of the whole data set, or of one of so many of its customers. Of the workflows of
a group somebody is in one at a time, so those of lower priority hardly write when all are live:
CHOICE (first, second or third) leaves out those that stand before them.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.customer import decode_customer
from schemas.instant import parse_instant
from schemas.stored import HEAD_SIZE
from streams.runtime.definitions import read_files
from streams.tools.replay import prepared, replay_file
from streams.tools.replayed_partition import Outcome
from tests.histories.life import lines
from tests.histories.orders import HISTORIES, Shopper
from tests.sending.mails import DAY, clock, most_in_any, worst_share

WORKFLOWS = Path(__file__).parents[2] / "workflows"
AFTERWARDS = 300 * DAY
"""As long as the longest conversation of somebody who never comes back (W21)."""
LONGEST = 366 * DAY
"""Nothing is waited for longer: a birthday, or the next of somebody who orders once a year."""

CHOICES: Mapping[str, frozenset[str]] = {
    "first": frozenset(),
    "second": frozenset({"w06-abandoned-cart-a", "w08-first-abandoner", "w09-seasonal-cart",
                         "w10-cause-aware-cart", "w11-welcome", "w14-newsletter-coupon"}),
    "third": frozenset({"w07-abandoned-cart-b", "w08-first-abandoner", "w09-seasonal-cart",
                        "w10-cause-aware-cart", "w11-welcome"}),
}  # fmt: skip
"""Left out, so that the others of their group have their turn."""

Json = dict[str, Any]


class Played:
    """A history with the whole catalogue live."""

    def __init__(self, shoppers: Mapping[str, Shopper], choice: str = "first") -> None:
        self.shoppers = shoppers
        files = {
            name: content
            for name, content in read_files(WORKFLOWS, everything=True).items()
            if name not in CHOICES[choice]
        }
        definitions, live = prepared(files)
        told = list(lines(shoppers))
        last = max(order.time for each in shoppers.values() for order in each.orders.values())
        self.until = last + AFTERWARDS
        began = time.perf_counter()
        self.outcome: Outcome = replay_file(
            told, until=self.until, definitions=definitions, live=live
        )
        self.seconds = time.perf_counter() - began
        self.lines = len(told)
        self.mails: list[Json] = [json.loads(line[-1]) for line in sorted(self.outcome.commands)]
        self.decisions: list[Json] = [
            json.loads(line[-1]) for line in sorted(self.outcome.decisions)
        ]

    def check(self) -> None:
        """What the shop's policy promises, and that every conversation ends. Asserts."""
        assert self.outcome.refusals == []
        by_customer: defaultdict[str, list[Json]] = defaultdict(list)
        for mail in self.mails:
            if mail["class"] == "marketing":
                by_customer[mail["customer"]].append(mail)
        for who, mails in by_customer.items():
            zone = self.shoppers[who].zone
            sent = [(parse_instant(mail["time"]), mail["kind"] == "promotional") for mail in mails]
            times = [at for at, _ in sent]
            days = [clock(at, zone)[:10] for at in times]
            assert len(days) == len(set(days)), f"{who}: two marketing mails on one day"
            assert most_in_any(7 * DAY, times) <= 3, f"{who}: more than three in seven days"
            assert all("09:00" <= clock(at, zone)[11:16] < "21:00" for at in times), who
            assert worst_share(30 * DAY, 10, sent) <= 0.3, f"{who}: too promotional"
        self._check_stops()
        self._check_ends()

    def _check_stops(self) -> None:
        """No mail after the end of its run, and none of a cart after its purchase."""
        over: set[tuple[str, str]] = set()
        decided: set[str] = set()
        for each in self.decisions:
            run = (each["customer"], each["run"])
            if each["decision"] == "sent":
                assert run not in over, f"{run}: a mail after the end"
                decided.add(each["command_id"])
            elif each["decision"] in ("exited", "completed", "converted"):
                over.add(run)
            elif each["decision"] == "entered":  # two orders of the same minute are one occasion
                over.discard(run)
        assert decided == {mail["id"] for mail in self.mails}  # and each has its reason
        bought = {f"cart-{id_}": order.time
                  for shopper in self.shoppers.values()
                  for id_, order in shopper.orders.items()}  # fmt: skip
        for each in self.decisions:
            _, _, cart = each["run"].partition("/")
            if each["decision"] == "sent" and cart in bought:
                assert parse_instant(each["time"]) < bought[cart], f"{each['run']}: bought already"

    def _check_ends(self) -> None:
        """Whoever never comes back is let go of: what still waits has an instant to wait for."""
        waiting = 0
        for key, stored in self.outcome.customers.items():
            if len(stored) == HEAD_SIZE or key not in self.shoppers:
                continue
            for run in decode_customer(key, stored).runs:
                waiting += 1
                assert run.due < self.until + LONGEST, f"{key}: {run.id} waits for ever"
        entered = sum(each["decision"] == "entered" for each in self.decisions)
        assert waiting < entered / 100  # birthdays, and things that last for long

    def report(self) -> str:
        """What each workflow did, as a table of Markdown."""
        entered, sent, skipped, held, ended = (Counter[str]() for _ in range(5))
        for each in self.decisions:
            name = each["workflow"]
            entered[name] += each["decision"] == "entered"
            sent[name] += each["decision"] == "sent"
            skipped[name] += each["decision"] == "skipped"
            held[name] += each["decision"] == "held"
            ended[name] += each["decision"] in ("exited", "converted")
        rows = [f"| {name} | {entered[name]:,} | {sent[name]:,} | {held[name]:,} | "
                f"{skipped[name]:,} | {ended[name]:,} |" for name in sorted(entered)]  # fmt: skip
        kinds = Counter(mail["kind"] for mail in self.mails)
        orders = sum(len(each.orders) for each in self.shoppers.values())
        mix = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
        return "\n".join([
            f"{len(self.shoppers):,} customers, {orders:,} orders, {self.lines:,} lines, "
            f"{len(self.mails):,} mails ({mix}), {len(self.decisions):,} decisions "
            f"in {self.seconds:.0f} s",
            "",
            "| workflow | runs | mails | held | left out | ended early |",
            "|---|---|---|---|---|---|",
            *rows,
        ])  # fmt: skip


if __name__ == "__main__":
    name, one_in, choice = (*sys.argv[1:], *("online-retail", "1", "first")[len(sys.argv) - 1 :])
    played = Played(HISTORIES[name].read(int(one_in)), choice)
    print(played.report())
    played.check()
    print("\nNo cap exceeded, no mail in quiet hours, the mix holds, no mail after its stop,"
          " every conversation ended.")  # fmt: skip
