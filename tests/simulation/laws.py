"""The laws, by name: whoever breaks one is found by that one, and not by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

FOLD = "the end is that of a plain fold of the log"
CHANGELOG = "store and changelog agree"
PROGRESS = "the progress says what was read and when"
TOPICS = "what was decided is in the log, and nothing else"
REPLAY = "a replay decides the same"
ONCE = "each step of a run has one mail, and each order one that confirms it"
MAILS = "marketing at most once, transactional at least once, what is more is admitted"
TIMERS = "no timer is early, late, twice or lost"
PLAIN = "what happened to plain customers adds up, once"
ORDERS = "orders are conserved"
CLAIMS = "nothing that a visitor says moves what is a customer's"
CODES = "no code of a pool is given twice"
ASIDE = "what fails twice is set aside, and nothing else"
REST = "it comes to rest"
TOLD = "what actors tell each other is in the log, whole and in order"
HELD = "what comes for who is held back waits in its order, and no more than has room"
ANEW = "a partition that begins anew is heard again, and what was told before it is not"
ALL = (FOLD, CHANGELOG, PROGRESS, TOPICS, REPLAY, ONCE, MAILS, TIMERS, PLAIN, ORDERS, CODES, ASIDE,
       REST, TOLD, HELD, ANEW, CLAIMS)  # fmt: skip


class Broken(AssertionError):
    """Laws that do not hold."""

    def __init__(self, broken: dict[str, str]) -> None:
        super().__init__("; ".join(f"{law}: {text}" for law, text in broken.items()))
        self.laws = set(broken)


class Court:
    """Tries law after law, so that all that are broken are known."""

    def __init__(self) -> None:
        self._broken: dict[str, str] = {}

    @contextmanager
    def tries(self, law: str) -> Iterator[None]:
        """Whatever is asserted within is a part of this law."""
        try:
            yield
        except AssertionError as error:
            self._broken.setdefault(law, (str(error).splitlines() or [""])[0][:200])

    def judge(self) -> None:
        """Raise Broken, with all of them, if any is."""
        if self._broken:
            raise Broken(self._broken)
