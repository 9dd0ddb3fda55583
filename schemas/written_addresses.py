"""Mail addresses as people and programs write them: `Anna <anna@example.com>`, `mailto:…`, with
invisible characters that came along when they were copied."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from schemas.events.fields import is_address

MAX_TEXT = 1_000
"""Characters of an address with a name before it."""

_ANGLED = re.compile(r"<([^<>]*)>")
_QUOTED_NAME = re.compile(r'"(?:[^"\\]|\\.)*"')
_SEPARATORS = re.compile(r"[\s,;|]+")


class SeveralAddresses(ValueError):
    """A text that names more than one."""


def read_address(text: str) -> str | None:
    """Return the address that a text names, None when it names none.

    Raises SeveralAddresses.
    """
    if len(text) > MAX_TEXT:
        return None
    plain = _plain(text)
    angled = _ANGLED.findall(plain)
    if angled:
        names = _QUOTED_NAME.sub("", _ANGLED.sub("", plain))
        given = [*map(_bare, angled), *(each for each in _listed(names) if is_address(each))]
    else:
        given = [_bare(plain)] if is_address(_bare(plain)) else list(map(_bare, _listed(plain)))
    given = [each for each in given if each]
    found = {each.lower(): each for each in given if is_address(each)}
    if len(found) > 1:
        raise SeveralAddresses(f"{len(found)} addresses: {text[:64]!r}")
    if not found or (not angled and any(not is_address(each) for each in given)):
        return None
    return next(iter(found.values()))


def _plain(text: str) -> str:
    """Return a text without what nobody sees in it, its letters of full width as usual ones."""
    if text.isascii():
        return text.strip()
    seen = "".join(each for each in text if unicodedata.category(each) != "Cf")
    folded = unicodedata.normalize("NFKC", seen)
    return (folded if folded.isascii() else seen.replace("＠", "@")).strip()  # of full width


def _bare(text: str) -> str:
    """Return an address without what stands around it."""
    bare = text.strip().strip("'\"`").strip()
    if bare[:7].lower() == "mailto:":
        bare = unquote(bare[7:].partition("?")[0])
    elif "@" not in bare and "%40" in bare:
        bare = unquote(bare)
    bare = re.sub(r"\s*([@.])\s*(?=\S)", r"\1", bare) if bare.count("@") == 1 else bare
    return bare.strip().rstrip(".,;:").lstrip(",;:")


def _listed(text: str) -> list[str]:
    return [each for each in _SEPARATORS.split(text) if each]
