"""Values of an imported file that can't be used, by field: how many, and what stood there."""

from __future__ import annotations

from collections import Counter, defaultdict

EXAMPLES = 5
"""Different values of a field that are shown."""
LONGEST = 40
"""Characters of one that are shown."""
MOST_DIFFERENT = 1_000
"""Of a field that are counted one by one; of more only the sum is known."""


class UnusableValues:
    """The line counts, and what it says of such a field does not."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._values: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def note(self, field: str, value: str) -> None:
        """Note one."""
        self._counts[field] += 1
        values = self._values[field]
        shown = value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
        if shown in values or len(values) < MOST_DIFFERENT:
            values[shown] += 1

    def counts(self) -> dict[str, int]:
        """Return how many there were, by field."""
        return dict(sorted(self._counts.items()))

    def examples(self) -> dict[str, dict[str, int]]:
        """Return the values that are seen most, by field, with how often."""
        return {
            field: dict(values.most_common(EXAMPLES))
            for field, values in sorted(self._values.items())
        }
