"""Reads the content of a mail into a tree: elements, text, and Jinja's tags where they stand."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from agents.mail.templates.tags import Piece, Placeholders, TemplateTag, TemplateText, made, problem

VOID = frozenset({"br", "hr", "img", "wbr", "mj-image", "mj-divider", "mj-spacer"})
"""Elements without content, whether or not their author wrote the slash."""

LINKS = frozenset({"href", "src", "background", "background-url", "action"})
"""Attributes that lead somewhere: their expressions go through the filter `url`."""

_TOKEN = re.compile(
    r"<!--.*?-->"
    r"|<(?P<slash>/?)(?P<name>[A-Za-z][\w-]*)(?P<attributes>(?:\"[^\"]*\"|'[^']*'|[^'\">])*)>"
    r"|(?P<text>[^<]+|<)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""\s*([A-Za-z_:][\w:.-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'))?""")


@dataclass(slots=True)
class MarkupText:
    """Text, as it was written: entities and white space included."""

    text: str
    line: int


@dataclass(slots=True)
class Element:
    """An element. Jinja's tags in its attributes are placeholders."""

    name: str
    attributes: dict[str, str]
    line: int
    children: list[Node] = field(default_factory=list)


Node = MarkupText | TemplateTag | Element


def read_markup(pieces: Sequence[Piece], placeholders: Placeholders, file: str) -> list[Node]:
    """Read a block. Raises TemplateProblem."""
    top = Element("", {}, 1)
    open_elements = [top]
    text, line_of = _with_placeholders(pieces, placeholders)
    for match in _TOKEN.finditer(text):
        line = line_of(match.start())
        if match["text"] is not None:
            if match["text"] == "<":
                raise problem(file, line, "a < that begins no element; write &lt;")
            open_elements[-1].children += _words(match["text"], line, placeholders)
        elif match["name"] is None:
            continue  # a comment
        elif match["slash"]:
            _close(open_elements, match["name"], file, line)
        else:
            _open(open_elements, match, placeholders, file, line)
    if len(open_elements) > 1:
        element = open_elements[-1]
        raise problem(file, element.line, f"<{element.name}> is never closed")
    return top.children


def _with_placeholders(
    pieces: Sequence[Piece], placeholders: Placeholders
) -> tuple[str, Callable[[int], int]]:
    """Return one text in which tags are placeholders, and what tells the author's line of a
    position."""
    parts = [
        piece.text if isinstance(piece, TemplateText) else placeholders.put(piece)
        for piece in pieces
    ]
    text = "".join(parts)
    starts = [0, *accumulate(map(len, parts))]

    def line(position: int) -> int:
        at = bisect_right(starts, position, hi=len(pieces)) - 1
        passed = (
            text.count("\n", starts[at], position) if isinstance(pieces[at], TemplateText) else 0
        )
        return pieces[at].line + passed

    return text, line


def _words(text: str, line: int, placeholders: Placeholders) -> Iterator[Node]:
    for index, part in enumerate(placeholders.split(text)):
        if index % 2:
            tag = placeholders.piece_of(part)
            assert isinstance(tag, TemplateTag)
            yield tag
        elif part:
            yield MarkupText(part, line)
            line += part.count("\n")


def _close(open_elements: list[Element], name: str, file: str, line: int) -> None:
    if name in VOID:
        return
    element = open_elements[-1]
    if element.name != name:
        begun = f"<{element.name}> is open" if element.name else "nothing is open"
        raise problem(file, line, f"</{name}> closes nothing: {begun}")
    open_elements.pop()


def _open(
    open_elements: list[Element],
    match: re.Match[str],
    placeholders: Placeholders,
    file: str,
    line: int,
) -> None:
    inside = match["attributes"].rstrip()
    closed = inside.endswith("/")
    try:
        attributes = _attributes(inside.removesuffix("/"), placeholders)
    except ValueError as error:
        raise problem(file, line, f"<{match['name']}>: {error}") from None
    element = Element(match["name"], attributes, line)
    open_elements[-1].children.append(element)
    if not closed and element.name not in VOID:
        open_elements.append(element)


def _attributes(inside: str, placeholders: Placeholders) -> dict[str, str]:
    attributes: dict[str, str] = {}
    position = 0
    while position < len(inside.rstrip()):
        match = _ATTRIBUTE.match(inside, position)
        if match is None or match[1].startswith("jinja"):
            raise ValueError('can\'t be read; attributes are name="value"')
        value = match[2] if match[2] is not None else match[3] or ""
        attributes[match[1]] = _attribute(match[1], value, placeholders)
        position = match.end()
    return attributes


def _attribute(name: str, value: str, placeholders: Placeholders) -> str:
    """Check the tags of an attribute, and let links lead only where they may."""
    parts = placeholders.split(value)
    for index in range(1, len(parts), 2):
        tag = placeholders.piece_of(parts[index])
        assert isinstance(tag, TemplateTag)
        if tag.kind == "statement":
            raise ValueError(
                f"{name}: {tag.source} can't stand in an attribute; write {{{{ a if b else c }}}}"
            )
        if name in LINKS and index == 1 and not parts[0]:
            (checked,) = made(f"{{{{ ({tag.inner}) | url }}}}", tag)
            parts[index] = placeholders.put(checked)
    return "".join(parts)
