"""A log, an ingest port's routes and stand-ins of shops, all real and on the loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.connect.standins import ShopifyStandin, WooStandin
from tests.connect.world import World, opened


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A log without connections; `connect` one."""
    async with opened(tmp_path) as world:
        yield world


@pytest_asyncio.fixture
async def shopify(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ShopifyStandin]:
    """A Shopify shop that is connected as `negozio`."""
    shop = ShopifyStandin()
    monkeypatch.setenv("SHOP_SECRET", shop.secret)
    monkeypatch.setenv("SHOP_TOKEN", shop.token)
    async with shop.running():
        yield shop


@pytest_asyncio.fixture
async def woo(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WooStandin]:
    """A WooCommerce shop whose secret has an ampersand."""
    shop = WooStandin()
    monkeypatch.setenv("WOO_SECRET", "a&amp;b")
    monkeypatch.setenv("WOO_KEY", shop.key)
    monkeypatch.setenv("WOO_CONSUMER", shop.consumer)
    async with shop.running():
        yield shop
