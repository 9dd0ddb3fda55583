"""What became of certificates, keys and secrets that were read again."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal, get_args

from streams.operate.instruments import Instruments
from streams.operate.panels import NotShown, Panel

SecretPart = Literal[
    "settings",  # the file as a whole, which must be right before anything of it is used
    "relay",
    "kafka",
    "dkim",
    "token_keys",
    "webhooks",
    "mailbox",
]
PARTS: Final[tuple[SecretPart, ...]] = get_args(SecretPart)

_KEPT = Panel(
    "Workers",
    "Secrets that could not be read again",
    "The old one is used until the new one can be; the worker's log says what is wrong with it.",
)


class SecretCounts:
    """Those of one worker."""

    def __init__(self) -> None:
        self.taken: Counter[SecretPart] = Counter()
        self.refused: Counter[SecretPart] = Counter()
        self.kept: set[SecretPart] = set()
        """Parts of which the old one is used because the new one can't be."""


class SecretMetrics:
    """Shows the counts at each scrape."""

    def __init__(self, make: Instruments) -> None:
        self._rereads = make.reading(
            "secret_rereads",
            "Certificates, keys and secrets that have changed and were read again.",
            "what",
            "result",
            shown=NotShown("for whoever exchanges one and looks whether it has arrived"),
        )
        self._kept = make.reading(
            "secret_kept",
            "1 while the old one is used, because what was read again can't be.",
            "what",
            kind="gauge",
            shown=[_KEPT.line("what", how="max")],
        )

    def of(self, counts: SecretCounts) -> None:
        """Show these."""
        self._rereads.of(
            lambda: [
                *(((part, "taken"), float(counts.taken[part])) for part in PARTS),
                *(((part, "refused"), float(counts.refused[part])) for part in PARTS),
            ]
        )
        self._kept.of(lambda: [((part,), float(part in counts.kept)) for part in PARTS])
