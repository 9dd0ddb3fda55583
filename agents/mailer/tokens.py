"""Signed links: who unsubscribes from what, without an address and without an end.

A token is `KEYID.PAYLOAD.SIGNATURE`. The key id lets the shop change its secret: new links are
signed with the first key, old links stay valid while their key is listed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from agents.mailer.settings import SigningKey

MAX_TOKEN = 1_000
"""Ids have at most 200 characters each; anything longer was not made by us."""

_PURPOSE = "ritorno.unsubscribe"


class BadToken(ValueError):
    """Not signed by us, or by a key that is no longer listed."""


class Unsubscribe(NamedTuple):
    """What an unsubscribe link says."""

    customer: str
    command_id: str


class Tokens:
    """Makes and reads the tokens of unsubscribe links."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """The first of `keys` signs, all of them verify."""
        self._current = keys[0].id
        self._signers = {
            key.id: Signer(
                key.secret,
                salt=_PURPOSE,
                key_derivation="hmac",
                digest_method=hashlib.sha256,
            )
            for key in keys
        }

    def make(self, content: Unsubscribe) -> str:
        """Return the token, safe in a URL's path."""
        # Not URLSafeSerializer, which compresses: another zlib would make another token, and a
        # mail that is sent again must have the same bytes.
        payload = base64_encode(json.dumps(list(content), separators=(",", ":")))
        signed: bytes = self._signers[self._current].sign(payload)
        return f"{self._current}.{signed.decode('ascii')}"

    def read(self, token: str) -> Unsubscribe:
        """Return what a token says. Raises BadToken."""
        key_id, dot, signed = token.partition(".")
        signer = self._signers.get(key_id)
        if not dot or signer is None or len(token) > MAX_TOKEN:
            raise BadToken
        try:
            customer, command_id = json.loads(base64_decode(signer.unsign(signed)))
        except (BadData, TypeError, ValueError):
            raise BadToken from None
        return Unsubscribe(customer, command_id)
