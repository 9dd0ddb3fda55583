"""Where settings come from: the names in the environment, files with one secret each, the file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Container, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from schemas.failures import InputError
from schemas.secret_reference import SETTINGS_PREFIX
from streams.replaced_file import open_regular

PREFIX = SETTINGS_PREFIX
CONFIG_VARIABLE = PREFIX + "CONFIG"
DEFAULT_FILE = Path("ritorno.toml")

SECRETS = ("smtp_url", "inbound_imap_url", "kafka_password", "token_keys", "webhook_secret")
"""Settings that are never shown, and that may come from a file of their own: `NAME_FILE`."""

MAX_SECRET_BYTES = 65_536

# The rest is read by the tests and CI, not by the product; they are no settings.
_OTHER_VARIABLES = {CONFIG_VARIABLE, PREFIX + "DATA_SETS"} | {
    f"{PREFIX}REQUIRE_{each}" for each in ("KAFKA", "PROMETHEUS", "CHROMIUM", "NODE")
}

# What Kubernetes tells each pod of a Service called `ritorno` or `ritorno-…`.
_SERVICE_LINK = re.compile(
    PREFIX + r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://.+")

config_flag: ContextVar[Path | None] = ContextVar("config", default=None)
"""pydantic-settings builds its sources from the class alone, so the flag reaches them this way."""


class SettingsError(InputError):
    """A setting that can't be used. The text is for a person and holds no secret."""


def refuse_unknown_variables(fields: Iterable[str]) -> None:
    """Refuse `RITORNO_BROKR`: a setting that is silently ignored is worse than none.

    Kubernetes' service links are no settings. Raises SettingsError with a line for each variable.
    """
    names = {name.upper() for name in (*fields, *map(_file_setting, SECRETS))}
    known = {PREFIX + name for name in names} | _OTHER_VARIABLES
    problems = []
    for variable, value in sorted(os.environ.items()):
        name = variable.upper()
        if not name.startswith(PREFIX) or name in known or _is_service_link(name, value):
            continue
        # Compared without what all of them begin with, which would make any two alike.
        close = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "unset it"
        problems.append(f"{variable} is not a setting; {hint}")
    if problems:
        raise SettingsError("\n".join(problems))


def _is_service_link(name: str, value: str) -> bool:
    """Tell whether Kubernetes has set it; `…_PORT`, which a person may mean, by its value too."""
    if name.endswith("_PORT") and _SERVICE_URL.fullmatch(value):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None


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
    values = _flattened(tables, fields)
    known = {*fields, *map(_file_setting, SECRETS)}
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{path}: {name} is not a setting{hint}")
    for name in SECRETS:
        named = values.pop(_file_setting(name), None)
        if named is not None:
            where = f"{path}: {_file_setting(name)}"
            if name in values:
                raise SettingsError(f"{where}: {name} is set as well; one of them must go")
            values[name] = read_secret_file(where, str(named))
    return values, path


def _flattened(tables: Mapping[str, Any], fields: Container[str]) -> dict[str, Any]:
    """Return the values by field name: `[kafka] username` is `kafka_username`."""
    values: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict) and name not in fields:
            values |= {f"{name}_{key}": inner for key, inner in value.items()}
        else:
            values[name] = value
    return values


def read_secret_variables() -> dict[str, str]:
    """Return the secrets whose files `RITORNO_…_FILE` names, by field name. Raises SettingsError.

    A line break at the end of a file is not part of the secret.
    """
    given = {variable.upper(): value for variable, value in os.environ.items()}
    secrets = {}
    for name in SECRETS:
        variable = PREFIX + _file_setting(name).upper()
        if variable not in given:
            continue
        if PREFIX + name.upper() in given:
            raise SettingsError(f"{variable}: {PREFIX}{name.upper()} is set as well; "
                                "one of them must go")  # fmt: skip
        secrets[name] = read_secret_file(variable, given[variable])
    return secrets


def secret_files(settings_file: Path | None) -> list[Path]:
    """Return the files that hold a secret of their own, as the environment and `settings_file`
    name them."""
    given = {variable.upper(): value for variable, value in os.environ.items()}
    named = [given.get(PREFIX + _file_setting(name).upper()) for name in SECRETS]
    if settings_file is not None:
        values = _flattened(tomllib.loads(settings_file.read_text(encoding="utf-8")), SECRETS)
        named += [values.get(_file_setting(name)) for name in SECRETS]
    return [Path(path) for path in named if path]


def _file_setting(name: str) -> str:
    return f"{name}_file"


def read_secret_file(where: str, name: str) -> str:
    """Return the secret that a file holds, without a line break at its end. Raises SettingsError;
    `where` says who names the file."""
    path = Path(name)
    try:
        if not path.is_file():
            raise SettingsError(f"{where}: there is no file {path}")
        with open_regular(path) as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        secret = content.decode().rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"{where}: {path}: {error.strerror}") from None
    except ValueError:  # a path with a zero byte, or bytes that are no text
        raise SettingsError(f"{where}: {path} holds no text") from None
    if not secret or len(content) > MAX_SECRET_BYTES:
        problem = f"holds more than {MAX_SECRET_BYTES:,} bytes" if secret else "is empty"
        raise SettingsError(f"{where}: {path} {problem}")
    return secret
