"""A connection to an IMAP server that may say so much and no more, and can be cut at any moment.

`imaplib` reads whatever a server announces, keeps all that it says unasked, and waits for each byte
by itself; its own `shutdown` waits for whoever is reading.
"""

from __future__ import annotations

import contextlib
import imaplib
import socket
import ssl
from threading import Lock
from typing import Literal

LONGEST_LINES = 64 * 1024
"""Bytes of all lines that answer one command."""

LONGEST_LIST = 1_000_000
"""Bytes of the list of messages, some hundred thousand of them."""


class ImapAllowance:
    """What a server may still say, and the socket by which it does."""

    def __init__(self) -> None:
        self._lines = 2 * LONGEST_LINES  # greeting, capabilities, login
        self._literals = 0
        self._socket: socket.socket | None = None
        self._is_cut = False
        self._changing = Lock()

    def opened(self, opened: socket.socket) -> None:
        """Remember the socket, which another one may take the place of (TLS)."""
        with self._changing:
            self._socket = opened
            if self._is_cut:  # nobody waits any more, and cutting came before there was anything
                _shut(opened)

    def cut(self) -> None:
        """End whatever is being read or written, and all that would come."""
        with self._changing:
            self._is_cut = True
            if self._socket is not None:
                _shut(self._socket)

    def expect(self, lines: int, literals: int) -> None:
        """From now on that many bytes may come; a literal, however small, only where one is."""
        self._lines, self._literals = lines, literals

    def literal(self, size: int) -> None:
        """One is announced. Raises IMAP4.abort for more than was asked for."""
        if size > self._literals:
            raise imaplib.IMAP4.abort(
                f"the server sends {size} bytes, {self._literals} were asked for"
            )
        self._literals -= size

    def text(self, size: int) -> None:
        """A line was read. Raises IMAP4.abort when there are too many."""
        self._lines -= size
        if self._lines < 0:
            raise imaplib.IMAP4.abort("the server says more than was asked for")


class PlainConnection(imaplib.IMAP4):
    """In the clear, until STARTTLS."""

    def __init__(self, host: str, port: int, allowance: ImapAllowance, timeout: float) -> None:
        """Connect. `timeout`: seconds for each read."""
        self._allowance = allowance
        super().__init__(host, port, timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        opened = socket.create_connection((self.host, self.port), timeout)
        self._allowance.opened(opened)
        return opened

    def starttls(
        self, ssl_context: ssl.SSLContext | None = None
    ) -> tuple[Literal["OK"], list[None]]:
        """Go on encrypted; the new socket can be cut as the old one could."""
        answered = super().starttls(ssl_context)
        self._allowance.opened(self.sock)
        return answered

    def read(self, size: int) -> bytes:
        """Read a literal. Raises IMAP4.abort."""
        self._allowance.literal(size)
        return super().read(size)

    def readline(self) -> bytes:
        """Read a line. Raises IMAP4.abort, IMAP4.error."""
        line = super().readline()
        self._allowance.text(len(line))
        return line


class TlsConnection(PlainConnection):
    """Encrypted from the first byte."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        allowance: ImapAllowance,
        timeout: float,
    ) -> None:
        """Connect. `timeout`: seconds for each read."""
        self._context = context
        super().__init__(host, port, allowance, timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        plain = socket.create_connection((self.host, self.port), timeout)
        opened = self._context.wrap_socket(
            plain, server_hostname=self.host, do_handshake_on_connect=False
        )
        self._allowance.opened(opened)
        try:
            opened.do_handshake()
        except BaseException:
            opened.close()
            raise
        return opened


def _shut(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was over already
        opened.shutdown(socket.SHUT_RDWR)
