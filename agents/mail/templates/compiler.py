"""All templates of a directory, read, compiled and linked: what the renderer renders.

_theme/attributes.mjml   defaults of MJML's components
_theme/inline.css        styles that are written into the elements
_theme/frame.html.j2     the page around a mail's content, with the styles of screens
_theme/frame.txt.j2      the same for text
_words/LANGUAGE.yaml     the words of the blocks
_blocks/NAME.mjml.j2     blocks; each has a twin for text in NAME.txt.j2
_blocks/NAME.j2          words that are made the same way in both
MAIL.LANGUAGE.j2         a mail
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import yaml
from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.runtime import Context
from markupsafe import Markup, escape

from agents.mail.templates.markup import read_markup
from agents.mail.templates.mjml import MjmlCompiler
from agents.mail.templates.page import Macro, Page, read_macros, read_page
from agents.mail.templates.plain import write_plain
from agents.mail.templates.sandbox import HTML, Sandbox, watched
from agents.mail.templates.tags import (
    CompiledTemplate,
    Piece,
    Placeholders,
    TemplateProblem,
    TemplateTag,
    TemplateText,
    assemble,
    split,
)
from schemas.yaml_text import Document, yaml_problem

_CALL = re.compile(r"\b([a-z_]\w*)\s*\(")

FRAME = "_theme/frame"
TEXT = ".txt"
SUBJECT = ".subject"

_MAIL = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)\.(?P<language>[a-z]{2})\.j2")
_BLOCKS = re.compile(r"_blocks/(?P<name>[a-z0-9-]+)(?P<form>\.mjml|\.txt|)\.j2")
_WORDS = re.compile(r"_words/(?P<language>[a-z]{2})\.yaml")
_THEME = ("_theme/attributes.mjml", "_theme/inline.css", f"{FRAME}.html.j2", f"{FRAME}.txt.j2")


class CompiledMail(NamedTuple):
    """A mail in one language."""

    subject: Template
    html: Template
    text: Template


class TemplateCompiler:
    """Compiles sources. Everything that is wrong is collected and told at once."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """`sources`: path below the templates' directory → text. Raises TemplateProblem."""
        self._sources = sources
        self._compiled: dict[str, CompiledTemplate] = {}
        self._problems: list[str] = []
        self._homes: dict[str, str] = {}
        self.environment = Sandbox(self._load)
        # In text a line with nothing but tags is no line; in HTML its end is a space between words.
        self._of_text = self.environment.overlay(trim_blocks=True, lstrip_blocks=True)
        self._theme = Placeholders()
        self.words: dict[str, Mapping[str, str]] = {}
        self.pages: dict[tuple[str, str], Page] = {}
        self.mails: dict[tuple[str, str], CompiledMail] = {}
        self.silent: set[tuple[str, str]] = set()
        """Mails whose text part has no words."""
        self._compile()
        if self._problems:
            raise TemplateProblem("\n".join(self._problems))

    def location(self, name: str, line: int) -> str:
        """Return FILE:LINE of the author for a line of a compiled template."""
        return self._compiled[name].location(line)

    @contextmanager
    def watching(self) -> Iterator[set[str]]:
        """Collect the names of the variables that templates ask for in the meantime."""
        names: set[str] = set()
        environments = (self.environment, self._of_text)
        for each in environments:
            each.context_class = watched(names)
        try:
            yield names
        finally:
            for each in environments:
                each.context_class = Context

    def __contains__(self, name: str) -> bool:
        return name in self._compiled

    def _load(self, name: str) -> str | None:
        compiled = self._compiled.get(name)
        return None if compiled is None else compiled.source

    def _compile(self) -> None:
        missing = [f"{path}: missing" for path in _THEME if path not in self._sources]
        unknown = [f"{path}: no file of this name is used" for path in self._sources
                   if not self._is_known(path)]  # fmt: skip
        if missing or unknown:
            self._problems += [*missing, *unknown]
            return
        self._collect(self._read_words, filter(_WORDS.fullmatch, self._sources))
        self._problems += self._missing_words()
        macros = self._read_blocks()
        if self._problems:
            return
        sections = (found for path, found in macros.items() if path.endswith(".mjml.j2"))
        self._mjml = MjmlCompiler(
            attributes=self._marked("_theme/attributes.mjml"),
            styles=self._marked("_theme/inline.css"),
            blocks=frozenset(macro.name for found in sections for macro in found),
        )
        self._collect(lambda path: self._compile_blocks(path, macros[path]), macros)
        self._collect(self._compile_frame, (f"{FRAME}.html.j2", f"{FRAME}.txt.j2"))
        self._collect(self._compile_mail, filter(_MAIL.fullmatch, self._sources))
        self.environment.globals["column_styles"] = Markup(" ".join(sorted(self._mjml.columns)))
        if not self._problems:
            self._link()

    def _is_known(self, path: str) -> bool:
        patterns = (_MAIL, _BLOCKS, _WORDS)
        return path in _THEME or any(pattern.fullmatch(path) for pattern in patterns)

    def _collect(self, work: Callable[[str], None], paths: Iterable[str]) -> None:
        for path in sorted(paths):
            try:
                work(path)
            except TemplateProblem as error:
                self._problems.append(str(error))
            except RecursionError:
                self._problems.append(f"{path}: nested too deeply")
            except ValueError as error:  # a number of more digits than Python reads
                self._problems.append(f"{path}: {error}")

    def _pieces(self, path: str, *, markup: bool = False) -> list[Piece]:
        return split(self.environment if markup else self._of_text, self._sources[path], path)

    def _marked(self, path: str) -> str:
        """Return a file of the theme; its tags (the shop's colours) become placeholders."""
        pieces = self._pieces(path)
        return "".join(
            piece.text if isinstance(piece, TemplateText) else self._theme.put(piece)
            for piece in pieces
        )

    def _read_words(self, path: str) -> None:
        try:
            document = Document(self._sources[path])
        except yaml.YAMLError as error:
            line, problem = yaml_problem(error)
            raise TemplateProblem(f"{path}:{line}: {problem}") from None
        for each in document.repeated():
            raise TemplateProblem(f"{path}:{each.line}: {each.path[-1]}: {each.problem}")
        words = document.content
        if not isinstance(words, dict) or not all(isinstance(w, str) for w in words.values()):
            raise TemplateProblem(f"{path}: must be a list of NAME: text")
        self.words[path[len("_words/") : -len(".yaml")]] = words

    def _missing_words(self) -> Iterable[str]:
        spoken = {match["language"] for match in map(_MAIL.fullmatch, self._sources) if match}
        for language in sorted(spoken - self.words.keys()):
            yield f"_words/{language}.yaml: missing"
        every = {name for words in self.words.values() for name in words}
        for language, words in self.words.items():
            for name in sorted(every - words.keys()):
                yield f"_words/{language}.yaml: {name}: missing, it is in another language"

    def _read_blocks(self) -> dict[str, list[Macro]]:
        macros: dict[str, list[Macro]] = {}

        def read(path: str) -> None:
            macros[path] = read_macros(self._pieces(path, markup=".mjml." in path), path)
            home = _home(path)
            for macro in macros[path]:
                if self._homes.setdefault(macro.name, home) != home:
                    where = f"{path}:{macro.opening.line}"
                    raise TemplateProblem(f"{where}: {macro.name} is in {self._homes[macro.name]}")

        self._collect(read, [path for path in self._sources if _BLOCKS.fullmatch(path)])
        self._problems += _unlike_twins(macros)
        return macros

    def _compile_blocks(self, path: str, macros: Iterable[Macro]) -> None:
        is_markup, is_text = path.endswith(".mjml.j2"), path.endswith(".txt.j2")
        pieces: list[Piece] = []
        for macro in macros:
            body = self._html(macro.body, path) if is_markup else macro.body
            end = TemplateTag("statement", "endmacro", path, macro.opening.line)
            pieces += [macro.opening, *body, end]
        if not is_text:
            self._finish(_home(path) + HTML, pieces, path)
        if not is_markup:
            self._finish(_home(path) + TEXT, pieces, path)

    def _compile_frame(self, path: str) -> None:
        pieces = self._pieces(path)
        self._finish(path.removesuffix(".j2"), pieces, path)

    def _compile_mail(self, path: str) -> None:
        match = _MAIL.fullmatch(path)
        assert match is not None
        page = read_page(self._pieces(path), path)
        content = read_page(self._pieces(path, markup=True), path).block("content")
        self.pages[match["name"], match["language"]] = page
        name = path.removesuffix(".j2")
        placeholders = Placeholders()
        nodes = read_markup(content, placeholders, path)
        text = page.block("text") or write_plain(nodes, placeholders)
        if not any(_says(piece) for piece in text):
            self.silent.add((match["name"], match["language"]))
        html = self._html(content, path)
        preheader, why = page.block("preheader"), page.block("why")
        self._finish(name + SUBJECT, [*page.sets, *page.block("subject")], path)
        self._finish(
            name + HTML,
            [
                _extends(FRAME + HTML, path),
                *page.sets,
                *_block("preheader", _escaped(preheader), path),
                *_block("content", html, path),
                *_block("why", _escaped(why), path),
            ],
            path,
        )
        self._finish(
            name + TEXT,
            [
                _extends(FRAME + TEXT, path),
                *page.sets,
                *_block("content", text, path),
                *_block("why", why, path),
            ],
            path,
        )

    def _html(self, pieces: list[Piece], path: str) -> list[Piece]:
        placeholders = Placeholders()
        placeholders.include(self._theme)
        return self._mjml.compile(read_markup(pieces, placeholders, path), placeholders, path)

    def _finish(self, name: str, pieces: list[Piece], path: str) -> None:
        """Keep a compiled template, with the imports of the blocks that it uses."""
        called = {
            word
            for piece in pieces
            if isinstance(piece, TemplateTag)
            for word in _CALL.findall(piece.inner)
        }
        form = HTML if name.endswith(HTML) else TEXT
        wanted: dict[str, list[str]] = {}
        for word in sorted(called & self._homes.keys()):
            if self._homes[word] + form != name:
                wanted.setdefault(self._homes[word] + form, []).append(word)
        imports: list[Piece] = [
            TemplateTag(
                "statement", f'from "{home}" import {", ".join(words)} with context', path, 1
            )
            for home, words in wanted.items()
        ]
        at = (
            1
            if pieces and isinstance(pieces[0], TemplateTag) and pieces[0].word == "extends"
            else 0
        )
        self._compiled[name] = assemble([*pieces[:at], *imports, *pieces[at:]], path)

    def _link(self) -> None:
        made: dict[str, Template] = {}
        for name in self._compiled:
            try:
                made[name] = self.environment.get_template(name)
            except TemplateSyntaxError as error:  # a filter or a test that there isn't
                where = self.location(error.name or name, error.lineno)
                self._problems.append(f"{where}: {error.message}")
            except RecursionError:
                self._problems.append(f"{name}: nested too deeply")
            except (TemplateError, ValueError) as error:  # as above
                self._problems.append(f"{name}: {error}")
        if not self._problems:
            for mail, language in self.pages:
                name = f"{mail}.{language}"
                parts = (made[name + end] for end in (SUBJECT, HTML, TEXT))
                self.mails[mail, language] = CompiledMail(*parts)


def _home(path: str) -> str:
    """`_blocks/offers` of `_blocks/offers.mjml.j2`: what its forms are named by."""
    return path.removesuffix(".j2").removesuffix(".mjml").removesuffix(".txt")


def _unlike_twins(macros: Mapping[str, list[Macro]]) -> Iterable[str]:
    for path, found in macros.items():
        if not path.endswith((".mjml.j2", ".txt.j2")):
            continue
        other = _twin(path)
        twins = {macro.name: macro.opening.inner for macro in macros.get(other, ())}
        for macro in found:
            if macro.opening.inner != twins.get(macro.name):
                where = f"{path}:{macro.opening.line}"
                yield f"{where}: {macro.name} needs a twin with the same arguments in {other}"


def _twin(path: str) -> str:
    if path.endswith(".mjml.j2"):
        return path.replace(".mjml.j2", ".txt.j2")
    return path.replace(".txt.j2", ".mjml.j2")


def _says(piece: Piece) -> bool:
    return (
        bool(piece.text.strip()) if isinstance(piece, TemplateText) else piece.kind == "expression"
    )


def _extends(name: str, path: str) -> TemplateTag:
    return TemplateTag("statement", f'extends "{name}"', path, 1)


def _block(name: str, pieces: Iterable[Piece], path: str) -> Iterable[Piece]:
    yield TemplateTag("statement", f"block {name}", path, 1)
    yield from pieces
    yield TemplateTag("statement", "endblock", path, 1)


def _escaped(pieces: Iterable[Piece]) -> Iterable[Piece]:
    """Words of a block that is plain text, as HTML."""
    for piece in pieces:
        yield (
            piece
            if isinstance(piece, TemplateTag)
            else TemplateText(str(escape(piece.text)), piece.line)
        )
