"""Changing the file of write keys: a key is added, gets another value, is revoked.

The file is a person's as well, so what is in it stays as it is written, comments and all, but for
the lines that change. It is replaced as a whole, so that nobody reads half of it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from schemas.failures import InputError
from schemas.instant import to_rfc3339
from streams.http.ingest.keys import (
    HASH_PREFIX,
    PUBLIC_PREFIX,
    SECRET_PREFIX,
    WriteKey,
    digest,
    parse_keys,
)
from streams.replaced_file import replace_file

VALUE_BYTES = 24
"""192 bits, which nobody guesses."""

SECRET_BYTES = 32


class KeyMade(NamedTuple):
    """What was made."""

    value: str
    identity_secret: str = ""
    """The file with the secret that proves who somebody is; empty for a secret key."""


def add(
    path: Path,
    key_id: str,
    *,
    secret: bool,
    source: str,
    origins: Sequence[str],
    rate: float | None,
) -> KeyMade:
    """Add a key. Raises InputError, OperatorFileError; nothing has changed then."""
    text, keys = _read(path)
    if any(key.id == key_id for key in keys):
        raise InputError(f"{key_id}: there is such a key; --rotate gives it another value")
    value = _value(secret)
    entry: dict[str, Any] = {"id": key_id, "kind": "secret" if secret else "public"}
    entry["source"] = source
    made = KeyMade(value)
    if secret:
        entry["hashes"] = [_hash(value)]
        if origins:
            raise InputError("--origin: a secret key stands in no page")
    else:
        entry["values"] = [value]
        entry["origins"] = list(origins)
        proof = path.resolve().with_name(f"ingest-identity-{key_id}")
        entry["identity_secrets"] = [f"file:{proof}"]
        made = KeyMade(value, str(proof))
    if rate is not None:
        entry["rate"] = rate
    lines = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True).splitlines()
    block = "".join(f"  {line}\n" for line in lines)
    if not text.strip() or not keys:
        text = _without_empty(text)
    changed = f"{text if text.endswith(chr(10)) or not text else text + chr(10)}{block}"
    parse_keys(changed.encode(), path)  # before anything is written
    if made.identity_secret:
        _write_secret(Path(made.identity_secret))
    _replace(path, changed)
    return made


def rotate(path: Path, key_id: str) -> KeyMade:
    """Give a key another value; the one that it has holds still, one before that no more. Raises
    InputError, OperatorFileError."""
    text, keys = _read(path)
    key = _named(keys, key_id)
    value = _value(not key.is_public)
    if key.is_public:
        changed = _with_list(text, key_id, "values", [value, *key.values[:1]])
    else:
        changed = _with_list(text, key_id, "hashes", [_hash(value), *key.hashes[:1]])
    _checked(path, changed)
    return KeyMade(value)


def drop_previous(path: Path, key_id: str) -> None:
    """Let only a key's current value hold. Raises InputError, OperatorFileError."""
    text, keys = _read(path)
    key = _named(keys, key_id)
    field, held = ("values", key.values) if key.is_public else ("hashes", key.hashes)
    if len(held) < 2:
        raise InputError(f"{key_id}: has one value only")
    _checked(path, _with_list(text, key_id, field, held[:1]))


def revoke(path: Path, key_id: str, now: int) -> None:
    """Have a key believed no more, since `now` (ms). Raises InputError, OperatorFileError."""
    text, keys = _read(path)
    if _named(keys, key_id).revoked is not None:
        raise InputError(f"{key_id}: is revoked already")
    lines = text.splitlines(keepends=True)
    node = _entry(text, key_id)
    first = node.value[0][0].start_mark
    # Before the first field, whose line also has the dash of the list.
    line = lines[first.line]
    before, after = line[: first.column], line[first.column :]
    lines[first.line] = f"{before}revoked: {to_rfc3339(now)}\n{' ' * first.column}{after}"
    _checked(path, "".join(lines))


def _read(path: Path) -> tuple[str, Sequence[WriteKey]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "", ()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    return text, parse_keys(text.encode(), path)


def _named(keys: Sequence[WriteKey], key_id: str) -> WriteKey:
    for key in keys:
        if key.id == key_id:
            return key
    known = ", ".join(key.id for key in keys) or "none"
    raise InputError(f"{key_id[:64]!r}: there is no such key (there are: {known})")


def _value(secret: bool) -> str:
    return (SECRET_PREFIX if secret else PUBLIC_PREFIX) + secrets.token_urlsafe(VALUE_BYTES)


def _hash(value: str) -> str:
    return HASH_PREFIX + digest(value).hex()


def _entry(text: str, key_id: str) -> yaml.MappingNode:
    """Return where a key stands."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    keys = next(value for name, value in root.value if name.value == "keys")
    for node in keys.value:
        if any(name.value == "id" and value.value == key_id for name, value in node.value):
            if node.flow_style:
                raise InputError(f"{key_id}: write it on lines of its own, it is on one")
            assert isinstance(node, yaml.MappingNode)
            return node
    raise InputError(f"{key_id}: there is no such key")


def _with_list(text: str, key_id: str, field: str, values: Sequence[str]) -> str:
    """Return the text with a field of a key that is this list."""
    for name, value in _entry(text, key_id).value:
        if name.value == field:
            start, end = value.start_mark.index, value.end_mark.index
            rest = text[end:]
            kept = text[start:end]
            tail = kept[len(kept.rstrip()) :]  # a block's end is where the next thing begins
            return f"{text[:start].rstrip()} [{', '.join(values)}]{tail}{rest}"
    raise InputError(f"{key_id}: has no {field}")


def _without_empty(text: str) -> str:
    """Return the beginning of a file that has no keys yet."""
    comments = [line for line in text.splitlines() if line.startswith("#")]
    return "".join(f"{line}\n" for line in (*comments, "keys:"))


def _checked(path: Path, changed: str) -> None:
    parse_keys(changed.encode(), path)
    _replace(path, changed)


def _write_secret(path: Path) -> None:
    """Make a secret, unless there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(SECRET_BYTES) + "\n")


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o640
        replace_file(path, text, mode=mode)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}") from None
