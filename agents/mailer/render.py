"""Renders a mail's subject, HTML and text from `workflows/templates/TEMPLATE/LOCALE/`.

All templates are compiled when they are loaded, so that a mistake is found when the worker starts
and not when a customer waits. Templates can't reach Python: Jinja's immutable sandbox, undefined
variables are errors, HTML is escaped, links lead only to the web or to a mailbox. The sandbox does
not bound resources, so time and size are checked at each piece of output.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from jinja2 import (
    Environment,
    FunctionLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agents.mailer.addresses import clean
from agents.mailer.formats import FILTERS

PARTS = ("subject.txt.j2", "body.html.j2", "body.txt.j2")

MAX_OUTPUT = 512 * 1024
"""Characters of one part. Gmail clips at 102 KB; five times that is a runaway loop."""
MAX_SECONDS = 2.0
"""A mail takes a quarter of a millisecond."""


class TemplateProblem(Exception):
    """Templates that can't be used; one line per mistake: `FILE:LINE: what is wrong`."""


class RenderError(Exception):
    """This mail can't be rendered: `FILE:LINE: what is wrong`."""


class Rendered(NamedTuple):
    """The words of one mail."""

    subject: str
    html: str
    text: str
    locale: str
    """The language it is in, which may be the fallback."""


class Renderer:
    """All templates, compiled."""

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        fallback_locale: str,
        monotonic: Callable[[], float],
    ) -> None:
        """`sources`: path below the templates' directory → text. Raises TemplateProblem.

        `monotonic` returns seconds; it only stops a template that runs away.
        """
        self._fallback = fallback_locale
        self._monotonic = monotonic
        environment = _environment(sources)
        compiled, mistakes = _compile(environment, sources)
        self._parts: dict[tuple[str, str], tuple[Template, ...]] = {}
        for template, locale in sorted({_place(path) for path in sources if _is_part(path)}):
            missing = [part for part in PARTS if f"{template}/{locale}/{part}" not in sources]
            mistakes += [f"{template}/{locale}/{part}: missing" for part in missing]
            if not missing and not mistakes:
                self._parts[template, locale] = tuple(
                    compiled[f"{template}/{locale}/{part}"] for part in PARTS
                )
        if mistakes:
            raise TemplateProblem("\n".join(mistakes))

    @property
    def templates(self) -> frozenset[str]:
        """Names of all templates, for checks and for the labels of metrics."""
        return frozenset(template for template, _ in self._parts)

    def language(self, template: str, locale: str) -> str:
        """Return the language to be used for a customer's `locale`. Raises RenderError."""
        wanted = locale.replace("_", "-").partition("-")[0].lower()
        for language in (wanted, self._fallback):
            if (template, language) in self._parts:
                return language
        raise RenderError(f"{template}: there is no such template in {wanted} or {self._fallback}")

    def render(self, template: str, locale: str, variables: Mapping[str, Any]) -> Rendered:
        """Render one mail; `variables` gets `locale` added. Raises RenderError."""
        language = self.language(template, locale)
        known = {**variables, "locale": language}
        deadline = self._monotonic() + MAX_SECONDS
        subject, html, text = (
            self._render_part(part, known, deadline) for part in self._parts[template, language]
        )
        if not clean(subject):
            raise RenderError(f"{template}/{language}/{PARTS[0]}: the subject is empty")
        return Rendered(clean(subject), html, _tidy(text), language)

    def _render_part(self, part: Template, variables: Mapping[str, Any], deadline: float) -> str:
        pieces: list[str] = []
        size = 0
        try:
            for piece in part.generate(variables):
                size += len(piece)
                if size > MAX_OUTPUT:
                    raise RenderError(f"{part.name}: more than {MAX_OUTPUT // 1024} KB")
                if self._monotonic() > deadline:
                    raise RenderError(f"{part.name}: takes longer than {MAX_SECONDS:g} s")
                pieces.append(piece)
        except RenderError:
            raise
        except (
            Exception
        ) as error:  # a template can raise anything; it ends here, as this mail's reason
            raise RenderError(f"{_where(error, part)}: {_what(error)}") from error
        return "".join(pieces)


def _environment(sources: Mapping[str, str]) -> Environment:
    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        source = sources.get(name)
        return None if source is None else (source, name, lambda: True)

    environment = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        finalize=lambda value: "" if value is None else value,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters.update(FILTERS)
    return environment


def _compile(
    environment: Environment, sources: Mapping[str, str]
) -> tuple[dict[str, Template], list[str]]:
    compiled: dict[str, Template] = {}
    mistakes: list[str] = []
    for path in sorted(sources):
        try:
            compiled[path] = environment.get_template(path)
        except TemplateSyntaxError as error:
            mistakes.append(f"{error.name or path}:{error.lineno}: {error.message}")
        except TemplateError as error:
            mistakes.append(f"{path}: {error}")
    return compiled, mistakes


def _is_part(path: str) -> bool:
    return not path.startswith("_") and path.count("/") == 2


def _place(path: str) -> tuple[str, str]:
    template, locale, _ = path.split("/")
    return template, locale


def _where(error: BaseException, part: Template) -> str:
    """Return FILE:LINE of the innermost template; Jinja rewrites tracebacks to say it."""
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.endswith(".j2")]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(part.name)


def _what(error: Exception) -> str:
    return clean(str(error))[:300] or type(error).__name__


def _tidy(text: str) -> str:
    """Drop spaces at line ends and runs of empty lines, which loops and conditions leave."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        stripped = line.rstrip()
        if stripped or (lines and lines[-1]):
            lines.append(stripped)
    return "\n".join(lines) + "\n"
