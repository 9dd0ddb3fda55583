"""Reads the file of a mail: `{% set %}` for all of it, then the blocks it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agents.mail.templates.tags import Piece, TemplateTag, TemplateText, problem

REQUIRED = ("subject", "why", "content")
OPTIONAL = ("preheader", "text")
BLOCKS = (*REQUIRED, *OPTIONAL)


class Page(NamedTuple):
    """A mail as its author wrote it."""

    file: str
    sets: list[Piece]
    """`{% set %}` outside of the blocks: known in all of them."""
    blocks: dict[str, list[Piece]]

    def block(self, name: str) -> list[Piece]:
        """Return a block; empty when the author left it out."""
        return self.blocks.get(name, [])


def read_page(pieces: Sequence[Piece], file: str) -> Page:
    """Read the file of a mail. Raises TemplateProblem."""
    page = Page(file, [], {})
    rest = iter(pieces)
    for piece in rest:
        if isinstance(piece, TemplateText):
            if piece.text.strip():
                raise problem(file, piece.line, f"stands outside of the blocks: {_start(piece)}")
        elif piece.word == "block":
            name = piece.inner.split()[1]
            if name not in BLOCKS:
                known = ", ".join(BLOCKS)
                raise problem(file, piece.line, f"there is no block {name}; blocks are {known}")
            page.blocks[name] = list(_body(rest, "block"))
        elif piece.word == "set":
            page.sets.append(piece)
            if "=" not in piece.inner:
                page.sets.extend(_body(rest, "set"))
                page.sets.append(TemplateTag("statement", "endset", file, piece.line))
        else:
            raise problem(file, piece.line, f"stands outside of the blocks: {piece.source}")
    for name in REQUIRED:
        if name not in page.blocks:
            raise problem(file, 1, f"the block {name} is missing")
    return page


class Macro(NamedTuple):
    """A block that mails use: `{% macro coupon_box(coupon) %}` … `{% endmacro %}`."""

    name: str
    opening: TemplateTag
    body: list[Piece]


def read_macros(pieces: Sequence[Piece], file: str) -> list[Macro]:
    """Read a file of blocks: macros, one after the other. Raises TemplateProblem."""
    macros: list[Macro] = []
    rest = iter(pieces)
    for piece in rest:
        if isinstance(piece, TemplateText):
            if piece.text.strip():
                raise problem(file, piece.line, f"stands outside of the macros: {_start(piece)}")
        elif piece.word == "macro":
            name = piece.inner.removeprefix("macro").strip().partition("(")[0].strip()
            macros.append(Macro(name, piece, list(_body(rest, "macro"))))
        else:
            raise problem(file, piece.line, f"stands outside of the macros: {piece.source}")
    return macros


def _body(rest: Iterator[Piece], word: str) -> Iterator[Piece]:
    """Return the pieces up to the end of what `word` began."""
    for piece in rest:
        if isinstance(piece, TemplateTag) and piece.kind == "statement":
            if piece.word == f"end{word}":
                return
            if piece.word in ("block", "extends", "import", "from", "include", "macro"):
                what = f"{{% {piece.word} %}} can't be used here"
                raise problem(piece.file, piece.line, what)
        yield piece


def _start(text: TemplateText) -> str:
    return repr(text.text.strip()[:40])
