"""What was looked at, put into the cart and bought, and what it brought."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from schemas.bounds import ADDRESS_BYTES, InBytes, InNumber, Key, Name, Word
from schemas.stored import NEVER

INTERESTS_KEPT = 50
"""Products looked at that are remembered: more than a month's window-shopping of most people."""
VIEWS_KEPT = 10
"""Views of each of them."""
ORDERS_KEPT = 20
"""Orders kept in detail, for review requests and status mails; older ones stay as hashed ids."""
ORDER_LINES_KEPT = 300
"""Lines in all of them together, so that no wholesaler's record outgrows what a log takes."""
ORDERS_TOTAL_BYTES = 40_000
"""Bytes of all of them: 300 lines of 120 bytes, and what stands over them. The oldest orders
give way, and of one that is larger than all of it its last lines."""
STATEMENTS_KEPT = 16
"""Statements about an order that are the latest on some field: there are no more fields."""
REFUNDS_KEPT = 16
"""Refunds of an order that are told apart; of more, the two earliest are one sum."""
EARLY_TOTAL_BYTES = 3_400
"""Bytes of what was told of orders before they themselves were: some thirty parcels or refunds.
What was heard of longest ago gives way."""
CART_LINES_KEPT = 120
"""Whoever puts more into a cart is no person."""
CART_TOTAL_BYTES = 24_000
"""Bytes of all lines in the cart: a hundred of 240 bytes, each with its links. Those put in first
give way."""
CART_CHANGES_KEPT = 60
CART_CHANGES_TOTAL_BYTES = 3_000
"""Bytes of all changes of the cart among which a late one finds its place: some sixty."""
NAME_BYTES = 200
"""Of a name or a category; of a longer one its beginning is kept."""
BRAND_BYTES = 60
SKU_BYTES = 100
VARIANT_BYTES = 100
"""Of what tells a product's variants apart; of longer ones the beginning is kept."""
URL_BYTES = 500
"""Of an address; a longer one is left out, as a cut one is none."""
TRACKING_BYTES = 1_000
"""Of the address at which a carrier shows where a parcel is."""
CART_URL_BYTES = 2_048
"""Of the cart's address, which may hold the cart itself."""
NUMBER_BYTES = 64
"""Of an order's number; a longer one is left out, and the order is called by its id."""
CODE_BYTES = 64
"""Of a coupon's code."""
CURRENCIES_KEPT = 6
"""Currencies that are summed up; nobody shops in more, and each code of three letters is one."""
PRODUCTS_BOUGHT_KEPT = 100
"""Products bought that are remembered one by one, the latest; with the orders' lines it is more."""
PRODUCTS_BOUGHT_TOTAL_BYTES = 8_000
KINDS_BOUGHT_TOTAL_BYTES = 4_000
"""Bytes of all of them, for names of sixty bytes; those bought longest ago give way."""
KINDS_BOUGHT_KEPT = 40
"""Categories, and as many brands."""
PAYMENT_METHODS_KEPT = 10
MONTHS_KEPT = 24
"""Months with orders that are remembered: each season twice."""
COUPONS_KEPT = 50
COUPONS_TOTAL_BYTES = 8_000
"""Bytes of all of them; those issued first give way."""
POINTS_KEPT = 130
"""Months of points: ten years, as no programme counts them."""

_NameText = Annotated[str, InBytes(NAME_BYTES)]
_Url = Annotated[str, InBytes(URL_BYTES)]
Currency = Annotated[str, InBytes(3)]
Amounts = Annotated[dict[Currency, Decimal], InNumber(CURRENCIES_KEPT)]


LISTS_OF_CODES = 64
"""Lists that a pool's actor has given codes from and that do not go on from one another: a shop
that puts its codes in another order each month gets through five years. Then none is given any
more, rather than one twice."""


class Interest(msgspec.Struct, array_like=True, gc=False):
    """How much a customer has looked at one product."""

    times: Annotated[list[int], InNumber(VIEWS_KEPT)] = []
    """The last views, up to VIEWS_KEPT."""
    category: _NameText = ""
    wished: int = 0
    """When it was put on the wish list, 0 if it was not."""


class LineItem(msgspec.Struct, array_like=True, gc=False):
    """One product, in one variant, in a cart or an order."""

    product_id: Key
    quantity: int | Decimal
    """Whole pieces as an int. Of a returned line in an order negative."""
    price: Decimal | None = None
    name: _NameText = ""
    category: _NameText = ""
    url: _Url = ""
    image_url: _Url = ""
    brand: Annotated[str, InBytes(BRAND_BYTES)] = ""
    sku: Annotated[str, InBytes(SKU_BYTES)] = ""
    """The variant's stock keeping unit; empty where that is the product's id, or not known."""
    variant: Annotated[str, InBytes(VARIANT_BYTES)] = ""
    """What the variant is called: `S`, or `S / red`."""
    currency: Currency = ""
    """Of its price, where that is not the currency of the cart or the order."""
    updated: int = 0
    """In a cart: when it was put in (ms); 0 in records of before there were times, negative when
    that is among the cart's changes."""


class CartMove(msgspec.Struct, array_like=True, gc=False):
    """Something was put into the cart or taken out of it, among which a late one finds its place
    (`agents/commerce/cart_history.py`)."""

    time: int
    product_id: Key
    sku: Annotated[str, InBytes(SKU_BYTES)]
    variant: Annotated[str, InBytes(VARIANT_BYTES)]
    quantity: int | Decimal | None
    """How much was put in; negative: taken out; None: all of the line was."""
    line: LineItem | None = None
    """What was put in, where a removal that names no variant has taken it: another variant, put in
    later and not told of yet, may be the one that was meant."""


class Cart(msgspec.Struct, array_like=True, gc=False):
    """What lies in the cart. An empty one keeps `number` and `changed`, to date what comes late."""

    number: int = 0
    """Counts the customer's carts; a cart ends when it is ordered or emptied."""
    id: Key = ""
    """The shop's id of it, where the shop has one."""
    lines: Annotated[list[LineItem], InBytes(CART_TOTAL_BYTES)] = []
    currency: Currency = "EUR"
    changed: int = 0
    url: Annotated[str, InBytes(CART_URL_BYTES)] = ""
    cleared: int = 0
    """When the last cart was ordered: changes from before then, arriving late, are history."""
    step: _NameText = ""
    """How far its checkout has come: `started`, or the step that the shop named last."""
    changes: Annotated[list[CartMove], InBytes(CART_CHANGES_TOTAL_BYTES)] = []
    """Of lines that were changed more than once, and of what was taken out, in order of time."""
    checked: int = 0
    """When a checkout has last said what lies in it: changes from before then are history."""
    described: int = 0
    """When its id was said last; when its step, and its currency."""
    stepped: int = 0
    priced: int = 0
    hinted: int = 0
    """When a page has said that it is ordered, in the log's time, and the shop has not yet."""

    def totals(self) -> dict[Currency, Decimal]:
        """Return the value of the lines whose price is known, by currency."""
        sums: dict[Currency, Decimal] = {}
        for line in self.lines:
            if line.price is not None:
                currency = line.currency or self.currency
                sums[currency] = sums.get(currency, Decimal(0)) + line.price * line.quantity
        return sums

    def total(self) -> Decimal:
        """Return the value of those in the cart's own currency."""
        return self.totals().get(self.currency, Decimal(0))


class PoolPosition(msgspec.Struct, array_like=True, gc=False):
    """How far a list of a pool's codes is used up (`agents/definitions/coupon_pools.py`)."""

    version: Word
    """Of the campaigns' definition that holds it."""
    place: int = 0
    """What stands before it is gone."""


OrderStatus = Literal["completed", "shipped", "delivered", "cancelled", "refunded"]


class Refund(msgspec.Struct, array_like=True, gc=False):
    """Money that goes back for an order, or a part of it that will not be, as it was said.

    Without an amount it is for its lines, and without lines for the whole order.
    """

    digest: Annotated[bytes, InBytes(8)]
    """Hash of what it is known by: the shop's id of it, else its event."""
    time: int
    amount: Decimal | None = None
    currency: Currency = ""
    """Where it was said."""
    lines: Annotated[list[LineItem], InNumber(ORDER_LINES_KEPT)] = []
    """What comes back; a quantity of 0 is all that there is of it."""
    cancels: bool = False
    """It was called off, and not given back."""


class Order(msgspec.Struct, array_like=True, gc=False):
    """One of the last orders: each of its fields as the latest statement says that has it."""

    id: Key
    time: int
    total: Decimal
    currency: Currency
    status: OrderStatus = "completed"
    lines: Annotated[list[LineItem], InNumber(ORDER_LINES_KEPT)] = []
    subtotal: Decimal | None = None
    shipping: Decimal | None = None
    discount: Decimal | None = None
    tax: Decimal | None = None
    estimated_delivery: _NameText = ""
    tracking_number: _NameText = ""
    tracking_url: Annotated[str, InBytes(TRACKING_BYTES)] = ""
    delivered: int = 0
    payment_method: _NameText = ""
    coupon: _NameText = ""
    runs_out: int = 0
    """When the first of its products runs out (ms), 0 when none does."""
    accessories: int = 0
    """How many accessories and dearer versions of its products could be bought at the time."""
    carrier: _NameText = ""
    url: _Url = ""
    """Where the customer sees it in the shop."""
    shop: Name = ""
    """Whose order number it is; empty where there is but one shop
    (`agents/customer/deduplication.py`)."""
    email: Annotated[str, InBytes(ADDRESS_BYTES)] = ""
    """The order's own address, to which its confirmation and status go
    (`agents/sending/recipient.py`); empty where the shop names none with the order."""
    stated: Annotated[dict[int, int], InNumber(STATEMENTS_KEPT)] = {}
    """Statement → the fields that it is the latest on (`agents/commerce/order_statements.py`);
    empty in records of before."""
    purchase: Annotated[bytes, InBytes(8)] = b""
    """Hash of what the purchase said: the same again says nothing."""
    beside_lines: Decimal | None = None
    """What the total that was stated last has besides its lines, where these have prices."""
    sent_off: int = 0
    """When it left first."""
    revived: int = 0
    """When the shop said last that it will be after all: what called it off before then is void."""
    refunds: Annotated[list[Refund], InNumber(REFUNDS_KEPT)] = []
    """In the order of time."""
    shipped: Annotated[list[LineItem], InNumber(ORDER_LINES_KEPT)] = []
    """What its parcels have named; empty where they named nothing, and so hold it all."""
    returned: Annotated[dict[int, int | Decimal], InNumber(ORDER_LINES_KEPT)] = {}
    """Place of a line → how much of it went back, as the refunds say."""
    unshipped: Annotated[list[int], InNumber(ORDER_LINES_KEPT)] = []
    """Places of the lines that no parcel holds, where parcels name what they hold."""
    points: int = -1
    """Loyalty points that it has brought; -1 in records of before."""
    pieces: int | Decimal | None = None
    """All that it held when it was counted, also in lines that are not kept."""
    booked: Annotated[dict[int, int], InNumber(REFUNDS_KEPT + 1)] | None = None
    """Loyalty points that it has added, by month, less those that its refunds took; None in records
    of before."""
    number: Annotated[str, InBytes(NUMBER_BYTES)] = ""
    """As the customer knows it, `#1001`; empty where that is `id`."""

    def kept(self) -> list[LineItem]:
        """Return what the customer has bought and not given back."""
        if self.status in ("cancelled", "refunded"):
            return []
        return self._without_returned(self.returned) if self.returned else self.lines

    def received(self) -> list[LineItem]:
        """Return as much of it as has been sent."""
        if not self.unshipped:
            return self.kept()
        if self.status in ("cancelled", "refunded"):
            return []
        all_of = {place: self.lines[place].quantity for place in self.unshipped}
        return self._without_returned({**self.returned, **all_of})

    def _without_returned(self, returned: Mapping[int, int | Decimal]) -> list[LineItem]:
        return [
            msgspec.structs.replace(line, quantity=line.quantity - returned[place])
            if place in returned
            else line
            for place, line in enumerate(self.lines)
            if place not in returned or line.quantity > returned[place]
        ]


class EarlyOrder(msgspec.Struct, array_like=True, gc=False):
    """What was told of an order before the order was."""

    heard: int
    """When, last, by the log's time."""
    order: Order
    """As far as it is known; without an id it is any that holds what is in `reviewed`."""
    reviewed: Annotated[dict[Key, int], InNumber(ORDER_LINES_KEPT)] = {}
    """When which of its products was reviewed."""


class OrderStatistics(msgspec.Struct, array_like=True, gc=False):
    """All orders ever, in numbers."""

    count: int = 0
    spent: Amounts = {}
    """By currency, before refunds."""
    refunded: Amounts = {}
    refunds: int = 0
    items: int | Decimal = 0
    first: int = 0
    last: int = 0


class Bought(msgspec.Struct, array_like=True, gc=False):
    """How often something was bought, in how many orders, and when last."""

    orders: int = 0
    last: int = 0


class MonthOfOrders(msgspec.Struct, array_like=True, gc=False):
    """The orders of one month."""

    orders: int = 0
    spent: Amounts = {}
    """By currency, before refunds."""


class Purchases(msgspec.Struct, array_like=True, gc=False):
    """What was bought and how, of all orders ever, as far as there is room."""

    products: Annotated[dict[Key, Bought], InBytes(PRODUCTS_BOUGHT_TOTAL_BYTES)] = {}
    categories: Annotated[dict[_NameText, Bought], InBytes(KINDS_BOUGHT_TOTAL_BYTES)] = {}
    brands: Annotated[dict[_NameText, Bought], InBytes(KINDS_BOUGHT_TOTAL_BYTES)] = {}
    payment_methods: Annotated[dict[_NameText, Bought], InNumber(PAYMENT_METHODS_KEPT)] = {}
    months: Annotated[dict[Annotated[str, InBytes(7)], MonthOfOrders], InNumber(MONTHS_KEPT)] = {}
    """By month in the customer's zone, `2026-03`."""
    largest: Amounts = {}
    """The largest order, by currency."""
    with_coupon: int = 0
    """Orders with a code or a discount."""
    counts: Annotated[dict[Currency, int], InNumber(CURRENCIES_KEPT)] = {}
    """Orders by currency."""


class Coupon(msgspec.Struct, array_like=True, gc=False):
    """A code that was issued to the customer."""

    code: Annotated[str, InBytes(CODE_BYTES)]
    campaign: Name
    issued: int
    expires: int = NEVER
    redeemed: int = 0
    order_id: Key = ""
    """The order that it was redeemed with."""
    tier: Name = ""
    """The loyalty tier that it was given for."""
    revoked: int = 0
    """When the shop was told that the tier is gone with an order, and the code is not used."""
    released: int = 0
    """How often an order gave it back that it had been redeemed with."""


class EarnedPoints(msgspec.Struct, array_like=True, gc=False):
    """Loyalty points of one order or step; what a refund takes is negative."""

    time: int
    points: int
    order_id: Annotated[str, InBytes(0)] = ""
    """Not used any more: points of a month are one sum."""
