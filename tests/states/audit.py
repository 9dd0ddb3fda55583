"""Holds every transition of runs and mails against its row, wherever tests make one.

`audited()` puts itself around each function of the two lifecycles: the state before must be one of
the row's, the state after as well, and nothing may be written that the row does not name. It also
remembers how each run was left, so that a field that somebody else has written since is found at
the run's next transition. What is found is raised again in the end: actors survive a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import msgspec
import pytest

from agents.mail.queue import lifecycle as mails
from agents.mail.queue.queued_mail import QueuedMail
from agents.transitions import Transition
from agents.workflows import lifecycle as runs
from schemas.customer import Customer
from schemas.customer.runs import Run
from schemas.stored import NEVER

NONE = "none"
"""Of a table: before the first state and after the last, nothing is kept."""


class NotInTheTable(AssertionError):
    """A transition is not what its row says."""


@contextmanager
def audited() -> Iterator[None]:
    """Check every transition that is made meanwhile. Raises NotInTheTable."""
    left: dict[int, tuple[Run, Run]] = {}
    found: list[NotInTheTable] = []
    with pytest.MonkeyPatch.context() as patch:
        for row in runs.TRANSITIONS:
            patch.setattr(
                runs, row.event, _noted(_run_checked(row, getattr(runs, row.event), left), found)
            )
        for row in mails.TRANSITIONS:
            patch.setattr(
                mails, row.event, _noted(_mail_checked(row, getattr(mails, row.event)), found)
            )
        yield
    if found:
        raise found[0]


def check_runs(customer: Customer) -> None:
    """Check what always holds of a customer's runs. Raises NotInTheTable."""
    ids = [run.id for run in customer.runs]
    _expect(len(ids) == len(set(ids)), f"{customer.key}: a run is there twice: {ids}")
    for run in customer.runs:
        _check_run(run)
    for run in customer.finished:
        _expect(0 < run.due < NEVER, f"{customer.key}: {run.id} waits for its goal for ever")


def _check_run(run: Run) -> None:
    _expect(run.step >= 0, f"{run.id} is at step {run.step}")
    _expect(run.due < NEVER, f"{run.id} is never due")
    _expect(
        bool(run.held) or not run.held_for, f"{run.id} is put off for {run.held_for}: since when?"
    )


def _noted(change: Callable[..., Any], found: list[NotInTheTable]) -> Callable[..., Any]:
    @wraps(change)
    def noted(*args: Any, **options: Any) -> Any:
        try:
            return change(*args, **options)
        except NotInTheTable as error:
            found.append(error)
            raise

    return noted


def _run_checked(
    row: Transition, change: Callable[..., None], left: dict[int, tuple[Run, Run]]
) -> Callable[..., None]:
    @wraps(change)
    def checked(*args: Any, **options: Any) -> None:
        customer = args[0] if isinstance(args[0], Customer) else None
        run = next((arg for arg in args if isinstance(arg, Run)), None)
        if run is None:
            change(*args, **options)
            return
        _, as_left = left.get(id(run), (run, run))
        _expect(run == as_left, f"somebody else has written {run.id}: {_differing(as_left, run)}")
        before, was = _place(customer, run), _copy(run)
        _expect(
            before in row.before or row.before == ("finished",),
            f"{row.event}: {run.id} was {before}, not one of {row.before}",
        )
        change(*args, **options)
        after = _place(customer, run)
        if row.after:
            _expect(after in row.after, f"{row.event}: {run.id} is {after} now, not {row.after}")
        elif NONE not in row.before:
            _expect(after == before, f"{row.event}: {run.id} is {after} now, not {before}")
        written = _differing(was, run)
        _expect(written <= set(row.sets), f"{row.event} of {run.id} has written {written}")
        _check_run(run)
        if customer is not None:
            check_runs(customer)
        left[id(run)] = run, _copy(run)

    return checked


def _place(customer: Customer | None, run: Run) -> str:
    if customer is None or any(run is each for each in customer.runs):
        return runs.state(run)
    known = any(run is each or run.id == each.id for each in customer.finished)
    return "finished" if known else NONE


def _copy(run: Run) -> Run:
    return msgspec.structs.replace(run, results=dict(run.results), anchors=dict(run.anchors))


def _differing(before: Any, after: Any) -> set[str]:
    names = type(before).__struct_fields__
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def _mail_checked(row: Transition, change: Callable[..., QueuedMail]) -> Callable[..., QueuedMail]:
    @wraps(change)
    def checked(*args: Any, **options: Any) -> QueuedMail:
        before = args[0] if isinstance(args[0], QueuedMail) else None
        state = NONE if before is None else before.state
        _expect(state in row.before, f"{row.event}: a mail was {state}, not one of {row.before}")
        after = change(*args, **options)
        _expect(
            after.state in (row.after or (state,)),
            f"{row.event}: a mail is {after.state} now, not one of {row.after or (state,)}",
        )
        if before is not None:
            written = _differing(before, after) - {"revision"}
            _expect(written <= set(row.sets), f"{row.event} of a mail has written {written}")
        return after

    return checked


def _expect(holds: bool, said: str) -> None:
    if not holds:
        raise NotInTheTable(said)
