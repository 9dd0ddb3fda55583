"""The shop's colour, so that it can be read: contrast as WCAG 2.2 defines it."""

from __future__ import annotations

from functools import lru_cache

LIGHT, DARK = "#ffffff", "#1e1d1b"
"""The page by day and in the dark, as the theme has it."""

READABLE = 4.5
"""Contrast of text to its background that WCAG asks for at level AA."""

_WHITE, _BLACK = "#ffffff", "#141414"


@lru_cache
def label_color(background: str) -> str:
    """Return white or black, whichever has the better contrast to `background`."""
    return max((_WHITE, _BLACK), key=lambda color: contrast(color, background))


@lru_cache
def readable_on(color: str, background: str) -> str:
    """Return `color` with as much black or white in it as reading it on `background` takes."""
    ink = label_color(background)
    for share in range(0, 100, 5):
        mixed = (
            own + (other - own) * share // 100
            for own, other in zip(_channels(color), _channels(ink), strict=True)
        )
        readable = "#" + "".join(f"{channel:02x}" for channel in mixed)
        if contrast(readable, background) >= READABLE:
            return readable
    return ink


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours `#rrggbb`, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _channels(color: str) -> tuple[int, ...]:
    return tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
