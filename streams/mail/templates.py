"""Reads the mail templates of a workflows directory into the renderer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.mail.message.render import Renderer, TemplateProblem
from agents.mail.templates.lint import SendingStep
from schemas.commands import MailClass
from schemas.definitions.steps import NotifyStep
from schemas.languages import MAIL_LANGUAGES

SUFFIXES = frozenset({".j2", ".css", ".mjml", ".yaml"})
"""Files of templates; others (a README) are none of our business."""


def read_sources(workflows_dir: Path) -> dict[str, str]:
    """Return the files below `workflows_dir/templates`: path → text. Raises TemplateProblem."""
    root = workflows_dir / "templates"
    sources: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        try:
            sources[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateProblem(f"{name}: {error}") from None
    if not sources:
        raise TemplateProblem(f"{root}: there are no mail templates")
    return sources


def load_renderer(workflows_dir: Path, fallback_locale: str = MAIL_LANGUAGES[0]) -> Renderer:
    """Compile everything under `workflows_dir/templates`. Raises TemplateProblem."""
    sources = read_sources(workflows_dir)
    return Renderer(sources, fallback_locale=fallback_locale, monotonic=time.monotonic)


def uses_of(definitions: Iterable[bytes]) -> dict[str, list[SendingStep]]:
    """Return which steps of published definitions send which mail: mail → steps.

    Looks for steps wherever they are nested, so that it need not know the workflow language.
    """
    uses: dict[str, list[SendingStep]] = {}
    for definition in definitions:
        for step in _sending(json.loads(definition)):
            transactional = step.get("class") == "transactional"
            mail_class: MailClass = "transactional" if transactional else "marketing"
            use = SendingStep(mail_class, step.get("with") or {})
            if use not in uses.setdefault(step["send"], []):
                uses[step["send"]].append(use)
    return uses


ALERT: str = NotifyStep.model_fields["template"].default


def _sending(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("send"), str):
            yield value
        elif isinstance(value.get("notify"), str):  # the shop's own people, never a subscriber
            yield {"send": value.get("template", ALERT), "class": "transactional",
                   "with": {"message": value.get("message")}}  # fmt: skip
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _sending(inner)
