"""Which kind of shop is made of what; each is imported when there is one of it."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from streams.clock import Clock
from streams.connect.connection import ShopConnection
from streams.connect.connector import ShopConnector

MODULES: Final = {
    "shopify": "streams.connect.shopify.connector",
    "woocommerce": "streams.connect.woocommerce.connector",
    "prestashop": "streams.connect.prestashop.connector",
    "magento": "streams.connect.magento.connector",
}
"""Kind → a module with `connector(connection, clock)`."""


def connector_of(connection: ShopConnection, clock: Clock) -> ShopConnector:
    """Return what talks to the shop of a connection. Raises SettingsError for a secret that can't
    be read."""
    module = import_module(MODULES[connection.kind])
    made: ShopConnector = module.connector(connection, clock)
    return made
