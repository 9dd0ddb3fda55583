"""Which names are greeted: what anybody may type into a form goes into mails that bear the shop's
name, so a name with a link or a message in it is no name."""

from __future__ import annotations

import re
import unicodedata

MAX_FIRST_NAME = 40
"""Characters. The longest first name of Italy's registers has some thirty."""

MAX_FULL_NAME = 100

_DOMAIN = re.compile(r"\.\w\w")
"""A dot within a word of which more than an initial follows: mail programs make a link of it."""

_MARKS = frozenset(" -'.,·ʼ’‘‐´`\u200c\u200d")
"""What stands in names besides letters: the last two join letters in Persian and in Hindi."""


def greetable(name: str, at_most: int = MAX_FIRST_NAME) -> bool:
    """Whether `name` looks like one: letters, and what stands between those of names; no address of
    a page or of a mailbox, no number, at most so many characters."""
    if not 0 < len(name) <= at_most or _DOMAIN.search(name):
        return False
    kinds = [unicodedata.category(each)[0] for each in name if each not in _MARKS]
    return "L" in kinds and all(kind in "LM" for kind in kinds)
