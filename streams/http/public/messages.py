"""The messages of the public pages, and the version by which evidence names them."""

from __future__ import annotations

import hashlib
from functools import cached_property

from streams.messages.translations import Language, message, message_ids

VERSION_DIGITS = 10
"""Of the hash of all words of a language."""


class PageMessages:
    """All pages' words in one language: `messages["help"]`, in templates `messages.help`."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __getitem__(self, name: str) -> str:
        return message(self.language, f"page.{name}")

    @cached_property
    def version(self) -> str:
        """Names exactly these words: another word anywhere is another version."""
        ids = sorted(id_ for id_ in message_ids(self.language) if id_.startswith("page."))
        text = "\0".join(message(self.language, id_) for id_ in ids)
        return f"{self.language}-{hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]}"
