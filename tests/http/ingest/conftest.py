"""The ingest port for each test that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.ingest.posting import Posting, posting


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Posting]:
    """An open ingest port."""
    async with posting(tmp_path) as opened:
        yield opened
