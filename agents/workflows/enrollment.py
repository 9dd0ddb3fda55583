"""Enrollment: which runs a domain event begins, and what keeps a customer out.

By what the workflow's file says, in this order: its trigger's own conditions, the season, the
conversation that the customer is in already or has had, the cool-down, the group, `entry.if`.
Whatever keeps a customer out is recorded, except that a trigger doesn't apply, or that the
conversation is going on; once, until it enters, where the same would be said at every event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from agents.commerce import order_memory
from agents.context import Context, DomainEvent
from agents.definitions.published import WorkflowVersion
from agents.digests import derived_id
from agents.links.everybodys import stands_for_many
from agents.products.catalogue import concerns
from agents.rules import local_time
from agents.rules.fields.event import event_value
from agents.rules.values import to_number
from agents.workflows import capacity, lifecycle, occurrence_counts
from agents.workflows.audit import decide
from schemas.bounds import KEY_BYTES, cut, fits, kept_bytes, largest, shed
from schemas.customer import Customer
from schemas.customer.mail import RUN_ID_BYTES
from schemas.customer.runs import (
    ENTERED_KEPT,
    ENTERED_TOTAL_BYTES,
    EVENT_TOTAL_BYTES,
    REFUSED_KEPT,
    SAID_BYTES,
    Entered,
    Run,
)
from schemas.decisions import Reason
from schemas.definitions.steps import CallStep
from schemas.definitions.triggers import (
    OnEvent,
    OnPoints,
    OnProduct,
    OnScore,
    OnTier,
    is_occurrence,
)
from schemas.definitions.workflow import Season, Workflow

RUNS_OF_ONE = 200
"""Runs of one workflow that a customer may be in at once: a wholesaler's confirmations."""
CHAIN = 100
"""Runs that may begin within one state change: workflows that set each other off end here."""
EVENT_FIELDS = 20
EVENT_TEXT = 200
"""Properties of the triggering event that a run keeps, and bytes of each."""
_LARGEST_ENTRY = largest(Entered) + RUN_ID_BYTES
_FIT_ANYWAY = min(ENTERED_KEPT, ENTERED_TOTAL_BYTES // _LARGEST_ENTRY - 1)
"""Entries, however large, for which there is room."""

ID_LENGTH = 16
"""Hex digits that tell the events of one customer apart in run ids."""


def enter(
    customer: Customer, published: WorkflowVersion, occurrence: DomainEvent, context: Context
) -> Run | None:
    """Begin a run if what has occurred is the workflow's trigger and nothing keeps it out.

    The run goes on by `advancing.go_on`. Returns it, None when none was begun.
    """
    if occurrence.undone:
        _say_undone(customer, published, occurrence, context)
        return None
    if not _triggers(customer, published, occurrence, context):
        return None
    return _begin(customer, published, occurrence, context)


def call(customer: Customer, run: Run, step: CallStep, context: Context) -> Run | None:
    """Begin the workflow that a step calls, about the same subject; None when none was begun."""
    published = context.live.workflows.get(step.call)
    if published is None:
        decide(customer, run, "skipped", "not_live", context, step=step, detail=step.call)
        return None
    occurrence = DomainEvent(
        f"called:{step.call}",
        context.now,
        order_id=run.order_id,
        cart=run.cart,
        list=run.list,
        product_ids=(run.product,) if run.product else (),
        data=run.event,
        id=f"{run.id}/{step.id}",
        shop=run.shop,
    )
    decide(customer, run, "acted", "step", context, step=step, detail=f"call {step.call}")
    return _begin(customer, published, occurrence, context, caller=run)


def conversation_of(run: Run) -> str:
    """Return what the run is about, as its id has it."""
    return run.id.removeprefix(f"{run.workflow}/").rsplit("/", 1)[0]


def _triggers(
    customer: Customer, published: WorkflowVersion, occurrence: DomainEvent, context: Context
) -> bool:
    data, trigger = occurrence.data, published.workflow.trigger
    if isinstance(trigger, OnEvent):  # nearly all are
        return _is_meant(customer, published, trigger, occurrence, context)
    match trigger:
        case OnScore(above=above) if above is not None:
            meant = data["before"] < above <= data["after"]
        case OnScore(below=below) if below is not None:
            meant = data["after"] < below <= data["before"]
        case OnTier(to=tier) if tier:
            meant = data.get("to") == tier
        case OnPoints() as reached:
            meant = any(data["before"] < each <= data["after"] for each in reached.thresholds)
        case OnProduct(of=concern):
            meant = concerns(customer, data["about"], data["category"], concern)
        case _:
            meant = True
    return bool(meant)


def _is_meant(
    customer: Customer,
    published: WorkflowVersion,
    trigger: OnEvent,
    occurrence: DomainEvent,
    context: Context,
) -> bool:
    where = published.program.where
    if where is not None:
        context.missing_rates.clear()
        evaluation = context.evaluation(customer, event=occurrence.data, shop=occurrence.shop)
        if not where.matches(evaluation):
            if context.missing_rates:
                _say_without_rates(customer, published, occurrence, context)
            return False
    return occurrence_counts.reached(customer, published, trigger, occurrence, context.now)


def _say_without_rates(
    customer: Customer, published: WorkflowVersion, occurrence: DomainEvent, context: Context
) -> None:
    """Record that nothing begins because amounts can't be compared, unless that is no news."""
    detail = context.without_rates()
    if not _is_said(customer, published, "condition", detail):
        run = _run(published, occurrence, f"{published.workflow.id}/{occurrence.time}", None, "")
        decide(customer, run, "not_entered", "condition", context, detail=detail)


def _say_undone(
    customer: Customer, published: WorkflowVersion, occurrence: DomainEvent, context: Context
) -> None:
    """Record that nothing begins about an order that was given back or called off before it came,
    unless the workflow would not have begun anyway."""
    workflow, where = published.workflow, published.program.where
    if isinstance(workflow.trigger, OnEvent) and workflow.trigger.times > 1:
        return
    evaluation = context.evaluation(customer, event=occurrence.data, shop=occurrence.shop)
    if where is not None and not where.matches(evaluation):
        return
    conversation = _conversation(workflow.entry.once_per, occurrence, context)
    if not _is_said(customer, published, occurrence.undone, conversation):
        id_ = f"{workflow.id}/{conversation}/{occurrence.time}"
        run = _run(published, occurrence, id_, None, context.traceparent)
        decide(customer, run, "not_entered", occurrence.undone, context)


def _begin(
    customer: Customer,
    published: WorkflowVersion,
    occurrence: DomainEvent,
    context: Context,
    *,
    caller: Run | None = None,
) -> Run | None:
    workflow = published.workflow
    conversation = _conversation(workflow.entry.once_per, occurrence, context)
    id_ = f"{workflow.id}/{conversation}/"
    going_on = [other for other in customer.runs if other.workflow == workflow.id]
    before = _conversation_before(published, occurrence) if occurrence.shop else ""
    for other in going_on:
        is_same = other.id.startswith(id_) and _is_same(other.id[len(id_) :], published, occurrence)
        if is_same or (before and conversation_of(other) == before):
            return None  # it is in this very conversation already
    conversations = (conversation, before) if before else (conversation,)
    if _would_pester(published) and stands_for_many(customer):
        reason: Reason | None = "everybodys_id"
    else:
        reason = _kept_out(customer, published, conversations, len(going_on), context)
    if reason is not None and _is_said(customer, published, reason, conversation):
        return None
    trace = context.traceparent or ("" if caller is None else caller.traceparent)
    run = _run(published, occurrence, f"{id_}{occurrence.time}", caller, trace)
    check = published.program.entry
    context.missing_rates.clear()
    if reason is None and check is not None:
        reason = None if check(context.evaluation(customer, run, occurrence.data)) else "condition"
        if reason is not None and _is_said(customer, published, reason, conversation):
            return None
    if reason is None and not capacity.is_there_for(customer, run, published, context):
        reason = "too_many_runs"
        if _is_said(customer, published, reason, conversation):
            return None
    if reason is not None:
        decide(customer, run, "not_entered", reason, context, detail=context.without_rates())
        return None
    _remember(customer, published, occurrence, conversation, context)
    decide(customer, run, "entered", "triggered", context)
    lifecycle.begun(customer, run)
    context.begun += 1
    context.moving.append(run)
    return run


def _is_same(rest: str, published: WorkflowVersion, occurrence: DomainEvent) -> bool:
    """Whether a run with the same subject is the same conversation; `rest` follows it in its id.

    Two sources may call two events alike. The same one is recognised before it comes to workflows;
    if it comes again when nobody remembers it any more, it has the same time.
    """
    if "/" in rest:
        return False
    told_by_event = published.workflow.entry.once_per == "event" and not occurrence.id
    return not told_by_event or rest == str(occurrence.time)


def _conversation(once_per: str, occurrence: DomainEvent, context: Context) -> str:
    """Return what a conversation is about, of which there is only one at a time."""
    match once_per:
        case "order":
            return _order(occurrence) if occurrence.shop else occurrence.order_id
        case "cart":
            return str(occurrence.cart)
        case "list":
            return occurrence.list
        case "product":
            return next(iter(occurrence.product_ids), "")
        case "event":
            return derived_id(occurrence.name, occurrence.id or context.cause)[:ID_LENGTH]
    return ""


def _order(occurrence: DomainEvent) -> str:
    """Return what names an order where several shops have some: whose it is, and its number."""
    named = f"{occurrence.shop}:{occurrence.order_id}"
    return named if fits(named, KEY_BYTES) else derived_id(named)


def _conversation_before(published: WorkflowVersion, occurrence: DomainEvent) -> str:
    """Return the subject that a shop's order had before shops were told apart; empty if it is about
    none."""
    by_order = published.workflow.entry.once_per == "order"
    return occurrence.order_id if by_order else ""


def _run(
    published: WorkflowVersion, occurrence: DomainEvent, id_: str, caller: Run | None, trace: str
) -> Run:
    workflow = published.workflow
    once_per, products = workflow.entry.once_per, occurrence.product_ids
    product = products[0] if len(products) == 1 or (products and once_per == "product") else ""
    return Run(
        id=id_,
        workflow=workflow.id,
        version=published.version,
        begun=occurrence.time,
        step=0,
        due=occurrence.time,
        anchors={occurrence.name: occurrence.time} if is_occurrence(occurrence.name) else {},
        order_id=occurrence.order_id,
        cart=occurrence.cart if once_per == "cart" else -1,
        list=occurrence.list,
        product=product,
        entered=occurrence.time,
        holdout=caller is not None and caller.holdout,
        caller="" if caller is None else caller.id,
        event=_kept(published, occurrence),
        shop=occurrence.shop,
        traceparent=trace,
    )


def _is_said(
    customer: Customer, published: WorkflowVersion, reason: Reason, conversation: str
) -> bool:
    """Whether this was recorded before and is no news; if not, note that it is now.

    A cart or a list that may not enter again is rare enough to be told each time.
    """
    id_, once_per = published.workflow.id, published.workflow.entry.once_per
    if reason == "already_entered" and once_per != "customer":
        return False
    said = f"{reason} {conversation}"
    if not fits(said, SAID_BYTES):
        said = derived_id(said)
    refused = customer.refused
    before, refused[id_] = refused.pop(id_, ""), said  # said last, it is the last to give way
    if len(refused) > REFUSED_KEPT:
        del refused[next(iter(refused))]
    return before == said


def _would_pester(published: WorkflowVersion) -> bool:
    """Whether a workflow's mails are marketing, and nothing else."""
    program = published.program
    return not program.confirms and any(each.marketing for each in program.instructions)


def _kept_out(
    customer: Customer,
    published: WorkflowVersion,
    conversations: Iterable[str],
    going_on: int,
    context: Context,
) -> Reason | None:
    """Return why this customer does not enter now, None when nothing is in the way but what the
    file asks of who enters. `conversations`: the names that its subject has had."""
    workflow = published.workflow
    if workflow.season is not None:
        today = local_time.local_date(context.now, customer.profile.zone)
        if not _in_season(workflow.season, today):
            return "out_of_season"
    for each in conversations:  # not a generator: this runs at nearly each event
        if _has_been_in(customer, published, each, context.now):
            return "already_entered"
    cool_down = workflow.entry.cool_down
    latest = customer.entered.get(workflow.id)
    if cool_down is not None and latest is not None and context.now - latest.time < cool_down:
        return "cooling_down"
    if workflow.group and _is_taken(customer, published, context):
        return "other_of_group"
    if going_on >= RUNS_OF_ONE:
        return "too_many_runs"
    return "chain_too_long" if context.begun >= CHAIN else None


def _has_been_in(
    customer: Customer, published: WorkflowVersion, conversation: str, now: int
) -> bool:
    """Whether it is not yet time to enter again for the same subject."""
    workflow = published.workflow
    if published.program.comes_again and not _can_begin(customer, _token(workflow, conversation)):
        return True
    last = customer.entered.get(_key(published, conversation))
    if last is None or last.subject != conversation or workflow.entry.once_per == "event":
        return False
    again_after = workflow.entry.again_after
    return again_after is None or now - last.time < again_after


def _can_begin(customer: Customer, token: str) -> bool:
    """Whether it has not begun before, and that it has begun can be remembered."""
    return order_memory.has_room(customer) and not order_memory.is_noted(customer, token)


def _in_season(season: Season, today: date) -> bool:
    day = f"{today:%m-%d}"
    if season.opens <= season.closes:
        return season.opens <= day <= season.closes
    return day >= season.opens or day <= season.closes  # over New Year


def _is_taken(customer: Customer, published: WorkflowVersion, context: Context) -> bool:
    """Whether the customer is in another workflow of the same group. A confirmation waits for none
    of a lower priority, whichever began first."""
    mine = published.workflow
    for run in customer.runs:
        other = context.live.definitions.find(run.workflow, run.version)
        if other is None or other.workflow.group != mine.group or other.workflow.id == mine.id:
            continue
        if not published.program.confirms or other.workflow.priority >= mine.priority:
            return True
    return False


def _key(published: WorkflowVersion, conversation: str) -> str:
    """Return under which name the last entry is remembered."""
    id_ = published.workflow.id
    return f"{id_}/{conversation}" if published.program.by_conversation else id_


def _remember(
    customer: Customer,
    published: WorkflowVersion,
    occurrence: DomainEvent,
    conversation: str,
    context: Context,
) -> None:
    entry, id_ = published.workflow.entry, published.workflow.id
    customer.refused.pop(id_, None)
    key = _key(published, conversation)
    once = entry.once_per == "event" or (entry.once_per == "order" and entry.again_after is None)
    if published.program.comes_again:
        order_memory.note(customer, _token(published.workflow, conversation))
    if not once or entry.cool_down is not None:
        customer.entered.pop(key, None)  # so that those entered latest stand last
        customer.entered[key] = Entered(conversation, context.now)
    if key != id_ and entry.cool_down is not None:
        customer.entered[id_] = Entered(conversation, context.now)
    fit_entered(customer)
    occurrence_counts.begin_anew(customer, published, occurrence)


def fit_entered(customer: Customer) -> None:
    """Let the oldest entries give way."""
    if len(customer.entered) <= _FIT_ANYWAY:
        return
    while len(customer.entered) > ENTERED_KEPT:
        del customer.entered[next(iter(customer.entered))]
    shed(customer.entered, ENTERED_TOTAL_BYTES, _LARGEST_ENTRY)


def _token(workflow: Workflow, order_id: str) -> str:
    return f"entered:{workflow.id}:{order_id}"


def _kept(published: WorkflowVersion, occurrence: DomainEvent) -> dict[str, Any]:
    """Return those properties of the event that the definition names, as far as they are plain."""
    kept: dict[str, Any] = {}
    for name in sorted(published.program.event_fields)[:EVENT_FIELDS]:
        value = event_value(occurrence.data, name)
        if isinstance(value, str):
            if fits(value, EVENT_TEXT) or "://" not in value:  # an address is whole or none
                kept[name] = cut(value, EVENT_TEXT)
        elif isinstance(value, list):
            kept[name] = [cut(str(each), EVENT_TEXT) for each in value[:EVENT_FIELDS]]
        elif isinstance(value, bool):
            kept[name] = value
        elif isinstance(value, int | float) and (number := to_number(value)) is not None:
            kept[name] = number
    while kept and kept_bytes(kept) > EVENT_TOTAL_BYTES:
        kept.popitem()
    return kept
