"""Every mistake of every file is told, with the line on which it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.runtime.definition_files import read_directory
from streams.runtime.definitions import DefinitionError, read_files

SHIPPED = Path(__file__).parents[3] / "workflows"


def test_the_shipped_files_are_right() -> None:
    assert read_directory(SHIPPED).findings == []


def test_all_mistakes_of_all_files_are_told_with_their_lines(tmp_path: Path) -> None:
    right = (SHIPPED / "w11-welcome.yaml").read_text(encoding="utf-8")
    (tmp_path / "a.yaml").write_text(right + "wrong: 1\nworse: 2\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("id: x\nsteps: [\n", encoding="utf-8")
    lines = len(right.splitlines())

    findings = read_directory(tmp_path).findings

    places = [(finding.file.name, finding.line) for finding in findings if finding.level == "error"]
    assert places[:2] == [("a.yaml", lines + 1), ("a.yaml", lines + 2)]
    assert {name for name, _ in places} == {"a.yaml", "b.yaml"}
    with pytest.raises(DefinitionError) as caught:
        read_files(tmp_path)
    assert str(caught.value).splitlines() == [str(finding) for finding in findings]


@pytest.mark.row("R08")
def test_a_reward_for_good_reviews_only_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        """id: thanks
title: {en: Thanks}
trigger: product.reviewed
entry: {once_per: event}
steps:
  - {id: plain, tag: reviewer}
  - id: well
    branch:
      - if: {event.rating: {at_least: 4}}
        steps:
          - {id: points, points: 50}
""",
        encoding="utf-8",
    )

    (finding,) = read_directory(tmp_path).findings

    assert (finding.line, finding.path) == (11, "steps.1.branch.0.steps.0")
    assert "depends on how good a review is" in finding.problem


def test_an_unknown_custom_field_is_told(tmp_path: Path) -> None:
    text = (SHIPPED / "w05-thank-you.yaml").read_text(encoding="utf-8")
    (tmp_path / "a.yaml").write_text(text + "exit_if: {fields.nowhere: 1}\n", encoding="utf-8")

    (finding,) = read_directory(tmp_path).findings

    assert finding.line == len(text.splitlines()) + 1
    assert "fields.nowhere" in finding.path + finding.problem


def test_an_occurrence_that_there_is_not_is_compared_with_those_that_there_are(
    tmp_path: Path,
) -> None:
    text = (SHIPPED / "w05-thank-you.yaml").read_text(encoding="utf-8")
    spoilt = text.replace("trigger: order.delivered", "trigger: order.deliverd")
    assert spoilt != text
    (tmp_path / "a.yaml").write_text(spoilt, encoding="utf-8")

    finding, _ = read_directory(tmp_path).findings

    assert "'order.deliverd'; did you mean order.delivered?" in finding.problem


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("coupon: welcom", "there is no campaign welcom; did you mean welcome?"),
        ("increase: {milestoned: 1}", "no such field: fields.milestoned; did you mean fields.mile"),
        ("{score: leed, add: 1}", "there is no score leed; did you mean lead?"),
        ("call: w99-nothing", "there is no workflow w99-nothing"),
        (
            '{send: survey, kind: informative, with: {survey: {answers: [{url: "/{order.idd}"}]}}}',
            "no such field: order.idd; did you mean order.id?",
        ),
    ],
)
def test_a_name_that_is_nobodys_is_told_where_it_stands(
    tmp_path: Path, step: str, problem: str
) -> None:
    for path in SHIPPED.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    body = step if step.startswith("{") else f"{{{step}}}"
    text = "\n".join(
        ["id: w99-names", "title: {it: x}", "trigger: order.completed",
         "entry: {once_per: order}", "steps:", "  - id: way", "    branch:",
         "      - if: {orders.count: 1}", "        steps:",
         f"          - {body[:1]}id: inside, {body[1:]}"]
    )  # fmt: skip
    (tmp_path / "w99.yaml").write_text(text, encoding="utf-8")

    (finding,) = read_directory(tmp_path).findings

    assert (finding.file.name, finding.line) == ("w99.yaml", 10)
    assert finding.path.startswith("steps.0.branch.0.steps.0.")
    assert finding.problem.startswith(problem)


def test_a_trigger_names_a_segment_that_there_is(tmp_path: Path) -> None:
    for path in SHIPPED.glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace("{segment: vip}", "{segment: vips}")
        (tmp_path / path.name).write_text(text, encoding="utf-8")

    (finding,) = read_directory(tmp_path).findings

    assert (finding.file.name, finding.path) == ("w24-vip.yaml", "trigger.segment")
    assert finding.problem == "there is no segment vips; did you mean vip?"


def broken(directory: Path, name: str, text: str) -> list[tuple[str, str]]:
    """Return what is found in a directory with one file that can't be read: file and words."""
    (directory / name).write_text(text, encoding="utf-8")
    findings = read_directory(directory).findings
    return [(each.file.name, str(each).partition(": ")[2]) for each in findings]


OTHER = """\
id: other
title: {it: x}
trigger: order.completed
entry: {once_per: order, if: {ANY}}
steps:
  - {id: a, send: thanks, kind: informative, with: {words: "{NAMED}"}}
  - {id: b, coupon: nothing}
  - {id: c, call: nobody}
"""


@pytest.mark.parametrize(
    ("name", "text", "problems", "note"),
    [
        ("fields.yaml", "id: fields\ndefinition: fields\nfields: 3\n",
         ["there is no campaign nothing", "there is no workflow nobody"], "custom fields"),
        ("coupons.yaml", "id: coupons\ndefinition: coupons\ncampaigns: 3\n",
         ["no such field: fields.size", "there is no workflow nobody"], "campaigns"),
        ("wrong.yaml", "id: wrong\nsteps: []\n",
         ["no such field: fields.size", "there is no campaign nothing"], "workflows"),
        ("wrong.yaml", "id: [\n", [],
         "workflows, segments, campaigns, scores, custom fields, events of the shop's own, tiers"),
        ("policy.yaml", "id: policy\ndefinition: policy\ncaps: 3\n",
         ["no such field: fields.size", "there is no campaign nothing",
          "there is no workflow nobody"], ""),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_hides_only_what_it_may_define(
    tmp_path: Path, name: str, text: str, problems: list[str], note: str
) -> None:
    other = OTHER.replace("ANY", "fields.size: XL").replace("NAMED", "order.idd")
    (tmp_path / "other.yaml").write_text(other, encoding="utf-8")
    found = broken(tmp_path, name, text)
    of_other = [words for file, words in found if file == "other.yaml"]
    for problem in (*problems, "no such field: order.idd; did you mean order.id?"):
        assert sum(problem in words for words in of_other) == 1
    assert len(of_other) == len(problems) + 1
    last = f"note: names of {note} were not checked, because this file could not be read"
    assert (found[-1] == (name, last)) == bool(note)
    assert sum("note: " in words for _, words in found) == bool(note)


def test_an_unknown_field_is_told_whatever_else_is_broken(tmp_path: Path) -> None:
    other = OTHER.replace("ANY", "orders.cout: 1, scores.some: {above: 2}, tier: iron")
    other = other.replace("NAMED", "order.idd")
    (tmp_path / "other.yaml").write_text(other, encoding="utf-8")
    found = broken(tmp_path, "broken.yaml", "id: [\n")
    assert [words for file, words in found if file == "other.yaml"] == [
        "entry.if.orders.cout: no such field: orders.cout; did you mean orders.count?",
        "steps.0.with.words: no such field: order.idd; did you mean order.id?",
    ]
