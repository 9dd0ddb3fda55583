"""Numbers of things are right in number: through `several`, or a message with forms."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.messages.plurals import several

ROOT = Path(__file__).parents[2]

VERBS = {"is", "has", "was", "does", "as", "this", "answers", "lets", "exists", "needs", "waits"}
VERBS |= {"holds", "goes", "contains"}
"""What may follow a value that is no number; add the verb that you need."""


def counted(source: str) -> Iterator[str]:
    """Yield what stands behind a number and is always in the plural: `f"{n} mails"`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            noun = re.match(r" (?:or more )?([a-z]{2,}s)\b", str(text.value))
            said = ast.unparse(value.value)
            if noun and noun[1] not in VERBS and not said.replace(" // 1024", "").isupper():
                yield f"{said} {noun[1]}"


@pytest.mark.parametrize("folder", ["tools", "operate", "http"])
def test_no_remark_counts_one_thing_in_the_plural(folder: str) -> None:
    files = sorted((ROOT / "streams" / folder).rglob("*.py"))
    found = {each for file in files for each in counted(file.read_text(encoding="utf-8"))}
    assert found <= {"paused_class mails"}, "a class of mails is no number"


def test_it_is_seen() -> None:
    assert list(counted('f"{len(mails):,} mails"')) == ["len(mails) mails"]
    assert not list(counted("f\"{several(n, 'mail')} waits\""))


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 mails"), (1, "1 mail"), (2, "2 mails"), (1000, "1,000 mails")]
)
def test_several(count: int, said: str) -> None:
    assert several(count, "mail") == said
