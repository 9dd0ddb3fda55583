"""Write keys: who may send, and what.

A **public** key stands in a page, so everybody has it: with it one may say what people do there, of
oneself. A **secret** key is a shop's own system's, and speaks as the shop. The file has

    keys:
      - id: site                          # names the key in metrics, and to people
        kind: public
        source: /negozio/site             # the source of its events
        values: [rp_…, rp_…]              # two at a time, so that one can be exchanged
        origins: ["https://negozio.example.it"]
        rate: 500                         # events a second, with all that use the key
        address_rate: 20                  # and of one address
        types: [product.viewed, "cart.*"] # nothing else; without it all that its kind may say
        identity_secrets: ["file:/…"]     # prove who somebody is (`claims`)
      - id: till
        kind: secret
        source: /negozio/till
        hashes: ["sha256:…"]              # of its values, which nobody can read here
        revoked: 2026-12-01T10:00:00Z     # believed no more

Of what a request brings as its key, the SHA-256 is looked up: nothing of a key's value shows in how
long that takes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.instant import Instant
from schemas.reserved import SOURCES
from schemas.secret_reference import MaybeSecret, SecretReference
from schemas.type_patterns import matches
from schemas.written_form import Form
from streams.settings.operator_file import (
    FileIssue,
    OperatorFileError,
    parse_operator_file,
    read_operator_file,
    twice,
)
from streams.settings.secret_references import read_secret
from streams.settings.sources import SettingsError

MOST_KEYS = 1_000
"""Each is a label in metrics."""

PUBLIC_PREFIX, SECRET_PREFIX = "rp_", "rs_"
"""Begin the values that we make, so that a person sees at once which kind lies somewhere."""

HASH_PREFIX = "sha256:"


def _is_origin(value: str) -> str:
    if value == "null":  # what a browser calls a page without one, as a sandboxed frame
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an origin, such as https://negozio.example.it")
    if value != f"{parts.scheme}://{parts.netloc}" or value != value.lower() or "@" in value:
        raise ValueError(
            "expected scheme, host and port alone as a browser writes them, such as "
            "https://negozio.example.it"
        )
    return value


def _is_source(value: str) -> str:
    if value.startswith(SOURCES):
        raise ValueError(f"{SOURCES} begins Ritorno's own sources")
    if not value.isprintable():
        raise ValueError("expected printable characters")
    return value


KeyId = Annotated[
    str,
    Form("[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, dots and dashes, such as sito"),
]
KeySource = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_is_source)]
Origin = Annotated[str, Field(max_length=300), AfterValidator(_is_origin)]
TypePattern = Annotated[
    str,
    Form(
        r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?",
        "an event's type, such as product.viewed or cart.*",
    ),
]
KeyValue = Annotated[
    str, Form("[!-~]{16,200}", "16 to 200 letters, digits and signs without blanks"), MaybeSecret()
]
KeyHash = Annotated[
    str, Form("sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits"), MaybeSecret()
]
Rate = Annotated[float, Field(gt=0, le=1_000_000)]


class WriteKey(BaseModel):
    """A key of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    id: KeyId
    kind: Literal["public", "secret"]
    source: KeySource
    values: Annotated[tuple[KeyValue, ...], Field(max_length=2)] = ()
    """Of a public key, the current one first."""
    hashes: Annotated[tuple[KeyHash, ...], Field(max_length=2)] = ()
    """Of a secret key."""
    origins: tuple[Origin, ...] = Field((), max_length=100)
    """Of pages that may use a public key, exactly as browsers name them."""
    types: tuple[TypePattern, ...] = Field((), max_length=200)
    """Events that it may tell, `cart.*` being all that begin so; empty: all that its kind may."""
    rate: Rate | None = None
    """Events a second that are taken, by one process."""
    address_rate: Rate | None = None
    """The same of one network address; None: of public keys `limits.ADDRESS_RATE`."""
    identity_secrets: tuple[SecretReference, ...] = Field((), max_length=2)
    """Where those are by which a shop's server proves who somebody is."""
    revoked: Instant | None = None
    """Since when it is believed no more."""
    note: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> WriteKey:
        if self.is_public:
            if self.hashes:
                raise ValueError("hashes: a public key has values")
            if not self.values and self.revoked is None:
                raise ValueError("values: a public key needs one")
        else:
            for name in ("values", "origins", "identity_secrets"):
                if getattr(self, name):
                    raise ValueError(f"{name}: a secret key has none, and stands in no page")
            if not self.hashes and self.revoked is None:
                raise ValueError("hashes: a secret key needs one")
        return self

    @property
    def is_public(self) -> bool:
        """Whether it stands in pages."""
        return self.kind == "public"

    def may_tell(self, type_: str) -> bool:
        """Whether the file lets it tell events of a type."""
        return not self.types or matches(type_, self.types)

    def digests(self) -> Iterator[bytes]:
        """Yield the SHA-256 of each value."""
        for value in self.values:
            yield digest(value)
        for each in self.hashes:
            yield bytes.fromhex(each.removeprefix(HASH_PREFIX))


class _File(BaseModel):
    """What a keys file has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: list[WriteKey] = Field(default=[], max_length=MOST_KEYS)


class WriteKeys:
    """The keys of a file, as it was read, and the secrets that it names."""

    def __init__(
        self,
        keys: tuple[WriteKey, ...] = (),
        secrets: Mapping[str, tuple[bytes, ...]] | None = None,
    ) -> None:
        """`secrets`: those that prove who somebody is, by the key's id."""
        self.keys = keys
        self._secrets = secrets or {}
        self._by_digest = {each: key for key in keys for each in key.digests()}
        self.origins = frozenset(
            origin for key in keys if key.revoked is None for origin in key.origins
        )
        """All from which pages may send."""

    def find(self, value: str) -> WriteKey | None:
        """Return the key that has a value, also a revoked one; None when none has."""
        return self._by_digest.get(digest(value))

    def proves(self, key: WriteKey, user_id: str, claimed: str) -> bool:
        """Whether `claimed` is `HMAC-SHA256(secret, user_id)` in hex, by a secret of the key."""
        given = claimed.lower().encode("utf-8", "replace")
        is_proven = False
        for secret in self._secrets.get(key.id, ()):
            expected = hmac.new(secret, user_id.encode(), "sha256").hexdigest().encode()
            is_proven |= hmac.compare_digest(expected, given)
        return is_proven


def digest(value: str) -> bytes:
    """Return by what a key's value is known."""
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()


def read_keys(path: Path, *, again: bool = False) -> WriteKeys:
    """Read a keys file; one that isn't there has no keys. `again`: keys of it are in use. Raises
    OperatorFileError."""
    if not again and not path.exists():
        return WriteKeys()
    keys = tuple(read_operator_file(path, _File, _wrong_together, again=again).content.keys)
    secrets: dict[str, tuple[bytes, ...]] = {}
    missing = []
    for key in keys:
        try:
            secrets[key.id] = tuple(
                read_secret(each).get_secret_value().encode() for each in key.identity_secrets
            )
        except SettingsError as error:
            missing.append(str(error))
    if missing:
        raise OperatorFileError("\n".join(missing))
    return WriteKeys(keys, secrets)


def parse_keys(content: bytes, path: Path) -> tuple[WriteKey, ...]:
    """Return the keys that a file has or is to have. Raises OperatorFileError."""
    return tuple(parse_operator_file(content, path, _File, _wrong_together).content.keys)


def _wrong_together(file: _File) -> Iterator[FileIssue]:
    yield from twice((key.id for key in file.keys), "keys", "id")
    digests: dict[bytes, str] = {}
    for number, key in enumerate(file.keys):
        for each in key.digests():
            if digests.setdefault(each, key.id) != key.id:
                field = "values" if key.is_public else "hashes"
                yield FileIssue(("keys", number, field), f"{digests[each]} has the same one")
