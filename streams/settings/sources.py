"""Where settings come from: the names in the environment, and the file."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from schemas.failures import InputError

PREFIX = "RITORNO_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
DEFAULT_FILE = Path("ritorno.toml")

# Read by the tests and CI, not by the product; a typo check must not take them for settings.
_OTHER_VARIABLES = {CONFIG_VARIABLE, PREFIX + "REQUIRE_KAFKA", PREFIX + "REQUIRE_PROMETHEUS"}

config_flag: ContextVar[Path | None] = ContextVar("config", default=None)
"""pydantic-settings builds its sources from the class alone, so the flag reaches them this way."""


class SettingsError(InputError):
    """A setting that can't be used. The text is for a person and holds no secret."""


def refuse_misspelt_variables(fields: Iterable[str]) -> None:
    """Refuse `RITORNO_BROKR`: a setting that is silently ignored is worse than none.

    A name that resembles no setting is let pass; it may belong to something else.
    """
    known = [PREFIX + name.upper() for name in fields]
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or name in known or name in _OTHER_VARIABLES:
            continue
        if close := difflib.get_close_matches(name, known, n=1, cutoff=0.87):
            raise SettingsError(f"{name} is not a setting; did you mean {close[0]}?")


def settings_file(flag: Path | None) -> Path | None:
    """Return the file that is read: that of `--config`, that of RITORNO_CONFIG, `ritorno.toml`;
    None when there is none. Raises SettingsError when the one that is named isn't there."""
    named = os.environ.get(CONFIG_VARIABLE)
    path = flag or (Path(named) if named else DEFAULT_FILE)
    if path.is_file():
        return path
    if flag or named:
        raise SettingsError(f"{'--config' if flag else CONFIG_VARIABLE}: no file {path}")
    return None


def read_file(fields: Mapping[str, Any]) -> tuple[dict[str, Any], Path | None]:
    """Return the file's values by field name, and the file. Raises SettingsError."""
    path = settings_file(config_flag.get())
    if path is None:
        return {}, None
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise SettingsError(f"{path}: nested too deeply") from None
    except (OSError, ValueError) as error:  # ValueError: also a number of 5,000 digits
        raise SettingsError(f"{path}: {error}") from None
    values: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict) and name not in fields:
            values |= {f"{name}_{key}": inner for key, inner in value.items()}
        else:
            values[name] = value
    for name in values:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{path}: {name} is not a setting{hint}")
    return values, path
