"""Reading the secrets that a file of ours names and never holds: `env:NAME` or `file:PATH`.

A file like `connections.yaml` is read by many, is kept under version control and is shown when
something is wrong with it, so what it has is where each secret stands. A file is read again now and
then, so that a secret is exchanged without a restart; the environment of a process stays as it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import SecretStr

from schemas.secret_reference import PlacedReference
from streams.settings.sources import SettingsError, read_secret_file

REREAD_SECONDS = 5.0
"""After which a file is read again when its secret is asked for."""


def read_secret(reference: str) -> SecretStr:
    """Return the secret, without a line break at its end. Raises SettingsError, which names who
    asks for it (file, line and field) and where it was looked for, and never holds it."""
    kind, _, name = reference.partition(":")
    place = reference.place if isinstance(reference, PlacedReference) else ""
    where = f"{place}: {reference}" if place else reference
    if kind == "file":
        return SecretStr(read_secret_file(where, name))
    secret = os.environ.get(name, "")
    if not secret:
        what = "is empty" if name in os.environ else "is not set"
        raise SettingsError(f"{where}: the environment variable {name} {what} where this runs")
    return SecretStr(secret)


class SecretsInUse:
    """The secrets that hold at the moment, the current one first; the one before it may be gone."""

    def __init__(
        self, references: Sequence[str], *, passed: Callable[[], float] = time.monotonic
    ) -> None:
        """`references`: the current one, then those that hold still. Raises SettingsError when the
        current one can't be read. `passed`: seconds that go on evenly."""
        self._references = tuple(references)
        self._passed = passed
        self._secrets = self._read()
        self._read_at = passed()

    def get(self) -> Sequence[SecretStr]:
        """Return them, read again when that was some time ago; what can't be read then stays as it
        was."""
        if self._passed() - self._read_at >= REREAD_SECONDS:
            self._read_at = self._passed()
            try:
                self._secrets = self._read()
            except SettingsError:
                return self._secrets  # a file that is being exchanged is there again in a moment
        return self._secrets

    def _read(self) -> Sequence[SecretStr]:
        current, *before = self._references
        return (read_secret(current), *map(read_secret, filter(_is_there, before)))


def _is_there(reference: str) -> bool:
    """Whether an earlier secret is kept still; its file goes when the exchange is over."""
    kind, _, name = reference.partition(":")
    return Path(name).is_file() if kind == "file" else bool(os.environ.get(name))
