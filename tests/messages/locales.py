"""Catalogues that a test may change: a copy of all of them, in place of ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.messages import translations


def forget() -> None:
    """Let all catalogues be read again."""
    translations.languages.cache_clear()
    translations._catalogue.cache_clear()


@pytest.fixture
def locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the copies."""
    place = Path(shutil.copytree(translations.LOCALE, tmp_path / "locale"))
    with monkeypatch.context() as patch:
        patch.setattr(translations, "LOCALE", place)
        forget()
        yield place
    forget()


def change(file: Path, old: str, new: str) -> None:
    """Put one text in place of another."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    forget()
