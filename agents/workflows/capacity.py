"""Capacity: how many runs a customer may have, by the bytes that they take in the record.

A run grows on its way: its steps come to something, what it counts from happens. So each one counts
with what its definition may still add to it. What does not fit does not begin; what comes with a
visitor and does not fit any more ends.
"""

from __future__ import annotations

from agents.context import Context
from agents.definitions.published import WorkflowVersion
from schemas.bounds import kept_bytes, largest
from schemas.customer import Customer
from schemas.customer.runs import FINISHED_TOTAL_BYTES, RUNS_TOTAL_BYTES, Run

_LARGEST_NEW = largest(Run) - 2 * RUNS_TOTAL_BYTES
"""Bytes of a run that has just begun; results and anchors, which say that they may fill the room,
are what its definition lets it grow by."""


def is_there_for(
    customer: Customer, run: Run, published: WorkflowVersion, context: Context
) -> bool:
    """Return whether one more run fits."""
    if (len(customer.runs) + 1) * _longest(context) <= RUNS_TOTAL_BYTES:
        return True  # nothing to measure, as for nearly everybody
    return (
        kept_bytes(run) + published.program.growth + _taken(customer, context) <= RUNS_TOTAL_BYTES
    )


def fits(customer: Customer, published: WorkflowVersion, context: Context) -> bool:
    """Return whether the runs still fit now that one of them goes by this version."""
    if len(customer.runs) == 1 and published.program.growth < RUNS_TOTAL_BYTES // 4:
        return True  # as nearly always, when a new version moves everybody's run
    return _taken(customer, context) <= RUNS_TOTAL_BYTES


def _taken(customer: Customer, context: Context) -> int:
    """Return the bytes that the customer's runs may come to, each gone to its end."""
    find = context.live.definitions.find
    grown = 0
    for run in customer.runs:
        published = find(run.workflow, run.version)
        if published is not None:
            grown += published.program.growth
    return kept_bytes(customer.runs) + grown


def _longest(context: Context) -> int:
    """Return the bytes that any run may come to, gone to its end."""
    return _LARGEST_NEW + context.live.definitions.longest_growth


def fit_finished(finished: list[Run], context: Context) -> list[Run]:
    """Return the latest of the runs that are over, as many as there is room for."""
    if len(finished) * _longest(context) <= FINISHED_TOTAL_BYTES:
        return finished
    while finished and kept_bytes(finished) > FINISHED_TOTAL_BYTES:
        finished = finished[1:]
    return finished
