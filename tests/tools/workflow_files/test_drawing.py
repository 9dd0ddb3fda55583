"""Drawings hold all of a workflow, and are what Mermaid and browsers take."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from schemas.definitions.steps import SendStep
from schemas.definitions.workflow import Workflow
from schemas.yaml_text import Document
from streams.messages.translations import Language, languages
from streams.runtime.definition_files import read_directory
from streams.tools.workflow_files.drawing.layout import Frame, lay_out
from streams.tools.workflow_files.drawing.letters import width, wrapped
from streams.tools.workflow_files.drawing.mermaid import mermaid
from streams.tools.workflow_files.drawing.picture import Box, picture
from streams.tools.workflow_files.drawing.svg import svg
from tests.mail.chromium import chromium, needs_chromium
from tests.tools.workflow_files.everything import everything

ROOT = Path(__file__).parents[3]
LANGUAGES = languages()
WORKFLOWS = [
    *(
        each
        for each in read_directory(ROOT / "workflows").definitions.values()
        if isinstance(each, Workflow)
    ),
    everything(),
]

_NODE = re.compile(r'  (n\d+)(\[\[|\[|\(\[|\(|\{\{)"([^"]*)"(\]\]|\]|\]\)|\)|\}\}):::(is_\w+)')
_ARROW = re.compile(r'  (n\d+) (?:-->|-->\|"[^"]+"\||-\. "[^"]+" \.->) (n\d+)')
_CLASS = re.compile(r"  classDef (is_\w+) stroke:#[0-9a-f]{6},stroke-width:2px")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.id)
def test_mermaid_is_nodes_and_arrows_between_them(workflow: Workflow) -> None:
    """What Mermaid itself reads was seen with its own parser; this keeps to the part of it."""
    for language in LANGUAGES:
        head, title, end, kind, *lines = mermaid(picture(workflow, language)).splitlines()
        assert (head, end, kind) == ("---", "---", "flowchart TD")
        assert workflow.id in Document(title).content["title"]
        nodes, arrows, classes = {}, [], set()
        for line in lines:
            if node := _NODE.fullmatch(line):
                nodes[node[1]] = node[3]
                assert not re.search(r"[%`\\*~{}\[\]]|<(?!/?b>|br/>)|&", node[3])
                kinds = {node[5]}
            elif arrow := _ARROW.fullmatch(line):
                arrows.append((arrow[1], arrow[2]))
            else:
                found = _CLASS.fullmatch(line)
                assert found, line
                classes.add(found[1])
        assert {place for arrow in arrows for place in arrow} == set(nodes)
        assert kinds <= classes
        reached = {target for _, target in arrows}
        assert set(nodes) - reached == {"n1"}
        mails = [each.send for each in workflow.all_steps() if isinstance(each, SendStep)]
        assert all(any(f"<b>{mail}</b>" in text for text in nodes.values()) for mail in mails)


def test_mermaid_takes_no_text_for_its_own() -> None:
    text = mermaid(picture(everything(), "it"))
    assert "1#46; a#34;b#93;c)d#125;e#123;f|g#60;h#62;i#38;j#35;k;l#96;m#37;n" in text
    assert "style n1 fill#58;#35;f00; subgraph #34;end#34;" in text
    assert "#37;#37;#123;init" in text


def test_a_terminal_gets_nothing_to_obey() -> None:
    drawn = picture(everything(), "it")
    for text in (mermaid(drawn), svg(drawn)):
        assert "Ciao" in text
        assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_a_way_that_ends_leads_nowhere() -> None:
    text = mermaid(picture(everything(), "en"))
    ends = re.findall(r'(n\d+)\(\["(?:goal|end)<br/>', text)
    assert len(ends) == 2
    assert not any(f"  {end} -" in text for end in ends)
    assert '-->|"control: 10 %, gets nothing<br/>estimated delivery, 1 day after' in text.replace(
        "#37;", "%"
    )


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.id)
def test_an_svg_holds_every_step_and_nothing_from_elsewhere(workflow: Workflow) -> None:
    for language in LANGUAGES:
        root = ElementTree.fromstring(svg(picture(workflow, language)))
        space = "{http://www.w3.org/2000/svg}"
        told = root.findtext(f"{space}desc") or ""
        english = workflow.title.get("en", workflow.title["it"])
        assert root.findtext(f"{space}title") == workflow.title.get(language, english)
        assert {each.tag.removeprefix(space) for each in root} <= {
            "title", "desc", "style", "rect", "path", "text",
        }  # fmt: skip
        shown = {text.text for text in root.iter(f"{space}text")}
        for step in workflow.all_steps():
            assert step.id in shown
            if isinstance(step, SendStep):
                assert step.send in shown
                assert step.send in told
        assert "url(" not in (root.findtext(f"{space}style") or "")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.id)
def test_nothing_lies_upon_anything(workflow: Workflow) -> None:
    drawing = lay_out(picture(workflow, "it"))
    for one, other in itertools.combinations(drawing.frames, 2):
        assert not _overlap(one, other), (one.box.step, other.box.step)
    for frame in drawing.frames:
        assert frame.x >= 0
        assert frame.x + frame.width <= drawing.width
        assert frame.y + frame.height <= drawing.height
    boxes = sum(1 for _ in workflow.all_steps())
    assert len([frame for frame in drawing.frames if frame.box.step]) == boxes


def test_the_ways_of_a_branch_stand_below_it_side_by_side() -> None:
    drawing = lay_out(picture(everything(), "en"))
    at = {frame.box.step: frame for frame in drawing.frames}
    assert at["happy"].y == at["italy"].y == at["out"].y > at["inner"].y + at["inner"].height
    assert at["happy"].x < at["italy"].x < at["out"].x
    assert at["italy"].x == at["inner"].x
    assert at["follow"].y > max(at["points"].y, at["italy"].y)


def test_lines_are_no_wider_than_their_room() -> None:
    words = "una parola " * 9 + "https://shop.example/a-very-long-address/that-goes-on-and-on"
    lines = wrapped(words, 120, 12.5)
    assert all(width(line, 12.5) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "") == words.replace(" ", "")
    assert wrapped("", 120, 12.5) == []


def test_a_box_that_is_no_end_leads_on() -> None:
    assert not Box("exit", "", "").leads_on
    assert Box("wait", "", "").leads_on


def test_the_picture_in_the_guide_is_that_of_its_example(tmp_path: Path) -> None:
    guide = (ROOT / "workflows" / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    [example] = [each for each in examples if each.startswith("id: example-review")]
    drawn = svg(picture(Workflow.model_validate(Document(example).content), "en"))
    kept = ROOT / "docs" / "example-review.svg"
    fresh = tmp_path / kept.name
    fresh.write_text(drawn, encoding="utf-8")
    assert kept.read_text(encoding="utf-8") == drawn, f"if that is meant: cp {fresh} {kept}"
    assert "(../docs/example-review.svg)" in guide


@needs_chromium
async def test_no_text_leaves_its_box_in_a_browser(tmp_path: Path) -> None:
    page_file = tmp_path / "all.html"
    page_file.write_text(
        "<meta charset=utf-8>" + "".join(svg(picture(each, lang)) for each, lang in _all()),
        encoding="utf-8",
    )
    async with chromium(tmp_path / "profile") as page:
        await page.show(page_file, 1300, dark=False)
        assert await page.ask(_OUTSIDE) == []
        light = await page.ask(_BOX_COLOUR)
        await page.show(page_file, 1300, dark=True)
        assert await page.ask(_BOX_COLOUR) != light


_OUTSIDE = """[...document.querySelectorAll('svg')].flatMap(drawing => {
  const boxes = [...drawing.querySelectorAll('rect')].slice(1).map(box => box.getBBox());
  const canvas = drawing.viewBox.baseVal;
  return [...drawing.querySelectorAll('text')].filter(text => {
    const t = text.getBBox(), free = text.matches('.head, .note');
    return !(free ? [canvas] : boxes).some(box => t.x >= box.x && t.x + t.width <= box.x + box.width
      && t.y >= box.y && t.y + t.height <= box.y + box.height);
  }).map(text => text.textContent);
})"""
_BOX_COLOUR = "getComputedStyle(document.querySelector('.box')).fill"


def _all() -> Iterator[tuple[Workflow, Language]]:
    yield from itertools.product(WORKFLOWS, LANGUAGES)


def _overlap(one: Frame, other: Frame) -> bool:
    apart = (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )
    return not apart
