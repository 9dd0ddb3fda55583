"""Models made of values that are right already."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from schemas.decisions import Decision
from schemas.instant import EARLIEST, LATEST
from schemas.made import made
from schemas.signals import ScoreChanged

NOW = 1_772_449_200_000
ENTERED: dict[str, Any] = {
    "detail": "tag store:active",
    "reason": "triggered",
    "decision": "entered",
    "run": "welcome/x/1",
    "version": "0123456789ab",
    "workflow": "welcome",
    "customer": "anna",
    "time": NOW,
}
CHANGED: dict[str, Any] = {
    "previous_band": "cold",
    "band": "hot",
    "value": 20.0,
    "customer": "anna",
    "time": NOW,
    "id": "1",
}


def test_it_is_what_the_model_itself_makes_in_whatever_order_the_values_are_given() -> None:
    for own, checked in [
        (made(Decision, **ENTERED), Decision(**ENTERED)),
        (
            made(Decision, **ENTERED, due=NOW + 1, mail_class="marketing"),
            Decision(**ENTERED, due=NOW + 1, mail_class="marketing"),
        ),
        (made(ScoreChanged, **CHANGED), ScoreChanged(**CHANGED)),
    ]:
        assert own == checked
        assert repr(own) == repr(checked)
        assert own.model_dump_json(by_alias=True) == checked.model_dump_json(by_alias=True)
        assert own.model_copy(update={"customer": "bea"}) == checked.model_copy(
            update={"customer": "bea"}
        )


def test_one_is_not_the_other() -> None:
    first, second = made(Decision, **ENTERED), made(Decision, **ENTERED | {"customer": "bea"})
    assert (first.customer, second.customer) == ("anna", "bea")
    with pytest.raises(ValidationError, match="frozen"):
        first.customer = "carla"


@pytest.mark.parametrize("name", ["time", "due", "held_since"])
@pytest.mark.parametrize("instant", [EARLIEST - 1, LATEST])
def test_an_instant_that_cannot_be_written_is_refused(name: str, instant: int) -> None:
    with pytest.raises(ValidationError, match=name):
        made(Decision, **ENTERED | {name: instant})


@pytest.mark.parametrize(
    "values",
    [
        {name: value for name, value in ENTERED.items() if name != "customer"},
        {name: value for name, value in ENTERED.items() if name != "customer"} | {"custom": "anna"},
    ],
)
def test_what_is_missing_is_refused_as_the_model_does(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="customer"):
        Decision(**values)
    with pytest.raises(ValidationError, match="customer"):
        made(Decision, **values)


def test_what_the_model_does_not_know_is_not_in_it() -> None:
    unknown: dict[str, Any] = ENTERED | {"custom": "x"}
    assert made(Decision, **unknown) == Decision(**unknown)
    assert "custom" not in vars(made(Decision, **unknown))


def test_one_has_nothing_in_common_with_the_next() -> None:
    first, second = made(Decision, **ENTERED), made(Decision, **ENTERED)
    first.model_fields_set.clear()
    assert second.model_fields_set >= ENTERED.keys()
    assert made(Decision, **ENTERED).model_fields_set >= ENTERED.keys()


def test_a_model_whose_default_is_made_anew_each_time_is_not_for_this() -> None:
    class Listed(BaseModel):
        names: list[str] = Field(default_factory=list)

    with pytest.raises(TypeError, match=r"Listed\.names has a default_factory"):
        made(Listed)
