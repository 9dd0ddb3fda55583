"""Signs mails with DKIM (RFC 6376): rsa-sha256, ed25519-sha256 (RFC 8463), or one of each.

A signature is a function of the mail, its time and the key: RSA is padded as PKCS #1 v1.5 says and
Ed25519 takes no random number either, so a mail that is sent again has the same bytes.

Canonicalization is relaxed/relaxed: a relay may fold headers anew and change spaces. The headers in
OVERSIGNED are listed once more than the mail has them, so whoever adds a second From, or a
List-Unsubscribe of their own, breaks the signature.

Keys rotate by selector: a new key is published under a new name, then used, and the old record
stays until the last mail signed with it has arrived. How that is done, step by step, says
`ritorno dkim --help`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

OVERSIGNED = (
    *("from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "content-transfer-encoding"),
    *("list-id", "list-unsubscribe", "list-unsubscribe-post"),
)
"""What a reader or a mail program acts upon: nobody may add one on the way."""

SIGNED = ("content-language", "auto-submitted", "feedback-id", "x-ritorno-mail")
"""Signed where we set them; some relays put a Feedback-ID of their own before ours."""

RSA_BITS = range(1024, 4097)
"""RFC 8301: what every receiver verifies. Below 2048 is weak, see `weak`."""

FEW_SPACES = 100
"""In a body whose blanks are looked at one by one; base64 has ten."""
LINE = 76
"""Longest line of the signature's header, so that nobody has a reason to fold it anew."""

_SPACES = re.compile(rb"[ \t]+")
_TRAILING = re.compile(rb"[ \t]+(?=\r\n|\Z)")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


@dataclass(frozen=True)
class DkimKey:
    """A key and where the world finds its other half."""

    domain: str
    """ASCII; for DMARC the domain of the sender's address, or one above it."""
    selector: str
    key: PrivateKey

    @property
    def algorithm(self) -> str:
        """`rsa` or `ed25519`, as DNS records say it."""
        return "rsa" if isinstance(self.key, RSAPrivateKey) else "ed25519"

    @property
    def weak(self) -> bool:
        """Whether it is an RSA key below 2048 bits, which RFC 8301 advises against."""
        return isinstance(self.key, RSAPrivateKey) and self.key.key_size < 2048

    @property
    def record_name(self) -> str:
        """The name under which the DNS must have the TXT record."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The text of that record."""
        public = self.key.public_key()
        if isinstance(self.key, RSAPrivateKey):
            encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            encoded = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={self.algorithm}; p={b64encode(encoded).decode()}"

    @cached_property
    def start(self) -> bytes:
        """How its signatures begin."""
        return (
            f"v=1; a={self.algorithm}-sha256; c=relaxed/relaxed;\r\n"
            f" d={self.domain}; s={self.selector};\r\n"
        ).encode("ascii")

    def sign(self, content: bytes) -> bytes:
        """Return the signature of `content`."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(content, PKCS1v15(), SHA256())
        return self.key.sign(sha256(content).digest())  # RFC 8463, 3: of the hash


def read_key(pem: bytes) -> PrivateKey:
    """Read a private key. Raises ValueError saying what was expected."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("the key has a password; expected one without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            "expected a private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        ) from None
    if isinstance(key, RSAPrivateKey):
        if key.key_size not in RSA_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits; expected 2048, at most 4096")
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("expected an RSA or an Ed25519 key")


class DkimSigner:
    """Signs with all its keys; with none, mails stay unsigned."""

    def __init__(self, keys: Sequence[DkimKey]) -> None:
        self._keys = keys

    def sign(self, headers: bytes, body: bytes, *, time: int, until: int | None = None) -> bytes:
        """Return the DKIM-Signature headers, to be put before `headers`.

        `headers` end with the CRLF of the last one, without the empty line; `time`, of signing, and
        `until`, from when on the signature is no longer valid, in seconds since the epoch.
        """
        if not self._keys:
            return b""
        listed, content = _chosen(relaxed_headers(headers))
        tags = b" t=%d;" % time + (b" x=%d;" % until if until is not None else b"") + b"\r\n"
        tags += _listing(listed) + b" bh=" + _hashed(relaxed_body(body)) + b";\r\n"
        return b"".join(_signature(key, key.start + tags, content) for key in self._keys)


def relaxed_headers(headers: bytes) -> list[tuple[str, bytes]]:
    """Return name and canonical line of each header, in order (RFC 6376, 3.4.2)."""
    lines = _SPACES.sub(b" ", _FOLD.sub(b"", headers)).removesuffix(b"\r\n").split(b"\r\n")
    relaxed = []
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.rstrip(b" ").lower()
        relaxed.append((name.decode("ascii"), name + b":" + value.strip(b" ") + b"\r\n"))
    return relaxed


def relaxed_body(body: bytes) -> bytes:
    """Return the canonical body (RFC 6376, 3.4.4)."""
    if not _has_single_spaces(body):
        body = _SPACES.sub(b" ", _TRAILING.sub(b"", body))
    if body.endswith(b"\r\n\r\n") or body == b"\r\n":
        end = len(body)
        while body.endswith(b"\r\n", 0, end):
            end -= 2
        body = body[:end]
    return body if not body or body.endswith(b"\r\n") else body + b"\r\n"


def _has_single_spaces(body: bytes) -> bool:
    """Whether nothing is to be done about blanks, as with base64, which has a few in its heads.

    One character is searched for twenty times as fast as two.
    """
    if b"\t" in body or body.count(b" ") > FEW_SPACES:
        return False
    at = body.find(b" ")
    while at >= 0:
        if body[at + 1 : at + 2] in b" \r":  # also nothing, at the end
            return False
        at = body.find(b" ", at + 1)
    return True


def _chosen(headers: list[tuple[str, bytes]]) -> tuple[list[str], bytes]:
    """Return the names for h= and the lines they stand for. Of several with one name, the last one
    comes first; a name for which none is left stands for nothing, and says that none may come."""
    lines: dict[str, list[bytes]] = {}
    for name, line in headers:
        lines.setdefault(name, []).append(line)
    listed: list[str] = []
    content: list[bytes] = []
    for names, more in ((OVERSIGNED, 1), (SIGNED, 0)):
        for name in names:
            found = lines.get(name, ())
            listed += [name] * (len(found) + more)
            content += reversed(found)
    return listed, b"".join(content)


def _listing(names: list[str]) -> bytes:
    """The h= tag, folded after colons."""
    lines = [" h="]
    for name in names:
        if len(lines[-1]) + len(name) >= LINE:
            lines.append(" ")
        lines[-1] += name + ":"
    return "\r\n".join(lines).removesuffix(":").encode() + b";\r\n"


def _signature(key: DkimKey, tags: bytes, content: bytes) -> bytes:
    header = b"DKIM-Signature: " + tags + b" b="
    ((_, line),) = relaxed_headers(header)
    signature = b64encode(key.sign(content + line.removesuffix(b"\r\n")))
    return header + b"\r\n ".join(_cut(signature)) + b"\r\n"


def _cut(signature: bytes) -> Iterator[bytes]:
    yield signature[: LINE - 3]
    for start in range(LINE - 3, len(signature), LINE - 1):
        yield signature[start : start + LINE - 1]


def _hashed(body: bytes) -> bytes:
    return b64encode(sha256(body).digest())
