"""Files that a worker may have open, and how many of them its ports may take.

A connection is an open file, and so is what leads to the broker, to a relay, to a store. The limit
of a process is 1,024 on many machines, though its owner may raise it: a worker does, and gives its
ports what the rest leaves.
"""

from __future__ import annotations

import resource
from typing import NamedTuple

from streams.http import admin
from streams.http.ingest import server as ingest
from streams.http.internal import server as internal
from streams.http.public import site
from streams.http.server.http_server import DoorLimits
from streams.logging import get_logger
from streams.mail.inbound.listener import CONNECTIONS
from streams.mail.relay import parse_relays
from streams.mail.webhooks import AT_ONCE
from streams.runtime.state.store import STORE_FILES
from streams.settings import Settings
from streams.topology import AGENTS

OTHER_FILES = 128
"""Libraries, the log or its brokers, the lock, certificates, time zones, reading a changelog."""

_log = get_logger(__name__)


class Doors(NamedTuple):
    """What each port of a worker may have open."""

    public: DoorLimits
    admin: DoorLimits
    internal: DoorLimits
    ingest: DoorLimits


WANTED = Doors(site.LIMITS, admin.LIMITS, internal.LIMITS, ingest.LIMITS)


def reserve(settings: Settings, partitions: int) -> int:
    """Return how many files a worker needs that are no connections to its ports, should it have all
    `partitions` at once."""
    relays = len(parse_relays(settings.smtp_url.get_secret_value()))
    stores = STORE_FILES * len(AGENTS) * partitions if settings.store == "rocksdict" else 0
    return OTHER_FILES + relays * settings.smtp_connections + AT_ONCE + CONNECTIONS + stores


def raised(wanted: int) -> int:
    """Raise the limit of this process to `wanted` or as far as it may, and return what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if target > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (OSError, ValueError):  # some systems have a limit below the one that they tell
            return soft
        return target
    return soft


def wanted_doors(settings: Settings) -> Doors:
    """Return what the ports should have that are opened."""
    if settings.ingest_bind is not None:
        return WANTED
    return WANTED._replace(ingest=WANTED.ingest._replace(connections=0))


def shares(limit: int, reserved: int, wanted: Doors = WANTED) -> Doors:
    """Return what the ports get of `limit` open files: a quarter at least, else nobody could see
    what is wrong."""
    left = max(limit - reserved, limit // 4)
    ours = min(wanted.admin.connections, left // 8)
    inner = min(wanted.internal.connections, left // 8)
    rest = left - ours - inner
    taken = min(wanted.ingest.connections, rest // 2)
    public = min(wanted.public.connections, rest - taken)
    return Doors(
        wanted.public._replace(connections=public),
        wanted.admin._replace(connections=ours),
        wanted.internal._replace(connections=inner),
        wanted.ingest._replace(connections=taken),
    )


def door_limits(settings: Settings, partitions: int) -> Doors:
    """Raise the limit of open files and share it out. A limit that can't be raised far enough is
    told, with what to do."""
    reserved, of_doors = reserve(settings, partitions), wanted_doors(settings)
    wanted = reserved + sum(each.connections for each in of_doors)
    limit = raised(wanted)
    doors = shares(limit, reserved, of_doors)
    if limit < wanted:
        _log.warning("few files may be open, so the ports take fewer connections at once; raise "
                     "the limit (ulimit -n, LimitNOFILE)", limit=limit, wanted=wanted,
                     public=doors.public.connections)  # fmt: skip
    return doors
