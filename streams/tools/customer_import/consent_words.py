"""What exports write where they say whether somebody wants advertising."""

from __future__ import annotations

from typing import Literal

Said = Literal["subscribed", "unsubscribed", "bounced", ""]
"""Empty: nothing was said either way. bounced: the address takes no mail."""

_WORDS: dict[str, Said] = {
    **dict.fromkeys(
        ("subscribed", "yes", "y", "true", "1", "si", "sì", "iscritto", "iscritta", "active",
         "attivo", "opted in", "opt-in", "x"), "subscribed"),
    **dict.fromkeys(
        ("unsubscribed", "opted out", "opt-out", "disiscritto", "disiscritta", "non iscritto",
         "withdrawn", "complained", "spam"), "unsubscribed"),
    **dict.fromkeys(("cleaned", "bounced", "suppressed", "undeliverable"), "bounced"),
}  # fmt: skip


def read_consent(text: str) -> Said:
    """Return what a cell says. A plain no (`no`, `0`, `false`, `never subscribed`) says that nobody
    has agreed, not that somebody has objected."""
    return _WORDS.get(" ".join(text.casefold().replace("_", " ").split()), "")
