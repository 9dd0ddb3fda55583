"""`ritorno connect prestashop …` and `… magento …`, against shops that stand in for real ones."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.clock import VirtualClock
from streams.tools.cli import run_arguments
from tests.connect.magento_shop import TOKEN, MagentoShop
from tests.connect.prestashop_shop import KEY, PrestaShop
from tests.connect.test_prestashop_polling import MARCH

Shop = PrestaShop | MagentoShop


class InAThread:
    """A shop that answers while a command runs."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> str:
        """Return its address."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self.shop.start(), self._loop).result(10)

    def stop(self) -> None:
        """Close it."""
        asyncio.run_coroutine_threadsafe(self.shop.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[Shop, str], None]]:
    """Serve a shop, and write it into the file of connections."""
    running = []
    for name, value in {"PRESTA_KEY": KEY, "MAGENTO_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RITORNO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RITORNO_CONNECTIONS", str(tmp_path / "connections.yaml"))

    def serve(shop: Shop, fields: str) -> None:
        made = InAThread(shop)
        url = made.start()
        running.append(made)
        lines = f"connections:\n  - {{name: negozio, url: '{url}', {fields}}}\n"
        (tmp_path / "connections.yaml").write_text(lines, encoding="utf-8")

    yield serve
    for each in running:
        each.stop()


def test_prestashop_is_checked_and_back_filled(
    served: Callable[[Shop, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    shop = PrestaShop(VirtualClock(MARCH))
    shop.add_customer(12, "anna@example.it")
    shop.add_order(71, 12)
    shop.add_order(72, 0)
    shop.forbidden = {"carriers"}
    served(shop, "kind: prestashop, key: 'env:PRESTA_KEY'")
    assert run_arguments(["connect", "prestashop", "check"]) == 0
    said = capsys.readouterr().out
    assert "not allowed: carriers" in said and "paid: 2, 3, 4, 5" in said
    assert KEY not in said
    assert run_arguments(["connect", "negozio", "backfill", "--json"]) == 0
    done = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["resource"]: each["rows"] for each in done} == {
        "customers": 1, "orders": 2, "order_slip": 0, "carts": 0, "products": 0,
    }  # fmt: skip
    assert run_arguments(["connect", "prestashop", "status"]) == 0
    assert "orders" in capsys.readouterr().out


def test_magento_is_checked_also_where_nobody_but_adobe_can_sign(
    served: Callable[[Shop, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    shop = MagentoShop(VirtualClock(MARCH))
    shop.add_order(301)
    served(shop, "kind: magento, token: 'env:MAGENTO_TOKEN', client_id: abc")
    assert run_arguments(["connect", "magento", "check"]) == 1
    said = capsys.readouterr().out
    assert "doesn't say where the shop reaches us" in said and TOKEN not in said
    assert run_arguments(["connect", "magento", "backfill"]) == 0
    assert "1 read, 1 event" in capsys.readouterr().out


def test_a_secret_in_the_file_is_refused_and_not_shown(
    served: Callable[[Shop, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    served(PrestaShop(VirtualClock(MARCH)), f"kind: prestashop, key: {KEY}")
    assert run_arguments(["connect", "prestashop", "check"]) == 2
    captured = capsys.readouterr()
    assert "key: expected env:NAME or file:PATH" in captured.err
    assert KEY not in captured.err + captured.out
