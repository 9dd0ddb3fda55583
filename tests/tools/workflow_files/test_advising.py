"""What is worth a look in workflow files: warned of, never refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.runtime.definition_files import read_directory
from streams.tools.workflow_files.advising import Mails, advice

SHIPPED = Path(__file__).parents[3] / "workflows"

TESTS = "tests: [{name: t, given: [{at: 0m, event: page.viewed}]}]"
MAIL = "send: thanks, kind: informative"
COUPONS = """
id: coupons
definition: coupons
campaigns: [{id: gift, kind: gift, description: {it: regalo}}]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with campaigns and two mails, of which one shows a code."""
    (tmp_path / "coupons.yaml").write_text(COUPONS, "utf-8")
    for language in ("it", "en"):
        for name in ("templates/_words/{}.yaml", "templates/thanks.{}.j2", "templates/code.{}.j2"):
            path = tmp_path / name.format(language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{{ coupon_box(coupon) }}" if "code" in name else "", "utf-8")
    return tmp_path


def write(
    files: Path, *steps: str, name: str = "w1-a.yaml", id_: str = "w1-a", more: str = TESTS
) -> Path:
    """Write a workflow, its steps from line 6 on; return its file."""
    text = ["title: {it: x}", "trigger: order.completed", "entry: {once_per: order}", "steps:"]
    path = files / name
    path.write_text("\n".join([f"id: {id_}", *text, *(f"  - {each}" for each in steps), more]))
    return path


def warned(files: Path) -> list[tuple[str, int, str]]:
    """Return file, line and text of each warning; there is no mistake."""
    reading = read_directory(files)
    assert reading.findings == []
    found = list(advice(reading, Mails.of(files)))
    assert {each.level for each in found} <= {"warning"}
    return [(each.file.name, each.line, each.problem) for each in found]


def test_nothing_is_to_be_said_of_a_plain_workflow(files: Path) -> None:
    write(files, f"{{id: a, {MAIL}}}")
    assert warned(files) == []


def test_an_id_that_is_not_like_its_files_name(files: Path) -> None:
    write(files, f"{{id: a, {MAIL}}}", id_="w2-a")
    assert warned(files) == [("w1-a.yaml", 1, "w2-a is not looked for in a file called w1-a")]


def test_another_word_after_the_number_is_no_matter(files: Path) -> None:
    write(files, f"{{id: a, {MAIL}}}", id_="w1-welcome")
    assert warned(files) == []


def test_without_tests(files: Path) -> None:
    write(files, f"{{id: a, {MAIL}}}", more="")
    said = "w1-a has no tests: nothing says what it is meant to do"
    assert warned(files) == [("w1-a.yaml", 1, said)]


def test_a_group_of_one(files: Path) -> None:
    write(files, f"{{id: a, {MAIL}}}", more=f"{TESTS}\ngroup: alone")
    said = "alone has no other workflow, so it keeps nobody out"
    assert warned(files) == [("w1-a.yaml", 8, said)]
    other = write(files, f"{{id: a, {MAIL}}}", name="w1-b.yaml", id_="w1-b")
    other.write_text(f"{other.read_text('utf-8')}\ngroup: alone", "utf-8")
    assert warned(files) == []
    other.write_text("id: [", "utf-8")  # nobody knows of which group it is
    assert list(advice(read_directory(files), Mails.of(files))) == []


def test_a_mail_in_one_language_or_none_is_told_once_where_it_is_sent(files: Path) -> None:
    (files / "templates" / "thanks.en.j2").unlink()
    write(files, "{id: w, wait: 1d}", f"{{id: a, {MAIL}}}", f"{{id: b, wait: 1d, {MAIL}}}",
          "{id: c, send: nothing, kind: informative}",
          "{id: d, notify: sales, template: alert}")  # fmt: skip
    assert warned(files) == [
        ("w1-a.yaml", 7, "there is no thanks.en.j2"),
        ("w1-a.yaml", 9, "there is no nothing.en.j2 and no nothing.it.j2"),
        ("w1-a.yaml", 10, "there is no alert.en.j2 and no alert.it.j2"),
    ]


def test_a_shop_that_speaks_one_language_needs_no_other(files: Path) -> None:
    (files / "templates" / "_words" / "en.yaml").unlink()
    (files / "templates" / "thanks.en.j2").unlink()
    write(files, f"{{id: a, {MAIL}}}")
    assert warned(files) == []


CODE = "{id: code, coupon: gift}"
SHOWS = "{id: a, send: code, kind: promotional}"
SAYS_NOT = f"{{id: b, {MAIL}}}"
WAY = "{{id: way, branch: [{{if: {{orders.count: 1}}, steps: [{}]}}], else: [{}]}}"


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ([CODE, SHOWS], 0),
        ([CODE, SAYS_NOT, SHOWS], 0),
        ([WAY.format(CODE, SAYS_NOT), SHOWS], 0),
        ([WAY.format(f"{CODE}, {SHOWS}", SAYS_NOT)], 0),
        ([CODE, WAY.format(SAYS_NOT, SHOWS)], 0),
        ([CODE, '{id: n, notify: sales, template: thanks, message: {it: "{coupon.code}"}}'], 0),
        ([CODE, f'{{id: b, {MAIL}, with: {{code: "{{run.coupon}}"}}}}'], 0),
        ([CODE], 6),
        ([CODE, SAYS_NOT], 6),
        ([SHOWS, CODE], 7),
        ([WAY.format(CODE, SHOWS)], 6),
        ([WAY.format(SAYS_NOT, CODE), SAYS_NOT.replace("b", "c", 1)], 6),
    ],
)
def test_a_code_that_no_later_mail_shows(files: Path, steps: list[str], line: int) -> None:
    write(files, *steps)
    said = "no mail after it shows the code: none of their templates names `coupon`"
    assert warned(files) == ([("w1-a.yaml", line, said)] if line else [])


def test_a_directory_without_mails_is_warned_of_none(files: Path) -> None:
    """Workflows may be checked where their templates are not."""
    write(files, CODE, f"{{id: a, {MAIL}}}")
    for path in files.glob("templates/*.j2"):
        path.unlink()
    assert warned(files) == []


def test_no_shipped_workflow_gives_a_code_that_nobody_sees() -> None:
    reading = read_directory(SHIPPED)
    found = [each for each in advice(reading, Mails.of(SHIPPED)) if each.path not in ("", "group")]
    assert found == []
