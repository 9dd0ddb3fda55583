"""Which addresses get no mail. Of an address only a keyed hash is kept, so that the list outlives
an erasure and says nothing to whoever steals it.

A new key hashes what comes from then on, and old keys still find what they have hashed: an address
can't be hashed again, because nobody has it. So a key stays listed as long as what it suppressed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal

from agents.mail.settings import SigningKey
from schemas.addresses import normalized_address
from schemas.commands import MailClass, SuppressCommand
from schemas.key_ring import follow
from schemas.suppressions import AUDIT, OBJECTION, Suppression, SuppressionScope

HASH_BYTES = 16
"""Of HMAC-SHA256. Two of a billion addresses share one with a chance of 1 in 10²⁰."""

_PURPOSE = b"ritorno.suppression"


class Suppressed(Exception):
    """No mail may go to this address."""


class AddressHashes:
    """Hashes addresses: `KEYID.HASH`."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """The first of `keys` hashes, all of them find."""
        follow(keys, self._derive)

    def _derive(self, keys: Sequence[SigningKey]) -> None:
        self._keys = {
            key.id: hashlib.sha256(_PURPOSE + key.secret.encode()).digest() for key in keys
        }

    def current(self, address: str) -> str:
        """Return the hash under which an address is suppressed from now on."""
        return self.all(address)[0]

    def all(self, address: str) -> list[str]:
        """Return all the hashes under which it may be suppressed."""
        plain = normalized_address(address).encode()
        return [
            f"{key_id}.{hmac.digest(key, plain, 'sha256')[:HASH_BYTES].hex()}"
            for key_id, key in self._keys.items()
        ]

    def knows(self, hashed: str) -> bool:
        """Whether a hash was made with one of the keys."""
        return hashed.partition(".")[0] in self._keys


class Suppressions:
    """The list, in memory: 100 MB for a million addresses."""

    def __init__(self, hashes: AddressHashes) -> None:
        self.hashes = hashes
        self._scopes: dict[SuppressionScope, set[bytes]] = {"all": set(), "marketing": set()}
        self._released: dict[bytes, int] = {}
        self._objections: dict[bytes, Suppression] = {}
        self.unknown_keys = 0
        """Records whose key is no longer listed: these addresses are mailed again."""

    def __len__(self) -> int:
        """Return how many addresses are suppressed."""
        objections = sum(each.state == "suppressed" for each in self._objections.values())
        return sum(len(hashes) for hashes in self._scopes.values()) + objections

    def apply(self, key: str, suppression: Suppression) -> None:
        """Take note of a record of the topic."""
        if key.startswith(AUDIT):
            return
        if not self.hashes.knows(key.removeprefix(OBJECTION)):
            self.unknown_keys += 1
            return
        hashed = _bytes(key)
        if key.startswith(OBJECTION):
            self._objections[hashed] = suppression
            return
        for hashes in self._scopes.values():
            hashes.discard(hashed)
        if suppression.state == "suppressed":
            self._scopes[suppression.scope].add(hashed)
        else:
            self._released[hashed] = suppression.time

    def suppressed(self, address: str, mail_class: MailClass) -> bool:
        """Whether a mail may not go to an address."""
        found = [_bytes(key) for key in self.hashes.all(address)]
        if any(each in self._scopes["all"] for each in found):
            return True
        if mail_class == "transactional":
            return False
        return any(each in self._scopes["marketing"] or self._objects(each) for each in found)

    def _objects(self, hashed: bytes) -> bool:
        known = self._objections.get(hashed)
        return known is not None and known.state == "suppressed"

    def decide(self, command: SuppressCommand) -> tuple[str, Suppression] | None:
        """Return what a command leads to; None when that is the case already, or was taken back.

        A command that is delivered again must not undo what a person has released since.
        """
        key = self.hashes.current(command.email)
        hashed = _bytes(key)
        if command.reason == "objection":
            return self._decide_objection(key, hashed, command)
        if self._released.get(hashed, -1) >= command.time:
            return None
        if hashed in self._scopes["all"] or hashed in self._scopes[command.scope]:
            return None
        return key, Suppression(
            state="suppressed",
            scope=command.scope,
            reason=command.reason,
            time=command.time,
            by="ritorno",
        )

    def _decide_objection(
        self, key: str, hashed: bytes, command: SuppressCommand
    ) -> tuple[str, Suppression] | None:
        """The later word counts, in whatever order commands come from different partitions: so one
        that says the same later is kept, too."""
        known = self._objections.get(hashed)
        state: Literal["released", "suppressed"] = "released" if command.ends else "suppressed"
        if known is not None and known.time > command.time:
            return None
        if known is not None and (known.state, known.time) == (state, command.time):
            return None
        return OBJECTION + key, Suppression(
            state=state,
            scope=command.scope,
            reason=command.reason,
            time=command.time,
            by="ritorno",
        )


def _bytes(key: str) -> bytes:
    return bytes.fromhex(key.rpartition(".")[2])
