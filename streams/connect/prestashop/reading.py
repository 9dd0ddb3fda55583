"""Rows of the web service, with what belongs to them in other resources → what the shop tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from schemas.events import Event
from schemas.notation import DEFAULT_ZONE
from schemas.products import Product
from schemas.wire import checked_product
from schemas.zones import read_zone
from streams.connect.connector import ShopNews
from streams.connect.facts import source_of
from streams.connect.json_fields import NOTHING, Row, amount, flag, inside, rows, text, whole
from streams.connect.polled_connector import UNKNOWN, Before
from streams.connect.prestashop.carts import CartProduct, facts_of_cart
from streams.connect.prestashop.orders import (
    Joined,
    Parcel,
    PrestaShopSource,
    facts_of_order,
    facts_of_slip,
    paid_at,
)
from streams.connect.prestashop.people import facts_of_customer, facts_of_thread, is_subscribed
from streams.connect.prestashop.products import PRICES, cart_product, fed_product
from streams.connect.prestashop.settings import PrestaShopConnection
from streams.connect.prestashop.states import CONFIGURED, Chosen, read_states
from streams.connect.prestashop.web_service import WebService, by_id, groups, one_of, values
from streams.connect.row_news import RowsOf, fed, told
from streams.connect.shop_memory import ShopNotes

KIND = "prestashop"
_SETTINGS = (*CONFIGURED, "PS_TIMEZONE", "PS_CURRENCY_DEFAULT", "PS_LANG_DEFAULT")
_PRODUCTS_AT_ONCE = 50
"""With all their texts, of which some have a hundred kilobytes."""


class PrestaShopReading:
    """What it takes to understand one shop's rows; made anew now and then (`read_shop`)."""

    def __init__(
        self,
        service: WebService,
        shop: PrestaShopSource,
        currency: str,
        language: int,
        configured: Sequence[str],
    ) -> None:
        self.shop = shop
        self.currency = currency
        """Of the shop's own prices."""
        self.configured = configured
        """Names of its configuration that could be read."""
        self._service = service
        self._language = {"language": str(language)} if language else {}
        self._categories: dict[int, str] = {}

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

        `now`: ms, by the shop's clock. `history`: all of it is told at once. `before`: what was
        known of them. Raises ShopUnavailable.
        """
        match resource:
            case "orders":
                return await self._orders(found, now, history=history)
            case "order_slip":
                return await self._slips(found, now)
            case "customers":
                return self._customers(found, now, before.subscribed, history=history)
            case "carts":
                return await self._carts(found, now)
            case "customer_threads":
                return await self._threads(found, now)
            case _:
                return await self._products(found)

    def notes(self, resource: str, found: Sequence[Row]) -> ShopNotes:
        """Return what a later look has to know of rows that were understood. Orders are none of it:
        they have their histories."""
        if resource != "customers":
            return ShopNotes()
        said = {whole(row, "id"): is_subscribed(row) for row in found}
        return ShopNotes({id_: each for id_, each in said.items() if id_ and each is not None})

    def _whose(self, id_: int, customer: Row) -> bytes | None:
        """Return the key of whom something of the customer with this id is about that can't be
        read; a guest is known by the address."""
        account = 0 if flag(customer, "is_guest") else id_
        return self.shop.key(account, text(customer, "email"))

    def _of_customer(self, resource: str, people: Mapping[int, Row]) -> RowsOf:
        """Return what rows are that name their customer."""

        def whose(row: Row) -> bytes | None:
            id_ = whole(row, "id_customer")
            return self._whose(id_, people.get(id_, NOTHING))

        return RowsOf(resource, whose)

    def _customers(
        self, found: Sequence[Row], now: int, before: Mapping[int, bool], *, history: bool
    ) -> ShopNews:
        def customer(row: Row) -> list[Event]:
            known = before.get(whole(row, "id"))
            return facts_of_customer(row, self.shop, now=now, was_subscribed=known, history=history)

        return told(
            found, customer, RowsOf("customers", lambda row: self._whose(whole(row, "id"), row))
        )

    async def _orders(self, found: Sequence[Row], now: int, *, history: bool) -> ShopNews:
        joined = await self._joined(found)
        people = {whole(row, "id_customer"): joined[whole(row, "id")].customer for row in found}
        news = told(
            found,
            lambda row: facts_of_order(
                row, joined[whole(row, "id")], self.shop, now=now, history=history
            ),
            self._of_customer("orders", people),
        )
        for row in found:
            news.became |= paid_at(row, joined[whole(row, "id")], self.shop, now=now)
        return news

    async def _joined(self, found: Sequence[Row]) -> dict[int, Joined]:
        """Return what belongs to each of these orders, by its id."""
        ids = [whole(row, "id") for row in found]
        discounted = [
            whole(row, "id") for row in found if amount(row, "total_discounts_tax_incl",
                                                        "total_discounts")
        ]  # fmt: skip
        customers, histories, parcels, coupons = await asyncio.gather(
            self._service.of("customers", "id", (whole(row, "id_customer") for row in found)),
            self._service.of("order_histories", "id_order", ids),
            self._parcels(ids),
            self._coupons(discounted),
        )
        people, passed = by_id(customers), groups(histories, "id_order")
        return {
            id_: Joined(
                customer=people.get(whole(row, "id_customer"), {}),
                histories=passed.get(id_, ()),
                parcel=parcels.get(id_, Parcel()),
                coupon=coupons.get(id_, ""),
            )
            for row, id_ in zip(found, ids, strict=True)
        }

    async def _parcels(self, orders: Iterable[int]) -> dict[int, Parcel]:
        sent = [
            row
            for row in await self._service.of("order_carriers", "id_order", orders)
            if text(row, "tracking_number")
        ]
        carriers = by_id(
            await self._service.of("carriers", "id", {whole(row, "id_carrier") for row in sent})
        )
        parcels = {}
        for row in sent:
            carrier, number = (
                carriers.get(whole(row, "id_carrier"), {}),
                text(row, "tracking_number"),
            )
            url = text(carrier, "url").replace("@", number)
            parcels[whole(row, "id_order")] = Parcel(number, text(carrier, "name"), url)
        return parcels

    async def _coupons(self, orders: Iterable[int]) -> dict[int, str]:
        """Return the first code of each order that has one."""
        used = await self._service.of("order_cart_rules", "id_order", orders)
        rules = by_id(
            await self._service.of(
                "cart_rules", "id", {whole(row, "id_cart_rule") for row in used},
                display="[id,code]",
            )
        )  # fmt: skip
        codes: dict[int, str] = {}
        for row in used:
            code = text(rules.get(whole(row, "id_cart_rule"), {}), "code")
            if code:
                codes.setdefault(whole(row, "id_order"), code)
        return codes

    async def _slips(self, found: Sequence[Row], now: int) -> ShopNews:
        orders, customers = await asyncio.gather(
            self._service.of("orders", "id", {whole(row, "id_order") for row in found}),
            self._service.of("customers", "id", {whole(row, "id_customer") for row in found}),
        )
        by_order, people = by_id(orders), by_id(customers)

        def of_its_order(slip: Row) -> list[Event]:
            id_ = whole(slip, "id_order")
            if id_ not in by_order:
                raise ValueError(f"id_order: there is no order {id_}")
            joined = Joined(people.get(whole(slip, "id_customer"), {}))
            return facts_of_slip(slip, by_order[id_], joined, self.shop, now=now)

        return told(found, of_its_order, self._of_customer("order_slip", people))

    async def _carts(self, found: Sequence[Row], now: int) -> ShopNews:
        known = [row for row in found if whole(row, "id_customer")]
        ids = [whole(row, "id") for row in known]
        ordered, customers = await asyncio.gather(
            self._service.of("orders", "id_cart", ids, display="[id,id_cart]"),
            self._service.of("customers", "id", {whole(row, "id_customer") for row in known}),
        )
        done = {whole(row, "id_cart") for row in ordered}
        open_ = [row for row in known if whole(row, "id") not in done]
        products, people = await self._cart_products(open_), by_id(customers)
        news = told(
            open_,
            lambda row: facts_of_cart(
                row, people.get(whole(row, "id_customer"), {}), products, self.shop, now=now
            ),
            self._of_customer("carts", people),
        )
        news.passed_over += len(found) - len(open_)
        return news

    async def _cart_products(self, carts: Sequence[Row]) -> dict[int, CartProduct]:
        wanted = sorted(
            {
                whole(line, "id_product")
                for cart in carts
                for line in rows(inside(cart, "associations"), "cart_rows")
            }
            - {0}
        )
        known = {}
        for start in range(0, len(wanted), _PRODUCTS_AT_ONCE):
            some = one_of(wanted[start : start + _PRODUCTS_AT_ONCE])
            query = {"filter[id]": some, **PRICES, **self._language}
            for row in await self._service.rows_if_allowed("products", query):
                known[whole(row, "id")] = cart_product(row, self.shop)
        return known

    async def _threads(self, found: Sequence[Row], now: int) -> ShopNews:
        customers = await self._service.of(
            "customers", "id", {whole(row, "id_customer") for row in found}
        )
        people = by_id(customers)
        return told(
            found,
            lambda row: facts_of_thread(
                row, people.get(whole(row, "id_customer"), {}), self.shop, now=now
            ),
            self._of_customer("customer_threads", people),
        )

    async def _products(self, found: Sequence[Row]) -> ShopNews:
        ids = [whole(row, "id") for row in found]
        stocks = groups(await self._service.of("stock_availables", "id_product", ids), "id_product")
        missing = {whole(row, "id_category_default") for row in found} - self._categories.keys()
        for row in await self._service.of("categories", "id", missing, display="[id,name]"):
            names = cart_product(row, self.shop).name
            self._categories[whole(row, "id")] = names
        return fed(
            found,
            lambda row: self._product(row, stocks.get(whole(row, "id"), ())),
            RowsOf("products"),
        )

    def _product(self, row: Row, stocks: Sequence[Row]) -> Product:
        data = fed_product(row, self.shop, self._categories, stocks, self.currency)
        return checked_product(data, self.shop.notation, self.shop.source)[0]

    def products_query(self) -> dict[str, str]:
        """Return what products are asked for with."""
        return {**PRICES, **self._language}


async def read_shop(service: WebService, connection: PrestaShopConnection) -> PrestaShopReading:
    """Ask a shop for what its rows refer to. Raises ShopUnavailable, ShopRefuses."""
    configuration = await service.rows_if_allowed(
        "configurations",
        {"filter[name]": one_of(_SETTINGS), "display": "[name,value]"},
    )
    states, currencies, languages = await asyncio.gather(
        service.rows("order_states", {}),
        service.rows("currencies", {}),
        service.rows("languages", {}),
    )
    said = values(configuration)
    codes = {whole(row, "id"): text(row, "iso_code").upper() for row in currencies}
    chosen: dict[Chosen, Sequence[int]] = {kind: ids for kind, ids in connection.states if ids}  # type: ignore[misc]  # its fields are these words
    shop = PrestaShopSource(
        source=source_of(KIND, connection.host),
        url=connection.url,
        prefix=connection.customer_prefix,
        zone=zone_of(connection, said),
        complete_on=connection.complete_on,
        newsletter=connection.newsletter,
        newsletter_confirmed=connection.newsletter_confirmed,
        single_opt_in_counts=connection.single_opt_in_counts,
        states=read_states(
            states, configuration, chosen
        ),
        currencies=codes,
        languages={
            whole(row, "id"): text(row, "locale") or text(row, "language_code") or
            text(row, "iso_code") for row in languages
        },
    )  # fmt: skip
    default = codes.get(whole(said, "PS_CURRENCY_DEFAULT"), "") or connection.currency
    return PrestaShopReading(service, shop, default, whole(said, "PS_LANG_DEFAULT"), sorted(said))


def zone_of(connection: PrestaShopConnection, configuration: Mapping[str, str]) -> ZoneInfo:
    """Return the zone of a shop's clock: as its connection says, else as the shop does, else
    Italy's."""
    told = read_zone(configuration.get("PS_TIMEZONE", "")) or DEFAULT_ZONE
    return ZoneInfo(connection.zone or told)
