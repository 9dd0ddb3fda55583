"""Programs: what a workflow becomes, and what can't be meant by one."""

from __future__ import annotations

import pytest

from agents.definitions.call_cycles import circles
from agents.definitions.program import Program, compile_program
from agents.definitions.published import Definitions
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields import FieldRegistry
from agents.rules.validation_errors import InvalidDefinition
from schemas.customer import Customer
from schemas.customer.shopping import OrderStatistics
from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.workflow import Workflow
from schemas.yaml_text import Document
from tests.harness import START

MAIL = "send: welcome-thanks, kind: informative"


def read(*steps: str, more: str = "", id_: str = "flow") -> Workflow:
    lines = "\n".join(f"  - {step}" for step in steps)
    text = f"""
id: {id_}
title: {{it: Flusso}}
trigger: order.completed
entry: {{once_per: order}}
{more}
steps:
{lines}
"""
    workflow = DEFINITION.validate_python(Document(text).content)
    assert isinstance(workflow, Workflow)
    return workflow


def program(*steps: str) -> Program:
    return compile_program(read(*steps), FieldRegistry())


def test_branches_and_splits_are_laid_out_flat_and_no_way_leads_back() -> None:
    branch = (
        f"{{id: b, branch: [{{if: {{views: 1}}, steps: [{{id: c, {MAIL}}}, {{id: d, {MAIL}}}]}}, "
        f"{{if: {{views: 2}}}}], else: [{{id: e, {MAIL}}}]}}"
    )
    laid = program(f"{{id: a, {MAIL}}}", branch, f"{{id: f, {MAIL}}}")
    assert list(laid.positions) == ["a", "b", "c", "d", "e", "f"]
    assert [each.after for each in laid.instructions] == [1, 5, 3, 5, 5, 6]
    assert [arm.position for arm in laid.instructions[1].arms] == [2, 5, 4]
    for position, each in enumerate(laid.instructions):
        assert all(target > position for target in (each.after, *(arm[1] for arm in each.arms)))


@pytest.mark.parametrize(
    ("rest", "only"),
    [
        (f"{{id: x, {MAIL}}}", True),
        ("{id: x, coupon: gift}", True),
        ("{id: x, wait: 1d}", True),
        ("{id: x, tag: vip}", False),
        ("{id: x, send: a, class: transactional, kind: transactional}", False),
        ("{id: x, branch: [{if: {views: 1}, steps: [{id: y, tag: vip}]}]}", False),
    ],
)
def test_from_where_on_there_is_only_marketing(rest: str, only: bool) -> None:
    assert program(f"{{id: a, {MAIL}}}", rest).instructions[0].last_marketing == only
    assert not program("{id: a, tag: x}", "{id: b, wait: 1d}").instructions[0].last_marketing


@pytest.mark.parametrize(
    ("step", "path", "problem"),
    [
        (f"{{id: a, wait: {{for: 1d, since: order.delivered}}, {MAIL}}}", "steps.0.wait",
         "may never come; end the list"),
        (f"{{id: a, wait: {{date: order.estimated_delivery}}, {MAIL}}}", "steps.0.wait",
         "may never come"),
        (f"{{id: a, wait: [{{event: order.shipped, timeout: 1d}}, 2d], {MAIL}}}", "steps.0.wait.0",
         "stands alone"),
        ("{id: a, branch: [{steps: []}]}", "steps.0.branch.0", "one of `if` and `result`"),
        ("{id: a, branch: [{if: {views: 1}, result: event}]}", "steps.0.branch.0",
         "one of `if` and `result`"),
        ("{id: a, branch: [{result: clicked}]}", "steps.0.branch.0.result", "there are: none"),
        ("{id: a, wait: {event: order.shipped, timeout: 1d}, branch: [{result: condition}]}",
         "steps.0.branch.0.result", "there are: event, timeout"),
        (f"{{id: a, if: {{orders.cout: 1}}, {MAIL}}}", "steps.0.if.orders.cout", "orders.count"),
        (f"{{id: s, split: [{{name: a, share: 50}}, {{name: b, share: 50, steps: [{{id: x, "
         f"if: {{order.totl: 3}}, {MAIL}}}]}}], experiment: e}}",
         "steps.0.split.1.steps.0.if.order.totl", "order.total"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named_with_its_place(step: str, path: str, problem: str) -> None:
    with pytest.raises(InvalidDefinition) as raised:
        program(step)
    assert [mistake.path for mistake in raised.value.found] == [path]
    assert problem in raised.value.found[0].problem


def test_all_mistakes_are_found_at_once() -> None:
    wait = "wait: {for: 1d, since: order.shipped}"
    with pytest.raises(InvalidDefinition) as raised:
        program(f"{{id: a, {wait}, {MAIL}}}", f"{{id: b, {wait}, if: {{x: 1}}, {MAIL}}}")
    assert len(raised.value.found) == 3


def test_a_version_from_before_there_were_conditions_is_still_read() -> None:
    content = (
        b'{"id":"w11-welcome","title":{"it":"Benvenuto"},"trigger":"list.joined","entry":{"once_per"'
        b':"list"},"exit_on":["order.completed","list.left"],"steps":[{"id":"first-purchase","wait":'
        b'[{"for":"5d","since":"list.joined"}],"send":"welcome-first-purchase","class":"marketing",'
        b'"kind":"promotional","late":{"after":"2d","then":"skip"},"skip_if":["has_ordered"]}]}'
    )
    definitions = Definitions()
    definitions.add("1f6bc1b0a2f4", content)
    laid = definitions.workflow("w11-welcome", "1f6bc1b0a2f4").program
    check = laid.instructions[0].check
    assert check is not None
    assert check(EvaluationContext(Customer("anna"), START))
    assert not check(
        EvaluationContext(Customer("anna", statistics=OrderStatistics(count=1)), START)
    )


def test_calls_that_lead_back() -> None:
    calls = {"a": ["b", "c"], "b": ["d"], "c": ["a"], "d": ["b"]}
    workflows: list[AnyDefinition] = [
        read(*(f"{{id: {name}, call: {name}}}" for name in names), id_=id_)
        for id_, names in calls.items()
    ]
    found = [[m.problem for m in circles(each, workflows)] for each in workflows
             if isinstance(each, Workflow)]  # fmt: skip
    assert found == [
        ["calls itself again: a → c → a"],
        ["calls itself again: b → d → b"],
        ["calls itself again: c → a → c"],
        ["calls itself again: d → b → d"],
    ]
