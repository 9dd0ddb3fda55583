"""What exports write where they say whether somebody wants advertising, and by which heads such a
column is known."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Literal, NamedTuple

from schemas.flags import read_flag
from streams.feeds.source_rows import plain_name

Said = Literal["subscribed", "unsubscribed", "bounced", "never", ""]
"""never: nobody has agreed, and nobody has objected either. Empty: nothing stands there. bounced:
the address takes no mail."""

_WORDS: dict[str, Said] = {
    **dict.fromkeys(
        ("subscribed", "x", "iscritto", "iscritta", "active", "attivo", "attiva", "accetto",
         "accettato", "acconsento", "opted in", "opt-in", "optin", "angemeldet", "abonniert"),
        "subscribed"),
    **dict.fromkeys(
        ("-", "none", "null", "never", "never subscribed", "not subscribed", "mai iscritto",
         "mai iscritta", "pending", "unconfirmed", "not activated", "in attesa", "non confermato",
         "invalid", "redacted", "transactional", "nicht angemeldet"), "never"),
    **dict.fromkeys(
        ("unsubscribed", "opted out", "opt-out", "optout", "disiscritto", "disiscritta",
         "non iscritto", "non iscritta", "revocato", "revoked", "withdrawn", "complained", "spam",
         "do not contact", "abgemeldet"), "unsubscribed"),
    **dict.fromkeys(("cleaned", "bounced", "suppressed", "undeliverable"), "bounced"),
}  # fmt: skip
"""Besides yes and no in every spelling (`schemas/flags.py`)."""

_OF_MANY = frozenset({"-", "none", "null", "never", "active", "attivo", "attiva", "pending",
                      "in attesa", "invalid"})  # fmt: skip
"""Say something in a column that is known to be about consent, and in any other nothing; as signs
of one letter do."""

_IN_HEADS = ("consent", "consens", "newsletter", "marketing", "optin", "optout", "subscri",
             "iscri", "acconsent", "gdpr", "privacy", "einwillig", "abonnier",
             "mailing")  # fmt: skip


class ShopWords(NamedTuple):
    """What a shop writes besides, as whoever imports says."""

    yes: frozenset[str] = frozenset()
    unsubscribed: frozenset[str] = frozenset()


NO_WORDS = ShopWords()


def plain_word(text: str) -> str:
    """Return a cell as words are compared: neither case, blanks nor `_` make a difference."""
    plain = unicodedata.normalize("NFC", text).casefold().replace("_", " ").replace("’", "'")
    return " ".join(plain.split())


@lru_cache(maxsize=4_096)
def read_consent(text: str, words: ShopWords = NO_WORDS) -> Said | None:
    """Return what a cell says, None for what can't be read. A plain no (`no`, `0`, `false`, `never
    subscribed`) says that nobody has agreed, not that somebody has objected."""
    word = plain_word(text)
    if not word:
        return ""
    if word in words.yes:
        return "subscribed"
    if word in words.unsubscribed:
        return "unsubscribed"
    if (flag := read_flag(word)) is not None:
        return "subscribed" if flag else "never"
    return _WORDS.get(word)


def is_about_consent(head: str) -> bool:
    """Whether a column's head sounds like it. That says neither to what, nor who."""
    return any(part in plain_name(head) for part in _IN_HEADS)


def are_answers(values: Collection[str]) -> bool:
    """Whether all that stands in a column is yes, no and the like, and at least one of it could
    hardly be anything else."""
    return all(map(read_consent, values)) and any(
        sum(letter.isalpha() for letter in word) > 1 and word not in _OF_MANY
        for word in map(plain_word, values)
    )
