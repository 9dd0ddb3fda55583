"""Compiles the tree of a block to HTML: MJML by mrml, styles inlined by css-inline.

Only once, when templates are loaded. What stands between two of Jinja's tags is compiled by itself,
so a condition or a loop can never tear a table of the layout apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import css_inline
import mrml

from agents.mail.templates.markup import VOID, Element, MarkupText, Node
from agents.mail.templates.tags import Piece, Placeholders, TemplateTag, TemplateText, problem

SECTIONS = frozenset({"mj-section", "mj-wrapper", "mj-hero"})
COLUMNS = frozenset({"mj-column", "mj-group"})
PARTS = frozenset(
    {"mj-text", "mj-button", "mj-image", "mj-divider", "mj-spacer", "mj-table", "mj-raw"}
    | {"mj-social", "mj-social-element", "mj-navbar", "mj-navbar-link"}
    | {"mj-accordion", "mj-accordion-element", "mj-accordion-title", "mj-accordion-text"}
    | {"mj-carousel", "mj-carousel-image"}
)
"""Any other name would vanish without a word."""
SHEET = "sheet"
"""The class of every section: the theme's colours, also in the dark."""

_TABLE = frozenset({"table", "tbody", "thead", "tfoot", "tr", "mj-table"})
"""Where HTML allows no text, so a tag there travels as a comment."""

_BODY = re.compile(r'<div aria-roledescription="email"[^>]*>(.*)</div></body>', re.DOTALL)
_COLUMN_STYLE = re.compile(r"\.mj-column-[\w-]+ \{[^}]*\}")


@dataclass(slots=True)
class MjmlCompiler:
    """Compiles blocks in the shop's theme."""

    attributes: str
    """The children of `<mj-attributes>`."""
    styles: str
    """CSS to inline."""
    blocks: frozenset[str]
    """Names of the macros that make sections of their own."""
    columns: set[str] = field(default_factory=set)
    """The rules of the column widths in use; they belong into the head of each mail."""

    def compile(self, nodes: Sequence[Node], placeholders: Placeholders, file: str) -> list[Piece]:
        """Return the HTML of a block's tree. Raises TemplateProblem."""
        pieces: list[Piece] = []
        run: list[Element] = []
        for node in nodes:
            if isinstance(node, Element):
                self._check(node, file)
                run.append(node)
                continue
            if isinstance(node, MarkupText):
                if node.text.strip():
                    what = (
                        f"text outside of an element, put it into <p>: {node.text.strip()[:40]!r}"
                    )
                    raise problem(file, node.line, what)
                continue
            if node.kind == "expression" and node.word not in self.blocks | {"caller"}:
                what = f"stands outside of an element, put it into <p>: {node.source}"
                raise problem(file, node.line, what)
            pieces += self._run(run, placeholders, file)
            pieces.append(node)
            run = []
        return pieces + self._run(run, placeholders, file)

    def _check(self, element: Element, file: str) -> None:
        known = SECTIONS | COLUMNS | PARTS
        if element.name.startswith("mj-") and element.name not in known:
            raise problem(file, element.line, f"MJML: there is no <{element.name}>")
        for child in element.children:
            if isinstance(child, Element):
                self._check(child, file)
            elif (
                isinstance(child, TemplateTag)
                and child.kind == "expression"
                and child.word in self.blocks
            ):
                what = f"{child.word} makes a section of its own; take it out of <{element.name}>"
                raise problem(child.file, child.line, what)

    def _run(self, run: Sequence[Element], placeholders: Placeholders, file: str) -> list[Piece]:
        if not run:
            return []
        body = "".join(_sections(run, placeholders))
        document = (
            f"<mjml><mj-head><mj-attributes>{self.attributes}</mj-attributes></mj-head>"
            f"<mj-body>{body}</mj-body></mjml>"
        )
        try:
            made = mrml.to_html(document, None, mrml.RenderOptions(fonts={}))
        except (OSError, ValueError) as error:
            raise problem(file, run[0].line, f"MJML: {error}") from None
        if made.warnings:
            raise problem(file, run[0].line, f"MJML: {made.warnings[0]}")
        self.columns |= set(_COLUMN_STYLE.findall(made.content.replace(".moz-text-html ", "")))
        match = _BODY.search(made.content)
        assert match is not None, "mrml's frame has changed"
        return placeholders.restore(self.inline(match[1]))

    def inline(self, html: str) -> str:
        """Return a fragment with the theme's styles in its elements."""
        return css_inline.inline_fragment(html, self.styles, load_remote_stylesheets=False)


def _sections(run: Iterable[Element], placeholders: Placeholders) -> Iterable[str]:
    """Put what stands alone into sections of one column, and prose into `<mj-text>`."""
    loose: list[str] = []
    prose: list[str] = []

    def flush(*, also_loose: bool) -> Iterable[str]:
        if prose:
            loose.append(f"<mj-text>{''.join(prose)}</mj-text>")
            prose.clear()
        if loose and also_loose:
            column = f"<mj-column>{''.join(loose)}</mj-column>"
            yield f'<mj-section css-class="{SHEET}">{column}</mj-section>'
            loose.clear()

    for element in run:
        if not element.name.startswith("mj-"):
            prose.append(_written(element, placeholders))
        elif element.name in SECTIONS:
            yield from flush(also_loose=True)
            yield _written(_on_sheet(element), placeholders)
        elif element.name in COLUMNS:
            yield from flush(also_loose=True)
            yield f'<mj-section css-class="{SHEET}">{_written(element, placeholders)}</mj-section>'
        else:
            yield from flush(also_loose=False)
            loose.append(_written(element, placeholders))
    yield from flush(also_loose=True)


def _on_sheet(section: Element) -> Element:
    classes = f"{SHEET} {section.attributes.get('css-class', '')}".strip()
    attributes = {**section.attributes, "css-class": classes}
    return Element(section.name, attributes, section.line, section.children)


def _written(node: Node, placeholders: Placeholders, parent: str = "") -> str:
    structural = parent in _TABLE or parent in COLUMNS | SECTIONS
    if isinstance(node, MarkupText):
        if structural or node.text.strip():
            return node.text
        # mrml drops a space between two elements.
        return placeholders.put(TemplateText(" ", node.line))
    if isinstance(node, TemplateTag):
        placeholder = placeholders.put(node)
        as_comment = node.kind == "statement" or structural
        return f"<!--{placeholder}-->" if as_comment else placeholder
    attributes = "".join(
        f' {name}="{_value(value, placeholders)}"' for name, value in node.attributes.items()
    )
    if node.name in VOID:
        return f"<{node.name}{attributes} />"
    children = "".join(_written(child, placeholders, node.name) for child in node.children)
    return f"<{node.name}{attributes}>{children}</{node.name}>"


def _value(value: str, placeholders: Placeholders) -> str:
    """mrml writes attributes as Rust would: `più` and a quote would arrive as escapes."""
    if value.isascii() and not set(value) & {"\\", '"'}:
        return value
    return placeholders.put(TemplateText(value.replace('"', "&quot;"), 1))
