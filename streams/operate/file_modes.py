"""Who else on this machine can read what is kept of customers, or the secrets, or change what a
worker obeys?

Commands make files for their own user alone (umask 077), but a directory may be older than that,
and who writes `ritorno.toml` has an umask of their own.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streams.operate.check import Check, CheckStatus
from streams.runtime.factories import KEY_FILE
from streams.settings import Settings
from streams.settings.sources import secret_files

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class _Kept(NamedTuple):
    path: Path
    closed: int
    """Bits that nobody else should have."""


class _Finding(NamedTuple):
    path: Path
    problem: str
    remedy: str
    status: CheckStatus


def check_modes(settings: Settings, settings_file: Path | None) -> Check:
    """Look at the data directory, the keys, the settings file and the workflow files."""
    found = [each for kept in _kept(settings, settings_file) if (each := _look(kept)) is not None]
    if not found:
        return Check("file modes", CheckStatus.OK, "data and keys are closed to other users")
    worst = CheckStatus.WARN
    if any(each.status is CheckStatus.FAIL for each in found):
        worst = CheckStatus.FAIL
    text = "; ".join(f"{each.path} {each.problem}" for each in found)
    return Check("file modes", worst, text, "; ".join(each.remedy for each in found))


def _kept(settings: Settings, settings_file: Path | None) -> Iterator[_Kept]:
    """What there is. A group may read a key: a service's user often has one of its own for that."""
    directories = [settings.data_dir]
    if not settings.on_kafka:
        directories.append(settings.embedded_path)
    secret = [
        settings_file,
        settings.data_dir / KEY_FILE,
        settings.kafka_key_file,
        settings.kafka_token_file,
    ]
    secret += [*settings.mail_dkim_key_file, *secret_files(settings_file)]
    obeyed = [settings.workflows_dir, settings.kafka_ca_file, settings.kafka_cert_file]
    for paths, closed in (
        (directories, stat.S_IRWXG | stat.S_IRWXO),
        (secret, stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO),
        (obeyed, stat.S_IWOTH),
    ):
        yield from (_Kept(path, closed) for path in paths if path is not None)


def _look(kept: _Kept) -> _Finding | None:
    try:
        found = kept.path.stat()
    except OSError:
        return None  # whoever needs it says that it isn't there
    name = shlex.quote(str(kept.path))
    user = os.geteuid()
    if user and found.st_uid not in (user, 0):
        problem = f"belongs to another user ({found.st_uid}), who can change it"
        return _Finding(kept.path, problem, f"chown {user} {name}", CheckStatus.FAIL)
    wrong = found.st_mode & kept.closed
    if not wrong:
        return None
    mode = f"{found.st_mode & 0o777 & ~kept.closed:o}"
    can = "written" if wrong & _OTHERS_WRITE else "read"
    problem = f"can be {can} by other users ({stat.filemode(found.st_mode)})"
    status = CheckStatus.FAIL if wrong & _OTHERS_WRITE else CheckStatus.WARN
    return _Finding(kept.path, problem, f"chmod {mode} {name}", status)
