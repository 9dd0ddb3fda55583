"""Rows of Magento's REST, with what belongs to them → what the shop tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.events import Event
from schemas.products import Product
from schemas.wire import checked_product
from streams.connect.connector import ShopNews
from streams.connect.facts import source_of
from streams.connect.json_fields import Row, text, whole
from streams.connect.magento.carts import facts_of_cart
from streams.connect.magento.orders import (
    MagentoSource,
    facts_of_credit_memo,
    facts_of_order,
    facts_of_shipment,
)
from streams.connect.magento.people import facts_of_customer, facts_of_subscriber, is_subscribed
from streams.connect.magento.products import Prices, category_ids, fed_product
from streams.connect.magento.rest import Rest
from streams.connect.magento.settings import MagentoConnection
from streams.connect.row_news import fed, told

KIND = "magento"
MOST_CATEGORIES = 10_000
"""That are remembered by name."""


class MagentoReading:
    """What it takes to understand one shop's rows; made anew now and then (`read_shop`)."""

    def __init__(self, rest: Rest, shop: MagentoSource) -> None:
        self.shop = shop
        self._rest = rest
        self._categories: dict[int, str] = {}
        self._prices = Prices()

    async def news(
        self,
        resource: str,
        found: Sequence[Row],
        *,
        now: int,
        history: bool = False,
        subscribed: Mapping[int, bool] | None = None,
    ) -> ShopNews:
        """Return what the rows of a resource tell.

        `now`: ms. `history`: all of it is told at once. `subscribed`: what was known of customers
        before. Raises ShopUnavailable.
        """
        match resource:
            case "shipments" | "creditmemos":
                return await self._of_orders(resource, found)
            case "products":
                return await self._products(found, now)
            case "orders":
                return told(
                    found,
                    lambda row: facts_of_order(row, self.shop, history=history),
                    "customer_id",
                )
            case "customers":
                return self._customers(found, subscribed or {}, history=history)
            case _:
                tell = facts_of_subscriber if resource == "subscribers" else facts_of_cart
                return told(found, lambda row: tell(row, self.shop))

    def subscriptions(self, found: Sequence[Row]) -> dict[int, bool]:
        """Return what customers' rows say of their subscriptions."""
        said = {_customer_id(row): is_subscribed(row) for row in found}
        return {id_: each for id_, each in said.items() if id_ and each is not None}

    def _customers(
        self, found: Sequence[Row], before: Mapping[int, bool], *, history: bool
    ) -> ShopNews:
        def customer(row: Row) -> list[Event]:
            known = before.get(_customer_id(row))
            return facts_of_customer(row, self.shop, was_subscribed=known, history=history)

        return told(found, customer)

    async def _of_orders(self, resource: str, found: Sequence[Row]) -> ShopNews:
        tell = facts_of_shipment if resource == "shipments" else facts_of_credit_memo
        wanted = (whole(row, "order_id") for row in found)
        orders = {
            whole(order, "entity_id"): order
            for order in await self._rest.of("orders", "entity_id", wanted)
        }

        def of_its_order(row: Row) -> list[Event]:
            order = orders.get(whole(row, "order_id"))
            if order is None:
                raise ValueError(f"order_id: there is no order {row.get('order_id')!r}"[:100])
            return tell(row, order, self.shop)

        return told(found, of_its_order)

    async def _products(self, found: Sequence[Row], now: int) -> ShopNews:
        wanted = {id_ for row in found for id_ in category_ids(row)} - self._categories.keys()
        for row in await self._rest.of("categories", "entity_id", wanted):
            if len(self._categories) < MOST_CATEGORIES:
                self._categories[whole(row, "id")] = text(row, "name")

        def product(row: Row) -> Product | None:
            data = fed_product(row, self.shop, self._categories, self._prices, now=now)
            if data is None:
                return None
            return checked_product(data, self.shop.notation, self.shop.source)[0]

        return fed(found, product)


async def read_shop(rest: Rest, connection: MagentoConnection) -> MagentoReading:
    """Ask a shop for what its rows refer to. Raises ShopUnavailable."""
    configs = await rest.store_configs() if connection.token is not None else []
    first = configs[0] if configs else {}
    media = text(first, "secure_base_media_url") or text(first, "base_media_url")
    shop = MagentoSource(
        source=source_of(KIND, connection.host),
        url=connection.url,
        prefix=connection.customer_prefix,
        complete_on=connection.complete_on,
        offline=frozenset(connection.offline_payments),
        newsletter=connection.newsletter,
        newsletter_confirmed=connection.newsletter_confirmed,
        single_opt_in_counts=connection.single_opt_in_counts,
        locales={
            whole(each, "id"): text(each, "locale").replace("_", "-")
            for each in configs
            if text(each, "locale")
        },
        media=media.rstrip("/"),
        url_suffix=connection.url_suffix,
        currency=text(first, "base_currency_code") or connection.currency,
    )
    return MagentoReading(rest, shop)


def _customer_id(row: Row) -> int:
    return whole(row, "id") or whole(row, "entity_id")
