"""The process in which messages that came back are read; `reading_process.py` speaks to it.

Nothing of ours is in it: no secret (its environment is empty), no file but its two pipes, no more
memory than a message needs. It ends when the worker does, whichever way: its input ends then.
"""

from __future__ import annotations

import resource
import sys
from typing import BinaryIO, NamedTuple

import msgspec

from agents.mail.bounces.reading import UNREADABLE, classify
from agents.mail.bounces.verdict import BounceVerdict

HEAD_BYTES = 4
"""Before each message and each answer stands how long it is. The first answer is an empty one."""

MEMORY_BYTES = 512 * 1024 * 1024
"""Of address space; the interpreter with all its modules takes a fifth."""

OPEN_FILES = 16


class ReadMessage(NamedTuple):
    """What the process says of a message."""

    verdict: BounceVerdict
    error: str = ""
    """Our own code has failed at it."""


def answer(raw: bytes) -> ReadMessage:
    """Return what a message says, or why it can't be read."""
    try:
        return ReadMessage(classify(raw))
    except Exception as error:  # a message that breaks us must not hold back those behind it
        return ReadMessage(UNREADABLE, f"{type(error).__name__}: {error}")


def serve(received: BinaryIO, said: BinaryIO) -> None:
    """Answer one message after the other until there are no more."""
    _say(said, b"")
    while len(head := received.read(HEAD_BYTES)) == HEAD_BYTES:
        raw = received.read(int.from_bytes(head))
        _say(said, msgspec.msgpack.encode(answer(raw)))


def _say(said: BinaryIO, content: bytes) -> None:
    said.write(len(content).to_bytes(HEAD_BYTES) + content)
    said.flush()


def _confine() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    _confine()
    serve(sys.stdin.buffer, sys.stdout.buffer)
