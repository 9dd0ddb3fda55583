"""Splits a template into Jinja's tags and the text between them.

The compiler of MJML and the inliner of styles know nothing of Jinja. So tags are taken out before
and put back after, each on a line of its own: the line of the compiled template then says which
line of the author's file it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jinja2 import Environment, TemplateSyntaxError

Kind = Literal["statement", "expression"]


class TemplateProblem(Exception):
    """Templates that can't be used; one line per mistake: `FILE:LINE: what is wrong`."""


def problem(file: str, line: int, what: str) -> TemplateProblem:
    """Return a mistake with its location."""
    return TemplateProblem(f"{file}:{line}: {what}")


class TemplateText(NamedTuple):
    """What stands between tags."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class TemplateTag:
    """`{% … %}` or `{{ … }}`, without its signs."""

    kind: Kind
    inner: str
    file: str
    line: int

    @property
    def word(self) -> str:
        """`if` of `{% if … %}`, `button` of `{{ button(…) }}`."""
        match = re.match(r"[A-Za-z_]\w*", self.inner)
        return match[0] if match else ""

    @property
    def source(self) -> str:
        """As Jinja reads it."""
        return f"{{% {self.inner} %}}" if self.kind == "statement" else f"{{{{ {self.inner} }}}}"


Piece = TemplateText | TemplateTag


def made(source: str, location: TemplateTag) -> list[Piece]:
    """Split a few words of ours, for tags that stand where the author's `location` stood."""
    pieces: list[Piece] = []
    for part in re.split(r"(\{[{%].*?[%}]\})", source):
        if part.startswith(("{{", "{%")):
            kind: Kind = "expression" if part[1] == "{" else "statement"
            pieces.append(TemplateTag(kind, part[2:-2].strip(), location.file, location.line))
        elif part:
            pieces.append(TemplateText(part, location.line))
    return pieces


_CLOSING = {"block_begin": "block_end", "variable_begin": "variable_end"}


def split(environment: Environment, source: str, file: str) -> list[Piece]:
    """Return the pieces of a template; comments are dropped. Raises TemplateProblem."""
    try:
        environment.parse(source, file, file)
        return list(_pieces(environment.lexer.tokeniter(source, file, file), file))
    except TemplateSyntaxError as error:
        raise problem(file, error.lineno, str(error.message)) from None


def _pieces(tokens: Iterator[tuple[int, str, str]], file: str) -> Iterator[Piece]:
    for line, token, value in tokens:
        if token == "data":
            yield TemplateText(value, line)
        elif token == "raw_begin":
            raise problem(file, line, "{% raw %} can't be used in a mail")
        elif token in _CLOSING:
            inner = "".join(_until(tokens, _CLOSING[token]))
            kind: Kind = "statement" if token == "block_begin" else "expression"
            yield TemplateTag(kind, inner.strip(), file, line)


def _until(tokens: Iterator[tuple[int, str, str]], closing: str) -> Iterator[str]:
    for _, token, value in tokens:
        if token == closing:
            return
        yield value


class CompiledTemplate(NamedTuple):
    """A template as Jinja reads it, and where its lines come from."""

    source: str
    locations: tuple[tuple[str, int], ...]
    """For each line of `source`: file and line of the author."""

    def location(self, line: int) -> str:
        """Return FILE:LINE of the author for a line of `source`."""
        file, own = self.locations[min(line, len(self.locations)) - 1]
        return f"{file}:{own}"


_OPENING = re.compile(r"\{(?=[{%#])")
"""Braces that stood there as entities, `&#123;`: they are no tags."""


def assemble(pieces: Iterable[Piece], file: str) -> CompiledTemplate:
    """Put pieces together to a template."""
    written: list[str] = []
    locations: list[tuple[str, int]] = [(file, 1)]
    for piece in pieces:
        if isinstance(piece, TemplateText):
            written.append(_OPENING.sub("{{ '{' }}", piece.text))
            locations += [(locations[-1][0], piece.line)] * piece.text.count("\n")
        else:
            written += ["{#\n#}", piece.source]
            location = (piece.file, piece.line)
            locations += [location] * (1 + piece.source.count("\n"))
    return CompiledTemplate("".join(written), tuple(locations))


class Placeholders:
    """Holds tags while text is worked on by programs that know nothing of Jinja."""

    _PLACEHOLDER = re.compile(r"<!--jinja(\d+)x-->|jinja(\d+)x")

    def __init__(self) -> None:
        self._pieces: list[Piece] = []

    def put(self, piece: Piece) -> str:
        """Hold a piece and return the placeholder that stands for it: a word, also as an
        attribute."""
        self._pieces.append(piece)
        return f"jinja{len(self._pieces) - 1}x"

    def include(self, other: Placeholders) -> None:
        """Hold what another holds, under the same placeholders."""
        self._pieces = [*other._pieces, *self._pieces]

    def piece_of(self, placeholder: str) -> Piece:
        """Return the piece that a placeholder stands for."""
        return self._pieces[int(placeholder.removeprefix("jinja").removesuffix("x"))]

    def split(self, text: str) -> list[str]:
        """Split text at its placeholders; every second item is one."""
        return re.split(r"(jinja\d+x)", text)

    def restore(self, text: str) -> list[Piece]:
        """Return the pieces of a text with placeholders, as comments or words."""
        pieces: list[Piece] = []
        found = list(self._PLACEHOLDER.finditer(text))
        ends = [0, *(each.end() for each in found)]
        starts = [*(each.start() for each in found), len(text)]
        for index, (begin, end) in enumerate(zip(ends, starts, strict=True)):
            if begin < end:
                pieces.append(TemplateText(text[begin:end], 1))
            if index < len(found):
                pieces.append(self._pieces[int(found[index][1] or found[index][2])])
        return pieces
