"""The signing key of the tests, for what Ritorno itself writes."""

from __future__ import annotations

from pydantic import SecretStr

from schemas.signing import RecordSigner
from streams.settings.values import TokenKey

SECRET = "a secret of the tests"
TOKEN_KEYS = (TokenKey("k1", SecretStr(SECRET)),)
"""As a setting."""
SIGNER = RecordSigner([("k1", SECRET)])
