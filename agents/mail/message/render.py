"""Renders a mail's subject, HTML and text.

Templates are compiled when they are loaded (`agents/mail/templates`), so that a mistake is found
when the worker starts and not when a customer waits; a mail then costs nothing but Jinja. Time and
size are checked at each piece of output.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from jinja2 import Template

from agents.mail.addresses import clean
from agents.mail.templates.compiler import TemplateCompiler
from agents.mail.templates.page import Page
from agents.mail.templates.sandbox import GUARD, MAX_OUTPUT, MAX_SECONDS, Guard
from agents.mail.templates.tags import TemplateProblem
from agents.mail.templates.variables import complete
from schemas.suggestions import did_you_mean

__all__ = ["MAX_OUTPUT", "MAX_SECONDS", "RenderError", "Rendered", "Renderer", "TemplateProblem"]


_SPACES = re.compile(r"(?<=\S)  +")
"""Not those at the beginning of a line, which indent it."""


class RenderError(Exception):
    """This mail can't be rendered: `FILE:LINE: what is wrong`."""


class Rendered(NamedTuple):
    """One mail, rendered."""

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
        self._templates = TemplateCompiler(sources)

    @property
    def templates(self) -> frozenset[str]:
        """Names of all templates, for checks and for the labels of metrics."""
        return frozenset(template for template, _ in self._templates.mails)

    @property
    def pages(self) -> Mapping[tuple[str, str], Page]:
        """Mail and language → what its author wrote."""
        return self._templates.pages

    @property
    def languages(self) -> frozenset[str]:
        """Languages that the blocks speak."""
        return frozenset(self._templates.words)

    def has_text(self, template: str, language: str) -> bool:
        """Return whether a mail's text part says anything of its own."""
        return (template, language) not in self._templates.silent

    def language(self, template: str, locale: str) -> str:
        """Return the language to be used for a customer's `locale`. Raises RenderError."""
        wanted = locale.replace("_", "-").partition("-")[0].lower()
        for language in (wanted, self._fallback):
            if (template, language) in self._templates.mails:
                return language
        tried = " or ".join(dict.fromkeys((wanted, self._fallback)))
        hint = did_you_mean(template, sorted(self.templates - {template}))
        raise RenderError(f"{template}: there is no such template in {tried}{hint}")

    def watching(self) -> AbstractContextManager[set[str]]:
        """Collect the names of the variables that templates ask for in the meantime."""
        return self._templates.watching()

    def render(self, template: str, locale: str, variables: Mapping[str, Any]) -> Rendered:
        """Render one mail. Raises RenderError.

        `variables`: those of the command, `shop` and the links of the footer; see
        `agents/mail/templates/variables.py`.
        """
        language = self.language(template, locale)
        guard = Guard(self._monotonic)
        try:
            known = complete(variables, language)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RenderError(f"{template}: its variables can't be read: {_what(error)}") from error
        known["words"] = self._templates.words.get(language, {})
        known[GUARD] = guard
        subject, html, text = (
            self._part(part, known, guard) for part in self._templates.mails[template, language]
        )
        if not clean(subject):
            raise RenderError(f"{template}.{language}.j2: the subject is empty")
        return Rendered(clean(subject), html, _tidy(text), language)

    def _part(self, part: Template, variables: Mapping[str, Any], guard: Guard) -> str:
        pieces: list[str] = []
        size = 0
        try:
            for piece in part.generate(variables):
                size += len(piece)
                if size > MAX_OUTPUT:
                    raise RenderError(f"{part.name}: more than {MAX_OUTPUT // 1024} KB")
                guard.check_time()
                pieces.append(piece)
        except RenderError:
            raise
        except (
            Exception
        ) as error:  # a template can raise anything; it ends here, as this mail's reason
            raise RenderError(f"{self._where(error, part)}: {_what(error)}") from error
        return "".join(pieces)

    def _where(self, error: BaseException, part: Template) -> str:
        """Return FILE:LINE in the mail, and where in a block; Jinja's tracebacks say it."""
        frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
        locations = [
            self._templates.location(frame.filename, frame.lineno or 1)
            for frame in frames
            if frame.filename in self._templates
        ]
        file = f"{str(part.name).rpartition('.')[0]}.j2"
        own = [location for location in locations if location.startswith(f"{file}:")]
        inner = [location for location in locations[-1:] if location not in own]
        return ": in ".join(own[-1:] + inner) or file


def _what(error: Exception) -> str:
    return clean(str(error))[:300] or type(error).__name__


def _tidy(text: str) -> str:
    """Drop runs of spaces and of empty lines, which loops and conditions leave."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        stripped = line.rstrip()
        if "  " in stripped:
            stripped = _SPACES.sub(" ", stripped)
        if stripped or (lines and lines[-1]):
            lines.append(stripped)
    return "\n".join(lines) + "\n"
