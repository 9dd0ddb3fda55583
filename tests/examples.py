"""How many examples a property is shown: so many in CI, and many times as many at night."""

from __future__ import annotations

from hypothesis import settings

NIGHT = 20
"""So many times more at night."""


def examples(number: int) -> settings:
    """Return settings with `number` examples in CI, and in proportion with any other profile."""
    return settings(max_examples=number * settings.default.max_examples // _USUAL)


_USUAL = settings.get_profile("default").max_examples
