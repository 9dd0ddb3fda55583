"""What a template may name: the variables of a mail and the keys each of them has.

A mail's command carries what is known. Here the rest is filled in, so that a template can ask for
any name of this page and gets None for what is not known; any other name is a mistake, which the
linter finds and the sandbox refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from agents.mail.settings import Shop

MAX_TEXT = 256 * 1024
"""Characters of one value: half of what a part may have."""

# C0, DEL, C1, line and paragraph separators, and the marks that write text backwards.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

CUSTOMER = {"first_name": None, "id": None, "name": None, "email": None}
"""Only the shop's own mails, about a customer, know more than the first name."""

PRODUCT: dict[str, Any] = {
    "product_id": None,
    "sku": None,
    "name": None,
    "category": None,
    "price": None,
    "old_price": None,
    "currency": None,
    "quantity": None,
    "url": None,
    "image_url": None,
    "stock": None,
    "rating": None,
    "reviews": [],
    "guide_url": None,
    "review_url": None,
}
"""A product, or a line of a cart or an order. `price`, `old_price`: decimal text. `stock`: pieces
left, None when the shop does not say. `rating`: mean of the stars, 1 to 5. `reviews`: REVIEW."""

REVIEW: dict[str, Any] = {"author": None, "rating": None, "text": None}

CART: dict[str, Any] = {"id": None, "url": None, "currency": "EUR", "total": None, "lines": []}

ORDER: dict[str, Any] = {
    "id": None,
    "number": None,
    "time": None,
    "url": None,
    "currency": "EUR",
    "total": None,
    "subtotal": None,
    "shipping": None,
    "discount": None,
    "tax": None,
    "estimated_delivery": None,
    "carrier": None,
    "tracking_number": None,
    "tracking_url": None,
    "lines": [],
}

COUPON: dict[str, Any] = {
    "code": None,
    "description": None,
    "kind": None,
    "minimum": None,
    "currency": "EUR",
    "expires": None,
}
"""`description`: text, or {it, en}. `kind`: percent, amount, free_shipping, gift, … `minimum`: what
an order must come to. `expires`: an instant (RFC 3339) or a date."""

POINTS: dict[str, Any] = {"balance": None, "tier": None, "next_tier": None, "missing": None}
"""`missing`: points that `next_tier` still takes."""

SURVEY: dict[str, Any] = {"id": None, "question": None, "answers": []}
"""`id`: what `survey.answered` calls it. `question`: text, or {it, en}. `answers`: ANSWER."""

ANSWER: dict[str, Any] = {"label": None, "answer": None, "url": None}
"""`label`: text, or {it, en}. `answer`: what `survey.answered` calls it. `url`: a page of ours
(`agents/mail/message/links.py`), if the step gives no other."""

SUPPORT: dict[str, Any] = {"topic": None, "hours": None, "max_wait": None}
"""Each: text, or {it, en}."""


class OpenMapping(dict[str, Any]):
    """A dict whose names nobody knows beforehand: any other name is None, not a mistake."""


ALWAYS: dict[str, Any] = {
    "customer": CUSTOMER,
    "cart": None,
    "order": None,
    "product": None,
    "products": [],
    "coupon": None,
    "points": None,
    "links": OpenMapping(),
    "survey": None,
    "support": None,
    "event": OpenMapping(),
    "message": None,
    "list": None,
    "reason": None,
    "zone": "Europe/Rome",
    "preferences_url": None,
    "unsubscribe_url": None,
    "browser_url": None,
    "confirm_url": None,
}
"""Every variable, and what it is when it is not known. `links`: name → address. `event`: the
properties of the event that began the run. `reason`: why this mail, for the
record. `message`: what the shop's people are told of a customer."""


def complete(variables: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return all variables of a mail in one language, with every key that they may have.

    Raises TypeError, ValueError or AttributeError when a variable is not what it should be.
    """
    known = {**ALWAYS, "locale": language}
    for name, given in variables.items():
        if given is None:
            continue
        value = _clean(given)
        shape = _SHAPES.get(name)
        known[name] = spoken(value, language) if shape is None else shape(value, language)
    _lead_home(known)
    return known


def _lead_home(known: dict[str, Any]) -> None:
    """Complete the addresses of a step's own that begin with `/`: they are on the shop's site."""
    root = known["shop"]["url"].rstrip("/") if "shop" in known else ""
    for name, link in known["links"].items():
        known["links"][name] = _at_home(link, root)
    for answer in known["survey"]["answers"] if known["survey"] else ():
        answer["url"] = _at_home(answer["url"], root)


def _at_home(link: Any, root: str) -> Any:
    is_path = isinstance(link, str) and link.startswith("/") and not link.startswith("//")
    return root + link if is_path else link


def _clean(value: Any) -> Any:
    """Return data without what would break a line of text or turn its direction."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"a text of {len(value)} characters, more than {MAX_TEXT // 1024} KB")
        return (
            value
            if _UNWANTED.search(value) is None
            else " ".join(_UNWANTED.sub(" ", value).split())
        )
    if isinstance(value, Mapping):
        return {name: _clean(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner) for inner in value]
    return value


def spoken(value: Any, language: str) -> Any:
    """Choose the language of a text that comes in several."""
    if not isinstance(value, Mapping) or not all(len(name) == 2 for name in value):
        return value
    return value.get(language) or next((text for text in value.values() if text), None)


def _open(value: Mapping[str, Any], _: str) -> OpenMapping:
    return OpenMapping(value)


@lru_cache
def _shop_words(shop: Shop) -> dict[str, str]:
    names = ("name", "url", "support_email", "color", "logo_url", "postal_address")
    derived = ("color_of_labels", "color_on_light", "color_on_dark")
    return {name: getattr(shop, name) for name in (*names, *derived)}


def _shop(value: Shop, _: str) -> dict[str, str]:
    return _shop_words(value)


def _customer(value: Any, _: str) -> Any:
    return {**CUSTOMER, **value}


def _product(value: Any, _: str, currency: str | None = None) -> Any:
    reviews = [{**REVIEW, **review} for review in value.get("reviews") or ()]
    own = value.get("currency") or currency or "EUR"
    return {**PRODUCT, **value, "reviews": reviews, "currency": own}


def _products(value: Any, language: str) -> Any:
    return [_product(product, language) for product in value]


def _with_lines(shape: Mapping[str, Any], value: Any, language: str) -> Any:
    whole = {**shape, **value}
    currency = whole["currency"] = whole["currency"] or "EUR"
    whole["lines"] = [_product(line, language, currency) for line in whole["lines"] or ()]
    return whole


def _cart(value: Any, language: str) -> Any:
    return _with_lines(CART, value, language)


def _order(value: Any, language: str) -> Any:
    order = _with_lines(ORDER, value, language)
    if isinstance(order, dict) and order["number"] is None:
        order["number"] = order["id"]
    return order


def _coupon(value: Any, language: str) -> Any:
    coupon = {**COUPON, **value}
    coupon["description"] = spoken(coupon["description"], language)
    return coupon if coupon["code"] else None


def _points(value: Any, language: str) -> Any:
    points = {**POINTS, **value}
    return {**points, **{each: spoken(points[each], language) for each in ("tier", "next_tier")}}


def _survey(value: Any, language: str) -> Any:
    survey = {**SURVEY, **value}
    survey["question"] = spoken(survey["question"], language)
    survey["answers"] = [
        {**ANSWER, **answer, "label": spoken(answer.get("label"), language)}
        for answer in survey["answers"] or ()
    ]
    return survey


def _support(value: Any, language: str) -> Any:
    return {name: spoken(text, language) for name, text in {**SUPPORT, **value}.items()}


_SHAPES: dict[str, Callable[[Any, str], Any]] = {
    "shop": _shop,
    "customer": _customer,
    "cart": _cart,
    "order": _order,
    "product": _product,
    "products": _products,
    "coupon": _coupon,
    "points": _points,
    "survey": _survey,
    "support": _support,
    "links": _open,
    "event": _open,
}
