"""What people do in a shop, and what becomes of their orders."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from schemas.customer_parts import CustomerPart
from schemas.event_type import EventType
from schemas.events.fields import (
    Code,
    Currency,
    Email,
    Id,
    Location,
    Payload,
    Text,
    Url,
    is_address,
)
from schemas.field_kinds import Strict
from schemas.money import Amount, Deduction, Price, amount_text
from schemas.quantity import LineQuantity, Quantity

_ORDER_URL = AliasChoices("order_url", "order_status_url")
"""The second is Shopify's name for it."""

_NO_SUM = "total: nothing says what was paid, no total, no revenue, no line with a price"

_CONTACT = AliasChoices(
    "contact_email",
    "customer_email",
    AliasPath("customer", "email"),
    AliasPath("billing", "email"),
    AliasPath("billing_address", "email"),
)
"""Where Shopify, Magento and WooCommerce have an order's address besides `email`."""


class ProductProperties(Payload):
    """A product as Segment describes it inside other events."""

    product_id: Id = Field(validation_alias=AliasChoices("product_id", "sku"))
    sku: Code | None = None
    name: Text | None = None
    category: Text | None = None
    brand: Text | None = None
    variant: Text | None = Field(
        default=None, validation_alias=AliasChoices("variant", "variant_title", "variant_id")
    )
    price: Price | None = None
    quantity: Quantity = 1
    coupon: Code | None = None
    url: Url | None = None
    image_url: Url | None = None
    currency: Currency | None = None
    size: Text | None = None
    color: Text | None = Field(default=None, validation_alias=AliasChoices("color", "colour"))


class OrderedProduct(ProductProperties):
    """A line of an order: also one that takes away, a voucher's or a returned product's."""

    price: Amount | None = None
    quantity: LineQuantity = 1


class ProductViewed(ProductProperties):
    """A product page was looked at."""


class ProductListViewed(Payload):
    """A category or a list was looked at."""

    list_id: Text | None = None
    category: Text | None = None


class ProductsSearched(Payload):
    """The shop's search was used."""

    query: Text | None = None


class PageViewed(Payload):
    """Any other page."""

    url: Location | None = None
    path: Text | None = None
    title: Text | None = None
    name: Text | None = None
    category: Text | None = None
    referrer: Location | None = None
    screen: bool = False
    """Of an app, in place of a page."""


class CartChange(ProductProperties):
    """A product went into the cart; `quantity` says how many."""

    cart_id: Id | None = None
    cart_url: Url | None = None


class CartRemoval(CartChange):
    """A product went out of the cart; `quantity` says how many."""


class CheckoutProgress(Payload):
    """A checkout began or went a step further. `products`, when given, is the whole cart."""

    checkout_id: Id | None = Field(
        default=None, validation_alias=AliasChoices("checkout_id", "order_id")
    )
    cart_id: Id | None = None
    cart_url: Url | None = None
    step: Text | None = None
    email: Email | None = None
    currency: Currency | None = None
    products: list[ProductProperties] | None = Field(default=None, max_length=500)


class OrderContact(Payload):
    """To whom an order speaks."""

    email: Email | None = None
    contact_email: Email | None = Field(default=None, validation_alias=_CONTACT)

    def address(self) -> str:
        """Return the order's own address, empty when none that is one is given."""
        given = (self.email, self.contact_email)
        return next((each for each in given if each and is_address(each)), "")


class OrderCompleted(OrderContact):
    """A purchase. Recognised by `order_id` for ever, however often it is sent; sent
    again with another content it is an update."""

    order_id: Id
    order_number: Code | None = None
    """As the customer knows it, `#1001`, where `order_id` is the platform's own."""
    checkout_id: Id | None = None
    cart_id: Id | None = None
    subtotal: Amount | None = None
    total: Price | None = None
    revenue: Amount | None = None
    shipping: Price | None = None
    tax: Price | None = None
    discount: Deduction | None = None
    coupon: Code | None = None
    currency: Currency = "EUR"
    payment_method: Text | None = None
    status: Text | None = None
    """In the shop's own word (`agents/commerce/order_words.py`)."""
    estimated_delivery: Text | None = None
    carrier: Text | None = None
    tracking_number: Code | None = None
    tracking_url: Url | None = None
    order_url: Url | None = Field(default=None, validation_alias=_ORDER_URL)
    """Where the customer sees the order in the shop."""
    products: list[OrderedProduct] = Field(default=[], max_length=2000)

    unlisted: Amount | None = None
    """What lines add to the sum that name no product, and so are none of `products`."""

    @model_validator(mode="after")
    def _has_a_sum(self) -> OrderCompleted:
        nothing_stated = self.total is None and self.revenue is None and self.subtotal is None
        if nothing_stated and self._lines() is None:
            raise PydanticCustomError("no_sum", _NO_SUM)
        return self

    @classmethod
    def without_member(cls, order: dict[str, Any], field: str, member: Any) -> None:
        """Keep of a line that is left out (it names no product) what it adds to the sum."""
        if field != "products" or not isinstance(member, dict):
            return
        try:
            line = OrderedProduct.model_validate({**member, "product_id": "none"})
            before = Decimal(str(order.get("unlisted") or 0))
        except (ValidationError, InvalidOperation):
            return
        if line.price is not None:
            order["unlisted"] = amount_text(before + line.price * line.quantity)

    def amount(self) -> Decimal:
        """Return what the customer paid: total, else revenue, else the sum of the lines with what
        is known of shipping and discount."""
        if self.total is not None:
            return self.total
        if self.revenue is not None:
            return self.revenue
        lines = self._lines()
        goods = (self.subtotal or Decimal(0)) if lines is None else lines - self._taken_off()
        return goods + (self.shipping or 0)

    def hangs_on(self, path: tuple[int | str, ...]) -> bool:
        """Return whether what was paid can't be known without a field that is left out."""
        if path[0] == "total":
            return True
        in_sum = path[0] in ("revenue", "subtotal", "shipping", "discount", "products")
        return in_sum and self.total is None and (path[0] == "revenue" or self.revenue is None)

    def _lines(self) -> Decimal | None:
        """Return the sum of the lines, None when no price of theirs is known."""
        priced = [p.price * p.quantity for p in self.products if p.price is not None]
        if self.unlisted is not None:
            priced.append(self.unlisted)
        return sum(priced, Decimal(0)) if priced else None

    def _taken_off(self) -> Decimal:
        """Return the discount, unless it stands among the lines."""
        in_lines = any(p.price is not None and p.price < 0 for p in self.products)
        return Decimal(0) if in_lines or self.discount is None else self.discount


class OrderHinted(Payload):
    """A page says that somebody has ordered, which anybody can say: until the shop says so, the
    reminders of that cart wait."""

    order_id: Id | None = None
    checkout_id: Id | None = None
    cart_id: Id | None = None


class OrderProgress(OrderContact):
    """An order was updated, shipped or delivered. An update may have any field of the order; what
    it leaves out stays. `products` are all lines of an updated order, and what one parcel holds."""

    order_id: Id
    order_number: Code | None = None
    status: Text | None = Field(
        default=None, validation_alias=AliasChoices("status", "order_status", "financial_status")
    )
    """In the shop's own word: `cancelled`, `on-hold` (`agents/commerce/order_words.py`)."""
    subtotal: Amount | None = None
    total: Price | None = None
    revenue: Amount | None = None
    shipping: Price | None = None
    tax: Price | None = None
    discount: Deduction | None = None
    coupon: Code | None = None
    currency: Currency | None = None
    payment_method: Text | None = None
    carrier: Text | None = None
    tracking_number: Code | None = None
    tracking_url: Url | None = None
    order_url: Url | None = Field(default=None, validation_alias=_ORDER_URL)
    estimated_delivery: Text | None = None
    products: list[OrderedProduct] = Field(default=[], max_length=2000)


class OrderUpdated(OrderProgress):
    """What an order is now."""

    def hangs_on(self, path: tuple[int | str, ...]) -> bool:
        """Return whether the sum, if it is another one, can't be known without a field that is left
        out."""
        if path[0] == "total":
            return True
        if self.total is not None:
            return False
        return path[0] == "revenue" or (path[0] == "products" and self.revenue is None)


class RefundedProduct(OrderedProduct):
    """A line that comes back; without a quantity all of it. Shopify wraps the line of the order,
    WooCommerce writes a minus."""

    product_id: Id = Field(
        validation_alias=AliasChoices(
            "product_id", AliasPath("line_item", "product_id"), "sku", AliasPath("line_item", "sku")
        )
    )
    sku: Text | None = Field(
        default=None, validation_alias=AliasChoices("sku", AliasPath("line_item", "sku"))
    )
    variant: Text | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "variant", "variant_title", "variant_id", AliasPath("line_item", "variant_title")
        ),
    )
    price: Amount | None = Field(
        default=None, validation_alias=AliasChoices("price", AliasPath("line_item", "price"))
    )


class OrderReversed(Payload):
    """An order was cancelled or refunded, wholly or in part: by an amount, by lines, or both."""

    order_id: Id
    order_number: Code | None = None
    refund_id: Id | None = None
    total: Deduction | None = Field(
        default=None, validation_alias=AliasChoices("total", AliasPath("transactions", 0, "amount"))
    )
    amount: Deduction | None = None
    currency: Currency | None = None
    reason: Text | None = None
    products: list[RefundedProduct] = Field(
        default=[],
        max_length=2000,
        validation_alias=AliasChoices("products", "refund_line_items", "line_items"),
    )

    def hangs_on(self, path: tuple[int | str, ...]) -> bool:
        """Return whether what is given back can't be known without a field that is left out."""
        return path[0] in ("total", "amount") or (path[0] == "products" and self.sum() is None)

    def sum(self) -> Decimal | None:
        """Return the amount that it names, without its sign; None when it names none: a total of
        nothing is none."""
        return next((abs(each) for each in (self.total, self.amount) if each), None)


class OrderRefunded(OrderReversed):
    """Money went back. An amount that can't be read refuses it: without one all of the order would
    be back."""

    total: Annotated[Deduction, Strict()] | None = Field(
        default=None, validation_alias=AliasChoices("total", AliasPath("transactions", 0, "amount"))
    )
    amount: Annotated[Deduction, Strict()] | None = None

    def sum(self) -> Decimal | None:
        """Return the amount that it names. Nothing, where no line is named either, is a refund of
        nothing and not of all: goods came back and no money went."""
        named = [abs(each) for each in (self.total, self.amount) if each is not None]
        return super().sum() or (None if self.products or not named else Decimal(0))


class CouponApplied(Payload):
    """A code was entered."""

    coupon_id: Code | None = Field(
        default=None, validation_alias=AliasChoices("coupon_id", "coupon", "coupon_name")
    )
    order_id: Id | None = None
    cart_id: Id | None = None
    discount: Deduction | None = None


class ProductReviewed(Payload):
    """A review was written."""

    product_id: Id
    review_id: Id | None = None
    order_id: Id | None = None
    rating: float | None = Field(default=None, ge=0, le=100)


_ORDER: tuple[CustomerPart, ...] = ("orders", "interests", "cart", "points", "tier", "coupons")

EVENT_TYPES = (
    EventType(
        "product.viewed",
        ProductViewed,
        segment="Product Viewed",
        changes=("interests",),
        active=True,
        looking=True,
        public=True,
    ),
    EventType(
        "product_list.viewed",
        ProductListViewed,
        segment="Product List Viewed",
        active=True,
        looking=True,
        public=True,
    ),
    EventType(
        "products.searched",
        ProductsSearched,
        segment="Products Searched",
        active=True,
        looking=True,
        public=True,
    ),
    EventType("page.viewed", PageViewed, active=True, looking=True, public=True),
    EventType(
        "cart.product_added",
        CartChange,
        segment="Product Added",
        changes=("cart",),
        active=True,
        looking=True,
        public=True,
    ),
    EventType(
        "cart.product_removed",
        CartRemoval,
        segment="Product Removed",
        changes=("cart",),
        active=True,
        looking=True,
        public=True,
    ),
    EventType(
        "checkout.started",
        CheckoutProgress,
        segment="Checkout Started",
        changes=("cart", "profile"),
        active=True,
        public=True,
    ),
    EventType(
        "checkout.step_completed",
        CheckoutProgress,
        segment="Checkout Step Completed",
        changes=("cart", "profile"),
        active=True,
        public=True,
    ),
    EventType(
        "order.completed",
        OrderCompleted,
        segment="Order Completed",
        changes=(*_ORDER, "profile"),
        active=True,
        of_customers=True,
        heard_anyway=True,
        handler_tells=True,
    ),
    EventType(
        "order.updated",
        OrderUpdated,
        segment="Order Updated",
        changes=_ORDER,
        of_customers=True,
    ),
    EventType(
        "order.shipped",
        OrderProgress,
        changes=("orders",),
        of_customers=True,
        handler_tells=True,
    ),
    EventType(
        "order.delivered",
        OrderProgress,
        changes=("orders",),
        of_customers=True,
        handler_tells=True,
    ),
    EventType(
        "order.cancelled",
        OrderReversed,
        segment="Order Cancelled",
        changes=_ORDER,
        of_customers=True,
        takes_away=True,
        handler_tells=True,
    ),
    EventType(
        "order.refunded",
        OrderRefunded,
        segment="Order Refunded",
        changes=_ORDER,
        of_customers=True,
        takes_away=True,
        handler_tells=True,
    ),
    EventType(
        "order.hinted", OrderHinted, changes=("cart",), active=True, public=True, handler_tells=True
    ),
    EventType("coupon.applied", CouponApplied, segment="Coupon Applied", active=True, public=True),
    EventType(
        "wishlist.added",
        ProductProperties,
        segment="Product Added to Wishlist",
        changes=("interests",),
        active=True,
        looking=True,
        public=True,
    ),
    EventType(
        "wishlist.removed",
        ProductProperties,
        segment="Product Removed from Wishlist",
        changes=("interests",),
        active=True,
        looking=True,
        public=True,
    ),
    EventType(
        "product.reviewed",
        ProductReviewed,
        segment="Product Reviewed",
        active=True,
        public=True,
        handler_tells=True,
    ),
)
