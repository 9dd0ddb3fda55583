"""Writes the text part of a mail from the same tree as its HTML.

A template of its own, made once: no HTML is turned into text when a mail is sent. Blocks have twins
that were written for text; what is only to be looked at is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape

from agents.mail.templates.markup import Element, MarkupText, Node
from agents.mail.templates.tags import Piece, Placeholders, TemplateTag, TemplateText, made

_SILENT = frozenset(
    {"img", "mj-image", "mj-spacer", "mj-divider", "hr", "style", "mj-style", "mj-carousel"}
)
_PARAGRAPHS = frozenset(
    {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote"}
    | {"mj-text", "mj-table", "mj-section", "mj-wrapper", "mj-hero", "mj-column", "mj-group"}
)
_SPACE = re.compile(r"[ \t\r\n]+")

_GAP = "\n\n"


def write_plain(nodes: Sequence[Node], placeholders: Placeholders) -> list[Piece]:
    """Return the text of a block's tree."""
    written: list[Piece] = []
    for piece in _all(nodes, placeholders, top=True):
        before = written[-1] if written else TemplateText("\n", 1)
        if (
            isinstance(piece, TemplateText)
            and isinstance(before, TemplateText)
            and before.text.endswith("\n")
        ):
            written.append(TemplateText(piece.text.lstrip(" "), piece.line))
        else:
            written.append(piece)
    return written


def _all(
    nodes: Sequence[Node], placeholders: Placeholders, *, top: bool = False
) -> Iterator[Piece]:
    for node in nodes:
        if isinstance(node, MarkupText):
            if top and not node.text.strip():
                continue
            yield TemplateText(_SPACE.sub(" ", unescape(node.text)), node.line)
        elif isinstance(node, Element):
            yield from _element(node, placeholders)
        else:
            yield node
            if top and node.kind == "expression":
                yield TemplateText(_GAP, node.line)


def _element(element: Element, placeholders: Placeholders) -> Iterator[Piece]:
    name, line = element.name, element.line
    if name in _SILENT:
        return
    if name == "br":
        yield TemplateText("\n", line)
    elif name in ("a", "mj-button", "mj-navbar-link"):
        yield from _link(element, placeholders)
    elif name == "li":
        yield TemplateText("\n- ", line)
        yield from _all(element.children, placeholders)
    elif name in ("td", "th"):
        yield from _all(element.children, placeholders)
        yield TemplateText(" ", line)
    elif name == "tr":
        yield TemplateText("\n", line)
        yield from _all(element.children, placeholders)
    elif name in _PARAGRAPHS:
        yield TemplateText(_GAP, line)
        yield from _all(element.children, placeholders)
        yield TemplateText(_GAP, line)
    else:
        yield from _all(element.children, placeholders)


def _link(element: Element, placeholders: Placeholders) -> Iterator[Piece]:
    """`Label: address` for a button, `label (address)` in a sentence; an address that is its own
    label, or missing, is not repeated."""
    alone = element.name == "mj-button"
    label = list(_all(element.children, placeholders))
    target = placeholders.restore(unescape(element.attributes.get("href", "")))
    before, after = (": ", "") if alone else (" (", ")")
    if alone:
        yield TemplateText(_GAP, element.line)
    yield from label
    condition = target[0] if len(target) == 1 and isinstance(target[0], TemplateTag) else None
    if condition is not None:
        yield from made(f"{{% if {condition.inner} %}}", condition)
    if target and not _same(label, target):
        yield from (TemplateText(before, element.line), *target, TemplateText(after, element.line))
    if condition is not None:
        yield from made("{% endif %}", condition)
    if alone:
        yield TemplateText(_GAP, element.line)


def _same(label: Sequence[Piece], target: Sequence[Piece]) -> bool:
    return _bare(label) == _bare(target).removeprefix("mailto:")


def _bare(pieces: Sequence[Piece]) -> str:
    texts = (
        piece.text
        if isinstance(piece, TemplateText)
        else piece.inner.removesuffix(" | url").strip("()")
        for piece in pieces
    )
    return "".join(texts).strip()
