"""How wide a text is at most, and where it breaks.

Nobody can know which font a reader's system has, so letters are taken to be as wide as in DejaVu
Sans, the widest of the usual ones: a text may end before its box does, never behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

_WIDTHS = (
    ("ijlI'’|", 0.3),
    (" .,:;!", 0.35),
    ("ftr()[]/\\-", 0.42),
    ('{}"“”«»*cszkvxyJ', 0.6),
    ("DGHNOQUwÈ", 0.82),
    ("mMW%@&—→…+=<>~#^", 1.0),
)
"""Letters → their width, in parts of the font's size."""
_WIDTH_OF = {letter: width for letters, width in _WIDTHS for letter in letters}
_UPPER, _LOWER, _WIDE = 0.72, 0.64, 1.2
"""Of all others; wide: scripts that DejaVu has not, such as Chinese."""
_FIRST_WIDE = 0x1100
BOLD = 1.1
"""A bold letter against a plain one."""


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is at most."""
    plain = sum(_letter(letter) for letter in text) * size
    return plain * (BOLD if bold else 1)


def wrapped(text: str, room: float, size: float, *, bold: bool = False) -> list[str]:
    """Return a text in lines that are no wider than `room`."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if width(longer, size, bold=bold) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, room, size, bold)
        lines += full
    return [*lines, line] if line else lines


def _broken(word: str, room: float, size: float, bold: bool) -> Iterator[str]:
    """Yield a word in parts that fit."""
    part = ""
    for letter in word:
        if part and width(part + letter, size, bold=bold) > room:
            yield part
            part = ""
        part += letter
    yield part


def _letter(letter: str) -> float:
    known = _WIDTH_OF.get(letter)
    if known is not None:
        return known
    if ord(letter) >= _FIRST_WIDE:
        return _WIDE
    return _UPPER if letter.isupper() else _LOWER
