"""What this process takes in memory."""

from __future__ import annotations

import os
from pathlib import Path


def resident() -> int:
    """Return its resident bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
