"""`ritorno workflows test`: the shipped files' own tests, and what is said of one that fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from streams.runtime.definitions import read_files, versions_of
from tests.tools.cli.conftest import Ritorno

SHIPPED = Path(__file__).parents[3] / "workflows"

WORKFLOW = """\
id: x-reminder
title: {it: Promemoria}
enabled: false
trigger: cart.changed
entry: {once_per: cart}
exit_on: [order.completed]
steps:
  - {id: reminder, wait: 1h, send: cart-reminder, kind: informative}
  - {id: tagged, wait: 1h, tag: reminded}
"""
CART = "{at: 0m, event: cart.product_added, cart_id: c1, product_id: moka, name: Moka, price: 35}"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with the shop's own files and one mail, without workflows."""
    directory = tmp_path / "files"
    shutil.copytree(SHIPPED, directory, ignore=shutil.ignore_patterns("w[0-9]*.yaml", "*.j2"))
    for path in SHIPPED.glob("templates/cart-reminder.*.j2"):
        shutil.copy(path, directory / "templates")
    for path in SHIPPED.glob("templates/_*/*.j2"):
        shutil.copy(path, directory / path.relative_to(SHIPPED))
    return directory


def write(files: Path, *tests: str) -> Path:
    """Write the workflow with these tests; return its file."""
    path = files / "x.yaml"
    path.write_text(WORKFLOW + "tests:\n" + "".join(f"  - {test}\n" for test in tests), "utf-8")
    return path


def test_every_shipped_workflow_does_what_its_own_tests_say(ritorno: Ritorno) -> None:
    done = ritorno("workflows", "test", str(SHIPPED), "--json")
    assert [(each["workflow"], each["problems"]) for each in done.json if not each["passed"]] == []
    assert (done.code, done.err) == (0, "")


def test_a_test_that_is_right_passes_and_says_how_much_time_went_by(
    ritorno: Ritorno, files: Path
) -> None:
    write(
        files,
        f"{{name: once, given: [{CART}], until: 10d, expect: ["
        "{at: 1h, send: cart-reminder, step: reminder, locale: it, contains: [Moka, '35,00 €']},"
        "{at: 2h, decision: acted, step: tagged, detail: 'tag reminded'}]}",
    )
    done = ritorno("workflows", "test", str(files))
    assert (done.code, done.err) == (0, "")
    first, last = done.out.splitlines()
    assert first == "passed  x-reminder: once (1 mail)"
    assert last.startswith("1 test of 1 workflow passed: 1w3d in ")


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        ("{at: 2h, send: cart-reminder}", "at 2h should be sent: cart-reminder"),
        ("{at: 1h, send: cart-help}", "at 1h should be sent: cart-help"),
        ("{at: 1h, send: cart-reminder, step: other}", "should be sent: cart-reminder, step other"),
        ("{at: 1h, send: cart-reminder, locale: en}", "sent: cart-reminder, locale en"),
        ("{at: 1h, send: cart-reminder, contains: [Tazza]}", "does not contain 'Tazza'"),
        ("{at: 1h, send: cart-reminder, lacks: [Moka]}", "cart-reminder contains 'Moka'"),
        ("{at: 2h, decision: acted, detail: 'tag x'}", "should be decided: acted, detail tag x"),
        ("{at: 9h, decision: completed}", "at 9h should be decided: completed"),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_line(
    ritorno: Ritorno, files: Path, expectation: str, problem: str
) -> None:
    path = write(files, f"name: wrong\n    given: [{CART}]\n    expect:\n      - {expectation}")
    done = ritorno("workflows", "test", str(files))
    assert done.code == 1
    assert done.err == "ritorno: 1 of 1 test failed\n"
    line = len(path.read_text("utf-8").splitlines())
    told = [each for each in done.out.splitlines() if f"{path}:{line}: " in each]
    assert problem in told[0]
    assert "reminder sent cart-reminder due" in done.out  # the story, to see why


def test_a_mail_that_nobody_expects_is_a_failure(ritorno: Ritorno, files: Path) -> None:
    write(files, f"{{name: silent, given: [{CART}]}}")
    (tried,) = ritorno("workflows", "test", str(files), "--json").json
    assert not tried["passed"]
    (problem,) = tried["problems"]
    assert problem.endswith(": at 1h was sent: cart-reminder, which is not expected")


def test_what_is_not_to_begin_at_all(ritorno: Ritorno, files: Path) -> None:
    path = write(
        files,
        "{name: right, begins: false, given: [{at: 0m, event: page.viewed}]}",
        f"{{name: wrong, begins: false, given: [{CART}],"
        " expect: [{at: 1h, send: cart-reminder}]}",
    )
    right, wrong = ritorno("workflows", "test", str(files), "--json").json
    assert right["passed"]
    line = len(path.read_text("utf-8").splitlines())
    assert wrong["problems"] == [f"{path}:{line}: at 0s it begins, which it should not"]


def test_a_mail_that_cannot_be_rendered_is_a_failure(ritorno: Ritorno, files: Path) -> None:
    mail = files / "templates" / "cart-reminder.it.j2"
    broken = mail.read_text("utf-8").replace("<h1>", "<h1>{{ 1 / (cart.lines | length - 1) }} ")
    mail.write_text(broken, "utf-8")
    write(files, f"{{name: broken, given: [{CART}], expect: [{{at: 1h, send: cart-reminder}}]}}")
    (tried,) = ritorno("workflows", "test", str(files), "--json").json
    assert "cart-reminder.it.j2" in tried["problems"][0]


def test_an_event_that_cannot_be_read_is_told(ritorno: Ritorno, files: Path) -> None:
    write(files, "{name: bad, given: [{at: 0m, event: cart.product_added, price: 35}]}")
    (tried,) = ritorno("workflows", "test", str(files), "--json").json
    assert "product_id: missing" in tried["problems"][0]


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ("{name: x, given: [{at: 0m, event: cart.full}]}", "cart.full: there is no such event"),
        (
            "{name: x, given: [{at: 0m, event: wishlist.add}]}",
            "there is no such event; did you mean wishlist.added?",
        ),
        ("{name: x, given: [{at: noon, event: order.completed}]}", "not a duration"),
        ("{name: x, given: [{at: 0m}]}", "either an event or a product"),
        ("{name: x, given: []}", "at least 1"),
        (f"{{name: x, given: [{CART}], expect: [{{at: 0m}}]}}", "either send"),
        (f"{{name: x, given: [{CART}], expect: [{{at: 0m, decision: entered, lacks: [a]}}]}}",
         "are about a mail"),
        (f"{{name: x, given: [{CART}], workflows: [w99]}}", "there is no workflow w99"),
        (f"{{name: x, given: [{CART}], expect: [{{at: 1h, decision: exit}}]}}",
         "there is no decision exit; did you mean exited?"),
        (f"{{name: x, given: [{CART}], expect: [{{at: 1h, decision: held, reason: quiet}}]}}",
         "there is no reason quiet"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_test_is_told_as_lint_does(
    ritorno: Ritorno, files: Path, test: str, problem: str
) -> None:
    path = write(files, test)
    done = ritorno("workflows", "test", str(files))
    assert done.code == 2
    assert problem in done.err
    assert f"{path}:{len(path.read_text('utf-8').splitlines())}: tests.0" in done.err


def test_others_are_live_only_if_the_test_says_so(ritorno: Ritorno, files: Path) -> None:
    other = WORKFLOW.replace("x-reminder", "x-other").replace("tag: reminded", "tag: other")
    other = other.replace("trigger: cart.changed", "trigger: {tag: reminded}")
    other = other.replace("once_per: cart", "once_per: customer").replace("wait: 1h, ", "")
    (files / "y.yaml").write_text(
        f"{other}tests: [{{name: t, given: [{CART}], workflows: [x-reminder],"
        " expect: [{at: 2h, send: cart-reminder}]}]\n",
        "utf-8",
    )
    write(files, f"{{name: alone, given: [{CART}], expect: [{{at: 1h, send: cart-reminder}}]}}")
    done = ritorno("workflows", "test", str(files), "--json")
    assert {each["workflow"]: each["passed"] for each in done.json} == {
        "x-reminder": True, "x-other": True
    }  # fmt: skip


def test_the_policy_holds_only_if_the_test_says_so(ritorno: Ritorno, files: Path) -> None:
    night = 'start: "2026-03-02T20:30:00+01:00"'
    write(
        files,
        f"{{name: without, {night}, given: [{CART}], expect: [{{at: 1h, send: cart-reminder}}]}}",
        f"{{name: with, {night}, policy: true, given: [{CART}], expect: ["
        "{at: 1h, decision: held, reason: quiet_hours}, {at: 12h30m, send: cart-reminder}]}",
    )
    assert ritorno("workflows", "test", str(files)).code == 0


def test_who_the_customer_is(ritorno: Ritorno, files: Path) -> None:
    write(
        files,
        f"{{name: no consent, customer: {{consent: false}}, given: [{CART}], expect: ["
        "{at: 1h, decision: skipped, reason: no_consent}]}",
        f"{{name: no address, customer: {{email: null}}, given: [{CART}], expect: ["
        "{at: 1h, decision: skipped, reason: no_address}]}",
        f"{{name: english, customer: {{locale: en}}, given: [{CART}], expect: ["
        "{at: 1h, send: cart-reminder, locale: en}]}",
    )
    assert ritorno("workflows", "test", str(files)).code == 0


def test_only_some(ritorno: Ritorno) -> None:
    done = ritorno("workflows", "test", str(SHIPPED), "--only", "w06-abandoned-cart-a", "--json")
    assert {each["workflow"] for each in done.json} == {"w06-abandoned-cart-a"}
    assert all(each["place"].partition(":")[2] for each in done.json)
    unknown = ritorno("workflows", "test", str(SHIPPED), "--only", "w99")
    assert (unknown.code, "--only w99" in unknown.err) == (2, True)


def test_the_tests_are_not_published(files: Path) -> None:
    """A version is what a workflow does; another test of it makes no new one."""
    path = write(files, f"{{name: a, given: [{CART}]}}")
    before = versions_of(read_files(files, everything=True))["x-reminder"]
    path.write_text(WORKFLOW, "utf-8")
    assert versions_of(read_files(files, everything=True))["x-reminder"] == before
