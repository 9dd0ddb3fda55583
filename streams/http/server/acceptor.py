"""Takes connections, as many as there is room for.

asyncio's own server takes each connection that comes. When no file is left, it says so a hundred
times a second and takes none; and neither the log nor a relay can be reached then. Here a door has
so many places, which together leave enough files for the rest (`streams/runtime/open_files.py`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from streams.http.server.connection import HttpConnection

AT_A_TIME = 16
"""Connections taken before others of the worker's work has its chance."""

BACKLOG = 1_024
"""Connections that the kernel keeps for us meanwhile."""

PAUSE_SECONDS = 1.0
"""After the machine could not give us a connection. Trying again at once would be all we do."""


class Places:
    """The places of a door, and which of the connections would be missed least."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._answering: set[HttpConnection] = set()
        self._waiting: dict[HttpConnection, None] = {}  # in the order in which they began to

    def __len__(self) -> int:
        return len(self._answering) + len(self._waiting)

    def __iter__(self) -> Iterator[HttpConnection]:
        yield from [*self._answering, *self._waiting]

    def waits(self, connection: HttpConnection) -> None:
        """It waits from now on."""
        self._answering.discard(connection)
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def answers(self, connection: HttpConnection) -> None:
        """It is needed."""
        self._waiting.pop(connection, None)
        self._answering.add(connection)

    def leaves(self, connection: HttpConnection) -> None:
        """Its place is free."""
        self._answering.discard(connection)
        self._waiting.pop(connection, None)

    def longest_waiting(self) -> HttpConnection | None:
        """Return who has waited for longest, for a request or for the rest of one."""
        return next(iter(self._waiting), None)


class Host(Protocol):
    """Whose port it is."""

    def new_connection(self) -> HttpConnection | None:
        """Return the protocol of a new connection, None when there is no place for it."""

    def turned_away(self) -> bytes:
        """Return what somebody is told for whom there is no place."""

    def accept_failed(self, error: OSError) -> None:
        """The machine can't give us a connection."""

    def closed(self, connection: HttpConnection) -> None:
        """It is gone before it was open."""


class Acceptor:
    """Listens on a port."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._listening: list[socket.socket] = []
        self._resuming: dict[socket.socket, asyncio.TimerHandle] = {}
        self._opening: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, *, shared: bool = False) -> tuple[str, int]:
        """Listen at all addresses of a host; return the first one. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, address in dict.fromkeys((each[0], each[4][0]) for each in found):
                listening = socket.create_server(
                    (str(address), port), family=family, backlog=BACKLOG, reuse_port=shared
                )
                listening.setblocking(False)
                self._listening.append(listening)
                port = listening.getsockname()[1]  # with port 0 they all have the first one's
        except OSError:
            self.stop()
            raise
        for listening in self._listening:
            loop.add_reader(listening, self._take, listening)
        first = self._listening[0].getsockname()
        return str(first[0]), int(first[1])

    def stop(self) -> None:
        """Listen no more. Safe to call twice."""
        loop = asyncio.get_running_loop()
        for listening in self._listening:
            if (resuming := self._resuming.pop(listening, None)) is not None:
                resuming.cancel()
            loop.remove_reader(listening)
            listening.close()
        self._listening.clear()

    def _take(self, listening: socket.socket) -> None:
        for _ in range(AT_A_TIME):
            try:
                taken, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file is left, or no memory
                self._host.accept_failed(error)
                self._pause(listening)
                return
            taken.setblocking(False)
            connection = self._host.new_connection()
            if connection is None:
                with suppress(OSError):  # what the kernel doesn't take at once is not said
                    taken.send(self._host.turned_away())
                taken.close()
            else:
                opening = asyncio.ensure_future(self._open(taken, connection))
                self._opening.add(opening)
                opening.add_done_callback(self._opening.discard)

    async def _open(self, taken: socket.socket, connection: HttpConnection) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: connection, taken)
        except OSError:  # it has gone already
            taken.close()
            self._host.closed(connection)

    def _pause(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._resuming[listening] = loop.call_later(PAUSE_SECONDS, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        del self._resuming[listening]
        asyncio.get_running_loop().add_reader(listening, self._take, listening)
