"""Every shipped workflow live over two years of real orders."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.histories.orders import HISTORIES
from tests.histories.whole_catalogue import Played

pytestmark = pytest.mark.data

ONE_IN = 60
"""Of the customers, or it would take minutes; `python -m tests.histories.whole_catalogue` takes
all of them."""
AT_NIGHT = 15
SLOW = pytest.mark.slow


@pytest.mark.parametrize("one_in", [ONE_IN, pytest.param(AT_NIGHT, marks=SLOW)])
@pytest.mark.parametrize(
    "name",
    [
        "online-retail",
        *(pytest.param(name, marks=SLOW) for name in HISTORIES if name != "online-retail"),
    ],
)
@pytest.mark.row("R01", "R02", "R03")
def test_the_promises_hold_with_the_whole_catalogue_live(name: str, one_in: int) -> None:
    history = HISTORIES[name]
    if not history.file.exists():
        pytest.skip(f"there is no {history.file}; RITORNO_DATA_SETS names the directory")
    played = Played(history.read(one_in))
    played.check()
    print(f"\n{played.report()}")
    # There was something to hold back, and everything that holds back has done so.
    held = Counter(each["reason"] for each in played.decisions if each["decision"] == "held")
    assert held.keys() >= {"quiet_hours", "frequency_cap", "mix", "outranked"}
    writing = _writing(played)
    assert writing >= {"w02", "w05", "w06", "w10", "w11", "w19", "w20", "w21", "w22", "w25"}
    orders = sum(len(each.orders) for each in played.shoppers.values())
    confirmed = sum(mail["template"] == "order-confirmation" for mail in played.mails)
    assert confirmed == orders


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "instead"), [("second", {"w07", "w12"}), ("third", {"w06", "w14"})]
)
def test_the_promises_hold_for_the_other_series_too(choice: str, instead: set[str]) -> None:
    history = HISTORIES["online-retail"]
    if not history.file.exists():
        pytest.skip(f"there is no {history.file}; RITORNO_DATA_SETS names the directory")
    played = Played(history.read(90), choice)
    played.check()
    assert _writing(played) >= instead


def _writing(played: Played) -> set[str]:
    return {mail["workflow"][:3] for mail in played.mails}
