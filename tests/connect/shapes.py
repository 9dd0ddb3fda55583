"""Resources of shops by shape, with invented names; times are around `tests.harness.START`, which
is 11:00 on 2 March 2026 in Rome."""

from __future__ import annotations

from typing import Any

Shape = dict[str, Any]

SHOP = "negozio.myshopify.com"
ANNA = "anna.verdi@example.it"


def shopify_order(id_: int = 820001, **changes: Any) -> Shape:
    """Return an order of Shopify's: one moka, 52.00 with shipping, of customer 70001."""
    return {
        "id": id_, "name": "#1001", "email": ANNA, "test": False,
        "created_at": "2026-03-02T10:15:00+01:00", "processed_at": "2026-03-02T10:15:00+01:00",
        "updated_at": "2026-03-02T10:15:04+01:00", "cancelled_at": None,
        "currency": "EUR", "total_price": "52.00", "subtotal_price": "47.10", "total_tax": "9.38",
        "total_discounts": "0.00", "financial_status": "paid", "fulfillment_status": None,
        "total_shipping_price_set": {"shop_money": {"amount": "4.90", "currency_code": "EUR"}},
        "discount_codes": [], "payment_gateway_names": ["paypal"], "cart_token": "c1-aa",
        "checkout_id": 5501, "checkout_token": "k1-aa", "customer_locale": "it-IT",
        "source_name": "web",
        "landing_site": "/products/moka?utm_source=newsletter&utm_campaign=marzo",
        "order_status_url": "https://negozio.example.it/o/k1-aa", "note_attributes": [],
        "customer": {"id": 70001, "email": ANNA, "first_name": "Anna", "last_name": "Verdi",
                     "default_address": {"city": "Milano", "country_code": "IT"}},
        "line_items": [shopify_line()],
        "shipping_lines": [{"title": "Corriere", "price": "4.90"}],
        "refunds": [], "fulfillments": [],
        **changes,
    }  # fmt: skip


def shopify_line(**changes: Any) -> Shape:
    """Return a line of Shopify's."""
    return {
        "id": 1, "product_id": 9001, "variant_id": 90011, "title": "Moka 3 tazze",
        "variant_title": None, "vendor": "Esempio", "sku": "MOKA-3", "quantity": 1,
        "price": "47.10", **changes,
    }  # fmt: skip


def shopify_refund(id_: int = 61, amount: str = "47.10", **changes: Any) -> Shape:
    """Return a refund of Shopify's: its `subtotal` is a number, its `amount` a text."""
    return {
        "id": id_, "order_id": 820001, "processed_at": "2026-03-12T09:00:00+01:00",
        "created_at": "2026-03-12T09:00:00+01:00", "note": "Difettosa",
        "refund_line_items": [
            {"quantity": 1, "line_item_id": 1, "subtotal": 47.10, "total_tax": 0.0,
             "line_item": shopify_line()}
        ],
        "transactions": [
            {"kind": "refund", "status": "success", "amount": amount, "currency": "EUR"}
        ],
        **changes,
    }  # fmt: skip


def shopify_fulfillment(id_: int = 31, **changes: Any) -> Shape:
    """Return a parcel of Shopify's."""
    return {
        "id": id_, "order_id": 820001, "status": "success",
        "created_at": "2026-03-03T09:00:00+01:00", "updated_at": "2026-03-03T09:00:00+01:00",
        "tracking_company": "BRT", "tracking_number": "IT123",
        "tracking_url": "https://corriere.example.it/IT123", "shipment_status": None,
        "line_items": [shopify_line()], **changes,
    }  # fmt: skip


def shopify_customer(id_: int = 70001, **changes: Any) -> Shape:
    """Return a customer of Shopify's."""
    return {
        "id": id_, "email": ANNA, "first_name": "Anna", "last_name": "Verdi",
        "created_at": "2026-03-01T10:00:00+01:00", "updated_at": "2026-03-01T10:00:00+01:00",
        "default_address": {"city": "Milano", "country_code": "IT"}, **changes,
    }  # fmt: skip


def shopify_consent(state: str = "subscribed", **changes: Any) -> Shape:
    """Return what `customers_email_marketing_consent/update` has."""
    return {
        "customer_id": 70001, "email_address": ANNA,
        "email_marketing_consent": {
            "state": state, "opt_in_level": "confirmed_opt_in",
            "consent_updated_at": "2026-03-02T09:00:00+01:00", "consent_collected_from": "SHOPIFY",
            **changes,
        },
    }  # fmt: skip


def shopify_product(id_: int = 9001, **changes: Any) -> Shape:
    """Return a product of Shopify's, in two sizes."""
    variant = {"id": 90011, "price": "47.10", "compare_at_price": "49.90", "sku": "MOKA-3",
               "inventory_management": "shopify", "inventory_policy": "deny",
               "inventory_quantity": 4}  # fmt: skip
    return {
        "id": id_, "title": "Moka 3 tazze", "handle": "moka-3", "vendor": "Esempio",
        "product_type": "Caffè", "status": "active", "updated_at": "2026-03-02T10:00:00+01:00",
        "image": {"src": "https://negozio.example.it/m.jpg"},
        "variants": [
            variant,
            {**variant, "id": 90012, "sku": "", "price": "57.10", "inventory_quantity": 0},
        ],
        **changes,
    }  # fmt: skip


def shopify_checkout(**changes: Any) -> Shape:
    """Return a checkout of Shopify's at which an address was typed."""
    return {
        "id": 5501, "token": "k1-aa", "cart_token": "c1-aa", "email": ANNA, "currency": "EUR",
        "created_at": "2026-03-02T10:00:00+01:00", "updated_at": "2026-03-02T10:05:00+01:00",
        "completed_at": None, "line_items": [shopify_line()], "shipping_lines": [],
        "abandoned_checkout_url": "https://negozio.example.it/checkouts/k1-aa/recover?key=1",
        "customer_locale": "it-IT", **changes,
    }  # fmt: skip


def woo_order(id_: int = 5001, **changes: Any) -> Shape:
    """Return an order of WooCommerce's: one moka, 52.00 with shipping, of a guest."""
    return {
        "id": id_, "number": str(id_), "status": "processing", "currency": "EUR",
        "date_created": "2026-03-02T10:15:00", "date_created_gmt": "2026-03-02T09:15:00",
        "date_modified_gmt": "2026-03-02T09:15:30", "date_paid_gmt": "2026-03-02T09:15:30",
        "date_completed_gmt": None, "total": "52.00", "discount_total": "0.00",
        "discount_tax": "0.00", "shipping_total": "4.02", "shipping_tax": "0.88",
        "total_tax": "9.38", "customer_id": 0,
        "billing": {"first_name": "Anna", "last_name": "Verdi", "email": ANNA, "phone": "",
                    "city": "Milano", "state": "MI", "postcode": "20121", "country": "IT"},
        "payment_method": "ppcp-gateway", "payment_method_title": "PayPal",
        "line_items": [
            {"id": 31, "name": "Moka 3 tazze", "product_id": 901, "variation_id": 0, "quantity": 1,
             "subtotal": "38.60", "total": "38.60", "total_tax": "8.50", "sku": "MOKA-3",
             "price": 38.6, "image": {"src": "https://negozio.example.it/m.jpg"}, "meta_data": []}
        ],
        "shipping_lines": [{"method_title": "Corriere", "total": "4.02"}],
        "coupon_lines": [], "refunds": [], "meta_data": [], **changes,
    }  # fmt: skip


def woo_customer(id_: int = 12, **changes: Any) -> Shape:
    """Return a customer of WooCommerce's."""
    return {
        "id": id_, "email": ANNA, "first_name": "Anna", "last_name": "Verdi",
        "date_created_gmt": "2026-03-02T12:00:00", "date_modified_gmt": "2026-03-02T12:00:00",
        "billing": {"city": "Milano", "country": "IT", "phone": "+39 02 1234567"},
        "meta_data": [], **changes,
    }  # fmt: skip


def woo_product(id_: int = 901, **changes: Any) -> Shape:
    """Return a product of WooCommerce's."""
    return {
        "id": id_, "name": "Moka 3 tazze", "permalink": "https://negozio.example.it/p/moka",
        "type": "simple", "status": "publish", "sku": "MOKA-3", "price": "47.10",
        "regular_price": "49.90", "sale_price": "47.10", "stock_status": "instock",
        "date_created_gmt": "2026-01-02T12:00:00", "date_modified_gmt": "2026-03-02T09:00:00",
        "stock_quantity": 4, "categories": [{"name": "Caffè"}],
        "images": [{"src": "https://negozio.example.it/m.jpg"}],
        "cross_sell_ids": [902], "upsell_ids": [903], **changes,
    }  # fmt: skip
