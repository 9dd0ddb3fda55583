"""Which kinds of shop there are: a row each. What talks to one is imported where there is one."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Final

from pydantic import Field

from streams.clock import Clock
from streams.connect.connection import ShopConnection
from streams.connect.connector import ShopConnector
from streams.connect.magento.settings import MagentoConnection
from streams.connect.plain_shop import PlainShopConnection
from streams.connect.prestashop.settings import PrestaShopConnection
from streams.connect.shopify.settings import ShopifyConnection
from streams.connect.woocommerce.settings import WooCommerceConnection

AnyConnection = Annotated[
    ShopifyConnection
    | WooCommerceConnection
    | PrestaShopConnection
    | MagentoConnection
    | PlainShopConnection,
    Field(discriminator="kind"),
]  # fmt: skip
"""What `connections.yaml` may say of each."""

MODULES: Final = {
    "shopify": "streams.connect.shopify.connector",
    "woocommerce": "streams.connect.woocommerce.connector",
    "prestashop": "streams.connect.prestashop.connector",
    "magento": "streams.connect.magento.connector",
    "plain": "streams.connect.plain_shop",
}
"""Kind → a module with `connector(connection, clock)`."""


def connector_of(connection: ShopConnection, clock: Clock) -> ShopConnector:
    """Return what talks to the shop of a connection. Raises SettingsError for a secret that can't
    be read."""
    module = import_module(MODULES[connection.kind])
    made: ShopConnector = module.connector(connection, clock)
    return made
