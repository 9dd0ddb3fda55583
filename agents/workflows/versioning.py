"""Which version a run goes by: the one it began with, or the live one if its file says so."""

from __future__ import annotations

from agents.context import Context
from agents.definitions.published import WorkflowVersion
from agents.workflows import capacity, execution, lifecycle
from agents.workflows.exits import definition, end
from schemas.customer import Customer
from schemas.customer.runs import Run


def follow(customer: Customer, run: Run, context: Context) -> WorkflowVersion | None:
    """Return the version that the run goes by, having moved it there; None when it has ended."""
    published = definition(customer, run, context)
    if published is None or published.workflow.versions == "pinned":
        return published
    live = context.live.workflows.get(run.workflow)
    if live is None or live.version == run.version:
        return published
    return _move(customer, run, published, live, context)


def _move(
    customer: Customer,
    run: Run,
    published: WorkflowVersion,
    live: WorkflowVersion,
    context: Context,
) -> WorkflowVersion | None:
    """Let the run wait at the step of the same id, or at the next one that there still is."""
    to = position(run.step, published, live)
    if to is None:
        end(customer, run, "exited", "definition_gone", context)
        return None
    before = published.program.instructions[run.step].step
    step = live.program.instructions[to].step
    results = _done(run, published, live, to) | run.results
    lifecycle.migrated(run, live.version, results, to)
    if step.id != before.id or type(step) is not type(before):
        # What it waited for, or was held for, is not the new step's affair.
        lifecycle.moved(run, to, context.now)
    execution.recount(customer, run, live.program, context)
    if not capacity.fits(customer, live, context):
        end(customer, run, "exited", "too_many_runs", context)
        return None
    return live


def _done(run: Run, published: WorkflowVersion, live: WorkflowVersion, to: int) -> dict[str, str]:
    """Return the steps that are behind the run, and before it by the new version: not again."""
    passed = (each.step.id for each in published.program.instructions[: run.step])
    return {id_: execution.DONE for id_ in passed if live.program.positions.get(id_, -1) > to}


def position(step: int, published: WorkflowVersion, other: WorkflowVersion) -> int | None:
    """Return where a run at `step` of one version goes on in another: at the step of the same id,
    or at the next one that there still is; None when there is none."""
    instructions = published.program.instructions
    while step < len(instructions):
        found = other.program.positions.get(instructions[step].step.id)
        if found is not None:
            return found
        step = instructions[step].after
    return None
