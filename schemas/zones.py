"""Time zones: IANA names, and all the other ways in which people and programs name them.

A zone is kept by its IANA name; where none says the same, as for `+05:30`, as `UTC+05:30`.
"""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_MINUS = "-\u2212"
"""Also the sign that text processors write."""
_OFFSET = re.compile(
    rf"(?:(?:UTC|GMT|Z)\s*)?([+{_MINUS}])\s*(\d{{1,2}})(?::?([0-5]\d))?(?::?00)?", re.IGNORECASE
)
_LABELLED = re.compile(r"\(([^)]*)\)\s*(.*)")
"""`(UTC+01:00) Amsterdam, Berlin, Rome`: as programs show a choice of zones."""
_OURS = re.compile(r"UTC([+-])(\d\d):(\d\d)")
_LONGEST = 100
_FURTHEST_HOURS = 14
_FURTHEST_WEST = 12

_BY_LETTERS = {"cest": "CET", "eest": "EET", "west": "WET", "z": "UTC", "zulu": "UTC",
               "mesz": "CET", "mez": "CET", "edt": "EST5EDT", "est": "EST5EDT", "cdt": "CST6CDT",
               "mdt": "MST7MDT", "pdt": "PST8PDT", "pst": "PST8PDT", "jst": "Asia/Tokyo",
               "bst": "Europe/London", "msk": "Europe/Moscow", "aest": "Australia/Sydney",
               "aedt": "Australia/Sydney", "nzst": "Pacific/Auckland",
               "nzdt": "Pacific/Auckland"}  # fmt: skip
"""Abbreviations in use for one region's clock; `IST` or `CST` are several countries'."""


def zone_named(name: str) -> tzinfo | None:
    """Return the zone of a name as it is kept, None when there is none."""
    if match := _OURS.fullmatch(name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1024)
def read_zone(text: str) -> str | None:
    """Return the name by which a zone is kept, None when the text names none, or several."""
    plain = " ".join(text.replace("\u200b", "").split()).strip("\"'")
    if not plain or len(plain) > _LONGEST:
        return None
    return (
        _iana(plain)
        or _offset(plain)
        or _BY_LETTERS.get(plain.lower())
        or _windows().get(plain.lower())
        or _labelled(plain)
    )


def _iana(text: str) -> str | None:
    names = _names()
    return names.get(text.lower()) or names.get(text.lower().replace(" ", "_"))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """IANA's names, by themselves in small letters."""
    return {name.lower(): name for name in available_timezones() - {"localtime", "Factory"}}


def _offset(text: str) -> str | None:
    match = _OFFSET.fullmatch(text)
    if match is None:
        return None
    hours, minutes = int(match[2]), int(match[3] or 0)
    if hours * 60 + minutes > _FURTHEST_HOURS * 60:
        return None
    sign = "+" if match[1] == "+" else "-"
    if minutes:
        return f"UTC{sign}{hours:02}:{minutes:02}"
    if not hours:
        return "UTC"
    if sign == "+":
        return f"Etc/GMT-{hours}"
    return f"Etc/GMT+{hours}" if hours <= _FURTHEST_WEST else None


def _labelled(text: str) -> str | None:
    """Return the zone of `Rome`, and of `(UTC+01:00) Rome, Vienna`: the first place counts."""
    match = _LABELLED.fullmatch(text)
    label, places = ("", text) if match is None else (match[1].strip(), match[2])
    place = places.partition(",")[0].strip().replace(" ", "_").lower()
    found = _places().get(place, ())
    return found[0] if len(found) == 1 else _offset(label)


@lru_cache(maxsize=1)
def _places() -> dict[str, list[str]]:
    """IANA's names by what they call the place."""
    places: dict[str, list[str]] = {}
    for name in _names().values():
        region, _, place = name.rpartition("/")
        if region and region != "Etc":
            places.setdefault(place.lower(), []).append(name)
    return places


@lru_cache(maxsize=1)
def _windows() -> dict[str, str]:
    """CLDR's table of the names that Windows and Outlook have, as Babel carries it."""
    from babel.core import get_global  # noqa: PLC0415  # few need it

    mapping = get_global("windows_zone_mapping")
    return {str(name).lower(): str(zone) for name, zone in mapping.items()}
