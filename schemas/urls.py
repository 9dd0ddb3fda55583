"""Links as shops' systems write them: without a host or a scheme, with blanks, in quotes."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

WEB_URL = r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#\s\x00-\x20\x7f-\x9f][^\s\x00-\x20\x7f-\x9f]*"
"""What a mail can link to, and nothing in it that a browser would change."""

_WEB_URL = re.compile(WEB_URL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?!\d)")  # a port is no scheme: `shop.it:8080/p`
_NO_SLASHES = re.compile(r"(?i)(https?):/*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST = re.compile(r"(?i)(?:[\w-]+\.)+([a-z]{2,24}|xn--[a-z0-9-]+)(?::\d{1,5})?(?=[/?#]|$)")
_FILES = frozenset(
    [
        "php",
        "html",
        "htm",
        "asp",
        "aspx",
        "jsp",
        "do",
        "cgi",
        "jpg",
        "jpeg",
        "png",
        "gif",
        "webp",
        "avif",
        "svg",
        "bmp",
        "ico",
        "pdf",
        "mp4",
        "webm",
        "css",
        "js",
        "xml",
        "json",
    ]
)
"""What ends the name of a file, and no host's."""


def read_url(text: str, base: str) -> str | None:
    """Return the link that a text is, None for what is none: `data:`, another scheme, a word.

    `base` is the shop's own URL; without one, what names no host is none.
    """
    plain = text.strip().strip("\"'<>\u200b\ufeff").strip()
    if not plain or _CONTROL.search(plain):
        return None
    plain = plain.replace("\\/", "/").replace("\\", "/")
    if _SCHEME.match(plain):
        if not _NO_SLASHES.match(plain):
            return None
        plain = _NO_SLASHES.sub(lambda match: f"{match[1]}://", plain, count=1)
    elif plain.startswith("//"):
        plain = f"https:{plain}"
    elif _names_host(plain, base):
        plain = f"https://{plain}"
    elif not base:
        return None
    encoded = _encoded(plain)
    found = encoded if _SCHEME.match(encoded) else _joined(base, encoded)
    return found if found is not None and _WEB_URL.fullmatch(found) else None


def _names_host(text: str, base: str) -> bool:
    match = _HOST.match(text)
    if match is None:
        return False
    host = match[0].lower()
    if host.startswith("www.") or host == urlsplit(base).netloc.lower():
        return True
    return match.end() < len(text) and match[1].lower() not in _FILES


def _encoded(text: str) -> str:
    """Return a link with its blanks encoded, as a browser sends them."""
    return re.sub(r"\s", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _joined(base: str, path: str) -> str | None:
    try:
        return urljoin(base if base.endswith("/") else f"{base}/", path)
    except ValueError:
        return None
