"""A worker's data directory, which it has for itself, and of which topics what lies there is.

Stores and the index of records count by a topic's offsets. At another broker, or in a topic that
was made anew, other records have these, and a store that read on from its position would lack
customers. So the broker's ids of the topics are kept beside, and what is of others is removed: all
of it is found again in the log.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streams.log import Log
from streams.logging import get_logger
from streams.replaced_file import replace_file
from streams.runtime.failures import WorkerFailed
from streams.settings import Settings
from streams.topology import AGENTS, CUSTOMER_EVENTS, FACTS

TOPICS_FILE = "topics.json"
"""The ids of the topics, by name."""

_INDEX = "places.sqlite*"
_COPIES: Mapping[str, str] = {
    **{agent.keeps: f"state/{agent.keeps}-*" for agent in AGENTS},
    CUSTOMER_EVENTS: _INDEX,
    FACTS: _INDEX,
}
"""What there is of each topic."""

_log = get_logger(__name__)

LOCK_NAME = "worker.lock"


class NotTaken(Exception):
    """Another process has the directory."""


@contextmanager
def sole_worker(settings: Settings) -> Iterator[None]:
    """Hold the data directory for this process. Raises WorkerFailed."""
    with ExitStack() as held:
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(taken(settings.data_dir))
        except OSError as error:
            raise WorkerFailed(
                f"{settings.data_dir} can't be written: {error.strerror}. Set RITORNO_DATA_DIR."
            ) from None
        except NotTaken:
            raise WorkerFailed(
                f"Another worker uses the data directory {settings.data_dir}. Each needs its own: "
                "set RITORNO_DATA_DIR (and RITORNO_WORKER_ID)."
            ) from None
        yield


@contextmanager
def taken(directory: Path) -> Iterator[None]:
    """Hold a directory as a worker does, for a moment. Raises NotTaken, OSError."""
    handle = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotTaken(str(directory)) from None
        yield
    finally:
        os.close(handle)


async def drop_foreign(log: Log, data_dir: Path) -> None:
    """Remove what is of other topics than `log` has now. Raises WorkerFailed, LogError."""
    found = await log.identities(list(_COPIES))
    ids = {name: each.id for name, each in found.items()}
    try:
        await asyncio.to_thread(_keep_only_of, ids, data_dir)
    except OSError as error:
        raise WorkerFailed(
            f"{error.filename or data_dir} can't be written: {error.strerror}. "
            "Set RITORNO_DATA_DIR."
        ) from None


def _keep_only_of(ids: Mapping[str, str], data_dir: Path) -> None:
    path = data_dir / TOPICS_FILE
    known = _read_ids(path)
    if known == ids:
        return
    for topic, copies in _COPIES.items():
        if known.get(topic) != ids.get(topic):
            for each in data_dir.glob(copies):
                _log.warning("what is of another topic is removed, and read anew",
                             topic=topic, path=str(each))  # fmt: skip
                if each.is_dir():
                    shutil.rmtree(each)
                else:
                    each.unlink()
    replace_file(path, json.dumps(ids))


def _read_ids(path: Path) -> Mapping[str, str]:
    """Return the ids that were written; none where nobody has."""
    try:
        known = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
