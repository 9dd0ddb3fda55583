"""The output of a run while it goes: one changing line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console


class Say(Protocol):
    """Tells what begins now."""

    def __call__(self, text: str) -> None: ...


@contextmanager
def progress_output(console: Console) -> Iterator[Say]:
    """Yield who tells; each line carries the seconds since the beginning."""
    began = time.monotonic()

    def line(text: str) -> str:
        return f"{time.monotonic() - began:5.0f} s  {text}"

    if not console.is_terminal:
        yield lambda text: console.print(line(text), highlight=False, soft_wrap=True)
        return
    with console.status("") as status:

        def say(text: str) -> None:
            status.update(line(text) + " …")

        yield say
