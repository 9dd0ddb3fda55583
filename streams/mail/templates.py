"""Reads the mail templates of a workflows directory into the renderer."""

from __future__ import annotations

import time
from pathlib import Path

from agents.mailer.render import Renderer, TemplateProblem

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


def load_renderer(workflows_dir: Path, fallback_locale: str = "it") -> Renderer:
    """Compile everything under `workflows_dir/templates`. Raises TemplateProblem."""
    sources = read_sources(workflows_dir)
    return Renderer(sources, fallback_locale=fallback_locale, monotonic=time.monotonic)
