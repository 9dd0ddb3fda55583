"""Rows of Magento's REST, with what belongs to them → what the shop tells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from schemas.events import Event
from schemas.products import Product
from schemas.wire import checked_product
from streams.connect.connector import ShopNews
from streams.connect.facts import source_of
from streams.connect.json_fields import Row, inside, text, whole
from streams.connect.magento.carts import facts_of_cart
from streams.connect.magento.orders import (
    MagentoSource,
    facts_of_credit_memo,
    facts_of_order,
    facts_of_shipment,
    paid_at,
    waits,
    was_unpaid,
)
from streams.connect.magento.people import facts_of_customer, facts_of_subscriber, is_subscribed
from streams.connect.magento.products import Prices, category_ids, fed_product
from streams.connect.magento.rest import Rest
from streams.connect.magento.settings import MagentoConnection
from streams.connect.polled_connector import UNKNOWN, Before
from streams.connect.row_news import RowsOf, fed, told
from streams.connect.shop_memory import ShopNotes

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
        before: Before = UNKNOWN,
    ) -> ShopNews:
        """Return what the rows of a resource tell.

        `now`: ms. `history`: all of it is told at once. `before`: what was known of them. Raises
        ShopUnavailable.
        """
        match resource:
            case "shipments" | "creditmemos":
                return await self._of_orders(resource, found)
            case "products":
                return await self._products(found, now)
            case "orders":
                return self._orders(found, before.waiting, history=history)
            case "customers":
                return self._customers(found, before.subscribed, history=history)
            case "subscribers":
                whose = RowsOf(resource, self._whose("customer_id", "subscriber_email"))
                return told(found, lambda row: facts_of_subscriber(row, self.shop), whose)
            case _:
                whose = RowsOf(resource, self._owner_of_cart)
                return told(found, lambda row: facts_of_cart(row, self.shop), whose)

    def notes(self, resource: str, found: Sequence[Row]) -> ShopNotes:
        """Return what a later look has to know of rows that were understood."""
        notes = ShopNotes()
        if resource == "customers":
            said = {_id(row): is_subscribed(row) for row in found}
            notes.subscribed = {id_: each for id_, each in said.items() if id_ and each is not None}
        elif resource == "orders":
            notes.waiting = {id_: waits(row, self.shop) for row in found if (id_ := _id(row))}
        return notes

    def _orders(self, found: Sequence[Row], waiting: Collection[int], *, history: bool) -> ShopNews:
        whose = RowsOf("orders", self._whose("customer_id", "customer_email"), "entity_id")
        news = told(found, lambda row: facts_of_order(row, self.shop, history=history), whose)
        for row in found:
            if _id(row) in waiting or was_unpaid(row, self.shop):
                news.became |= paid_at(row, self.shop)
        return news

    def _customers(
        self, found: Sequence[Row], before: Mapping[int, bool], *, history: bool
    ) -> ShopNews:
        def customer(row: Row) -> list[Event]:
            known = before.get(_id(row))
            return facts_of_customer(row, self.shop, was_subscribed=known, history=history)

        return told(
            found,
            customer,
            RowsOf("customers", lambda row: self.shop.key(_id(row), text(row, "email"))),
        )

    def _whose(self, customer: str, address: str) -> Callable[[Row], bytes | None]:
        return lambda row: self.shop.key(whole(row, customer), text(row, address))

    def _owner_of_cart(self, quote: Row) -> bytes | None:
        customer = inside(quote, "customer")
        address = text(customer, "email") or text(inside(quote, "billing_address"), "email")
        return self.shop.key(whole(customer, "id"), address)

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

        def whose(row: Row) -> bytes | None:
            order = orders.get(whole(row, "order_id"), row)
            return self.shop.key(whole(order, "customer_id"), text(order, "customer_email"))

        return told(found, of_its_order, RowsOf(resource, whose, "entity_id"))

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

        return fed(found, product, RowsOf("products"))


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


def _id(row: Row) -> int:
    return whole(row, "id") or whole(row, "entity_id")
