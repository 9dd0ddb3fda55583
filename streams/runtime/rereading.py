"""Certificates, keys and secrets are read again while a worker runs.

Every `EVERY` seconds a worker reads its settings and the files that they name once more. What has
changed is taken over part by part: new connections log in with the new password and trust the new
certificates, mails are signed with the new keys. What can't be used (half a file, a key of another
kind, a setting that is refused) changes nothing: the old one stays, the log says so once, and
`ritorno_secret_kept` is 1 until it is mended. A variable of a process's own environment can't
change, so a secret that is to be exchanged comes from a file.

Other settings are read at the start only; one that has changed is named in the log, once.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from schemas.failures import InputError
from streams.logging import get_logger
from streams.operate.secret_metrics import SecretCounts, SecretPart
from streams.replaced_file import open_regular
from streams.runtime.background import kept_up
from streams.settings import Settings
from streams.settings.values import TokenKey

EVERY = 10.0
"""Seconds. Whoever exchanges a certificate waits so long, and for the next connection."""

Reader = Callable[[], Settings]
"""Reads the settings as they are now. Raises SettingsError."""

_log = get_logger(__name__)


class Part(NamedTuple):
    """What is taken over together."""

    name: SecretPart
    fields: Sequence[str]
    """The settings that it depends on."""
    files: Callable[[Settings], Iterable[Path | None]]
    """Whose content it depends on."""
    take: Callable[[Settings], Awaitable[None]]
    """Take it over. Raises InputError, OSError or ValueError, and nothing has changed then."""


def system_certificates() -> Path | None:
    """Return the file of what this machine trusts."""
    found = ssl.get_default_verify_paths().cafile
    return None if found is None else Path(found)


class Rereader:
    """Looks again and again, and hands over what has changed."""

    def __init__(
        self,
        settings: Settings,
        parts: Sequence[Part],
        read: Reader,
        counts: SecretCounts,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`settings` are those that the parts have begun with."""
        self._settings = settings
        self._parts = parts
        self._read = read
        self._counts = counts
        self._pause = pause
        self._taken = {part.name: _digest(part, settings) for part in parts}
        self._refused: dict[str, bytes | str] = {}
        self._secret = {field for part in parts for field in part.fields}
        self._first: dict[str, object] | None = None
        self._restart_for: frozenset[str] = frozenset()
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(kept_up("secrets", self._run), name="secrets")

    async def stop(self) -> None:
        """Look no more. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def look(self) -> None:
        """Read everything once more, and take over what has changed and can be used."""
        async with self._looking:  # or who read before a change takes it back behind who read after
            await self._look()

    async def _look(self) -> None:
        try:
            settings = await asyncio.to_thread(self._read)
        except InputError as error:
            self._keep("settings", str(error), str(error))
            return
        self._usable("settings")
        self._name_what_needs_a_restart(settings)
        # With the rest as it was at the start: keys are derived for a shop, a domain signs.
        secrets = {name: getattr(settings, name) for name in self._secret}
        merged = self._settings.model_copy(update=secrets)
        for part in self._parts:
            await self._look_at(part, merged)

    async def _run(self) -> None:
        while True:
            await self._pause(EVERY)
            await self.look()

    async def _look_at(self, part: Part, settings: Settings) -> None:
        digest = await asyncio.to_thread(_digest, part, settings)
        if digest == self._taken[part.name]:
            self._usable(part.name)
            return
        if digest == self._refused.get(part.name):
            return
        for path in part.files(settings):
            if path is not None and path.exists() and not path.is_file():
                # Opening a pipe waits for who writes into it, and all of us with it.
                self._keep(part.name, digest, f"{path}: not a regular file")
                return
        try:
            await part.take(settings)
        except (InputError, OSError, ValueError) as error:  # ssl's errors are of the second kind
            self._keep(part.name, digest, str(error))
            return
        self._taken[part.name] = digest
        self._usable(part.name)
        self._counts.taken[part.name] += 1
        _log.info("secrets were read again and are used from now on", what=part.name)

    def _keep(self, name: SecretPart, digest: bytes | str, why: str) -> None:
        if self._refused.get(name) == digest:
            return
        self._refused[name] = digest
        self._counts.kept.add(name)
        self._counts.refused[name] += 1
        _log.error("what was read again can't be used; the old one stays", what=name, error=why)

    def _usable(self, name: SecretPart) -> None:
        self._refused.pop(name, None)
        self._counts.kept.discard(name)

    def _name_what_needs_a_restart(self, settings: Settings) -> None:
        now: dict[str, object] = {
            name: value for name, value in settings if name not in self._secret
        }
        if self._first is None:
            self._first = now
        changed = frozenset(name for name, value in now.items() if value != self._first[name])
        if changed - self._restart_for:
            _log.warning("settings that are read at the start only have changed: restart it",
                         settings=sorted(changed))  # fmt: skip
        self._restart_for = changed


def _digest(part: Part, settings: Settings) -> bytes:
    """Return what changes with any value or file of a part. Files that aren't there count, too."""
    whole = hashlib.sha256()
    for name in part.fields:
        whole.update(repr(_plain(getattr(settings, name))).encode() + b"\0")
    for path in part.files(settings):
        if path is None:
            continue
        try:
            with open_regular(path) as file:
                content = file.read()
        except OSError as error:
            content = repr(error.errno).encode()
        whole.update(hashlib.sha256(content).digest())
    return whole.digest()


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, TokenKey):
        return value.id, value.secret.get_secret_value()
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value
