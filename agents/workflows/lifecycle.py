"""Every change that a run goes through: nobody else writes a run, or the lists that hold it.

The state of a run follows from why its step is put off (`state`):

    waiting     for the time, the event or the condition of its step
    postponed   late, and outside the hours in which its step may still be done
    held        its mail may not go now: quiet hours, a cap, a better mail
    calling     for the end of the workflow that its step has called
    asking      for another actor: a code of a pool, whether a mail may go to an address
    finished    over; its goal counts for a while, until `due`

`docs/states.md` draws it from the rows that stand over the functions here.
"""

from __future__ import annotations

from typing import Literal

from agents.transitions import Transition, transition
from schemas.customer import Customer
from schemas.customer.runs import Run

RunState = Literal["waiting", "postponed", "held", "calling", "asking", "finished"]

OUTSIDE_WINDOW = "outside_window"
CALLING = "calling"
ASKING = "asking"
ANSWER = ":asked"
"""Among a run's results: what the actor of an address has answered; no step's id has a colon."""
AWAITED = frozenset({CALLING, ASKING})
"""Reasons for which a step is put off that was begun already: it waits for an answer."""

TRANSITIONS: list[Transition] = []
"""What may happen to a run, one row for each function below."""

_GOES_ON = "waiting postponed held calling asking"


def state(run: Run) -> RunState:
    """Return the state of a run that goes on; who is finished is in a list of its own."""
    match run.held_for:
        case "":
            return "waiting"
        case "outside_window":
            return "postponed"
        case "calling":
            return "calling"
        case "asking":
            return "asking"
    return "held"


@transition(TRANSITIONS, "none", "waiting")
def begun(customer: Customer, run: Run) -> None:
    """It has been triggered."""
    customer.runs.append(run)


@transition(TRANSITIONS, "none")
def adopted(customer: Customer, run: Run) -> None:
    """A visitor turned out to be this customer: it goes on here."""
    customer.runs.append(run)


@transition(TRANSITIONS, "none finished")
def taken_up(customer: Customer, run: Run) -> None:
    """It was given up and is tried again."""
    customer.finished = [other for other in customer.finished if other.id != run.id]
    customer.runs = [*customer.runs, run]


@transition(TRANSITIONS, _GOES_ON, "waiting", sets="due held held_for")
def scheduled(run: Run, due: int) -> None:
    """Its step is due at a time that is known now, and nothing puts it off."""
    run.held, run.held_for, run.due = 0, "", due


@transition(TRANSITIONS, _GOES_ON, sets="due")
def rescheduled(run: Run, due: int) -> None:
    """Its step is due at another time than it was: by another calendar, zone or version."""
    run.due = due


@transition(TRANSITIONS, _GOES_ON, sets="anchors")
def anchored(run: Run, name: str, time: int) -> None:
    """Something happened that waits count from or steps are left out for."""
    run.anchors[name] = time


@transition(TRANSITIONS, _GOES_ON, sets="results due")
def arrived(run: Run, step: str, result: str, now: int) -> None:
    """The event or condition that its step waits for has come."""
    run.results[step] = result
    run.due = now


@transition(TRANSITIONS, _GOES_ON, sets="results")
def resulted(run: Run, step: str, result: str) -> None:
    """Its step, or the step's wait, has come to something."""
    run.results[step] = result


@transition(TRANSITIONS, _GOES_ON, sets="results")
def unresulted(run: Run, step: str) -> None:
    """What its step has been told is used up: a mail comes to nothing that an arm could ask for."""
    run.results.pop(step, None)


@transition(TRANSITIONS, _GOES_ON, sets="results coupon")
def issued(run: Run, step: str, code: str | None) -> None:
    """A code was issued, or there is none any more."""
    run.results[step] = "none" if code is None else "issued"
    run.coupon = code or run.coupon


@transition(TRANSITIONS, _GOES_ON, sets="results holdout")
def assigned(run: Run, step: str, variant: str, *, holdout: bool) -> None:
    """It goes the way of a variant from here."""
    run.results[step] = variant
    run.holdout = run.holdout or holdout


@transition(TRANSITIONS, "waiting postponed held", "postponed", sets="due held held_for")
def postponed(run: Run, until: int, now: int) -> None:
    """Its step is late, and may be done when its hours begin."""
    run.due, run.held, run.held_for = until, run.held or now, OUTSIDE_WINDOW


@transition(TRANSITIONS, "waiting postponed held asking", "asking", sets="due held held_for")
def reserving(run: Run, since: int, until: int) -> None:
    """Its mail may go as far as the customer alone is concerned, and waits for a place at the
    address, which others have, too."""
    run.due, run.held, run.held_for = until, since, ASKING


@transition(TRANSITIONS, "waiting postponed held asking", "held", sets="due held held_for")
def held(run: Run, since: int, until: int, reason: str) -> None:
    """Its mail may not go before `until`, unless more than time changes."""
    run.held, run.due, run.held_for = since, until, reason


@transition(TRANSITIONS, "held", sets="due")
def reconsidered(run: Run, now: int) -> None:
    """More than time has changed: its mail is judged again at once."""
    run.due = min(run.due, now)


@transition(TRANSITIONS, "waiting postponed", "calling", sets="due held held_for")
def called(run: Run, until: int, now: int) -> None:
    """Its step has begun another run, and waits for the end of that."""
    run.due, run.held, run.held_for = until, now, CALLING


@transition(TRANSITIONS, "waiting postponed", "asking", sets="due held held_for")
def asked(run: Run, until: int, now: int) -> None:
    """Its step has asked another actor, a pool for a code or an address whether it may be asked to
    confirm, and waits for the answer."""
    run.due, run.held, run.held_for = until, now, ASKING


@transition(TRANSITIONS, _GOES_ON, sets="due")
def answered(run: Run, now: int) -> None:
    """What it has called is over, or whom it has asked has answered."""
    run.due = now


@transition(TRANSITIONS, _GOES_ON, "waiting", sets="step entered held held_for")
def moved(run: Run, place: int, now: int) -> None:
    """It goes to another step, and what that waits for counts from here."""
    run.step, run.entered = place, now
    run.held, run.held_for = 0, ""


@transition(TRANSITIONS, _GOES_ON, sets="version results step")
def migrated(run: Run, version: str, results: dict[str, str], place: int) -> None:
    """It goes by another version, in which its step stands elsewhere."""
    run.version, run.results, run.step = version, results, place


@transition(TRANSITIONS, _GOES_ON, sets="cart id")
def renumbered(run: Run, cart: int) -> None:
    """It was about a visitor's cart, which has a number of the customer's now."""
    run.cart, run.id = cart, f"{run.workflow}/{cart}/{run.begun}"


@transition(TRANSITIONS, _GOES_ON, sets="caller")
def reattached(run: Run, caller: str) -> None:
    """The run that has called it has another id now."""
    run.caller = caller


@transition(
    TRANSITIONS, _GOES_ON, "waiting",
    sets="step entered held held_for results coupon holdout",
)  # fmt: skip
def caught_up(run: Run, other: Run, place: int) -> None:
    """A visitor's run of the same conversation was further, and what that has done is done."""
    run.results = {**run.results, **other.results}
    run.coupon, run.holdout = other.coupon or run.coupon, other.holdout or run.holdout
    run.step, run.entered, run.held, run.held_for = place, other.entered, other.held, ""


@transition(TRANSITIONS, _GOES_ON, "none")
def ended(customer: Customer, run: Run) -> None:
    """It is over: completed, converted, or left."""
    customer.runs = [other for other in customer.runs if other is not run]


@transition(TRANSITIONS, "none", "finished", sets="due")
def finished(customer: Customer, run: Run, until: int) -> None:
    """It is over, and its goal counts until `until`."""
    run.due = until
    customer.finished = [*customer.finished, run]


@transition(TRANSITIONS, "finished", sets="due")
def converted(run: Run) -> None:
    """Its goal was reached after its end, and can't be reached again."""
    run.due = 0


@transition(TRANSITIONS, "finished", "finished none")
def remembered(customer: Customer, finished: list[Run]) -> None:
    """Of the finished ones these may still reach their goal, and there is room for them."""
    customer.finished = finished
