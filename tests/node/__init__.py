"""What shops use to send events, from npm, and what makes the site script small.

`make packages` fetches them. Where they or Node.js are missing, the tests that need them say so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
PROGRAM = shutil.which("node") if (PACKAGES / ".ready").exists() else None

if PROGRAM is None and os.environ.get("RITORNO_REQUIRE_NODE"):
    raise RuntimeError(
        "RITORNO_REQUIRE_NODE is set, but node or what `make packages` fetches is missing"
    )

needs_node = pytest.mark.skipif(
    PROGRAM is None, reason="NO NODE: it is missing (apt install nodejs npm), or `make packages` is"
)

SECONDS = 30


async def run(script: str, *arguments: str, given: Any = None) -> str:
    """Run a script of this directory, with JSON as its standard input; return what it prints."""
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM, str(HERE / script), *arguments, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            out, complaint = await process.communicate(json.dumps(given).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return out.decode()
