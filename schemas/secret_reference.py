"""Where a secret stands: `env:NAME` or `file:PATH`, as files of ours say it and never hold it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

SETTINGS_PREFIX = "RITORNO_"
"""Begins the variables that are settings of ours."""

_EXPECTED = "expected env:NAME or file:PATH, never the secret itself"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


class MaybeSecret:
    """Marks a field (in `Annotated`) whose value no message shows: it may be a secret."""


class PlacedReference(str):
    """A reference that knows where it was written, for whoever can't read the secret."""

    place: str = ""
    """`FILE:LINE: FIELD`; empty where it stands in no file."""


def _checked(text: str) -> PlacedReference:
    kind, _, name = text.partition(":")
    if kind == "env" and _NAME.fullmatch(name):
        if name.upper().startswith(SETTINGS_PREFIX):
            raise ValueError(
                f"a variable that begins with {SETTINGS_PREFIX} is one of Ritorno's settings"
            )
        return PlacedReference(text)
    if kind == "file" and name.strip() and name.isprintable():
        return PlacedReference(text)
    raise ValueError(_EXPECTED)


SecretReference = Annotated[str, AfterValidator(_checked), MaybeSecret()]
"""Where a secret stands. A text that is none is not shown in the error, since it may be one."""
