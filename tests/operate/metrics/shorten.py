"""The rules of `deploy/prometheus` for a test that can't wait for minutes: all that is a time is
divided by one number, so that what they say of each other stays as it is."""

from __future__ import annotations

import copy
import re
from typing import Any

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=offset )(\d+)([smhd])")
_LIMIT = re.compile(r"(?<= > )\d+$")


def shortened(rules: dict[str, Any], factor: int) -> dict[str, Any]:
    """Return the rules with `for`, ranges, offsets and limits in seconds divided by `factor`."""
    rules = copy.deepcopy(rules)
    for group in rules["groups"]:
        for rule in group["rules"]:
            expression = _DURATION.sub(lambda found: _divided(found[0], factor), rule["expr"])
            if "_seconds" in expression:
                expression = _LIMIT.sub(
                    lambda found: f"{int(found[0]) / factor:g}", expression.strip()
                )
            rule["expr"] = expression
            if "for" in rule:
                rule["for"] = _divided(rule["for"], factor)
    return rules


def _divided(duration: str, factor: int) -> str:
    return f"{int(duration[:-1]) * _SECONDS[duration[-1]] * 1000 // factor}ms"
