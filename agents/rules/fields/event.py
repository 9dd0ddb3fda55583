"""Fields that say what is happening: the event, the run and what it is about, and the time."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from agents.rules.evaluation import EvaluationContext
from agents.rules.exchange import in_shops
from agents.rules.fields.field import Changes, Field, FieldType, Read
from agents.rules.fields.shopping import amount, pieces, texts_of
from agents.rules.local_time import instant_of, local_day, zone_of
from agents.rules.values import READERS, to_text
from schemas.customer.shopping import Coupon, Order
from schemas.days import parse_day
from schemas.definitions.triggers import DERIVED
from schemas.events import PAYLOADS
from schemas.instant import to_datetime
from schemas.stored import NEVER
from schemas.time_units import MINUTE_MS

_HALF_HOUR = 30 * MINUTE_MS
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_OTHER_CAUSES: Mapping[str, Mapping[str, FieldType]] = {
    "segment": {"segment": "text"},
    "tag": {"tag": "text"},
    "score": {"score": "text", "value": "number", "before": "number"},
    "tier": {"to": "text", "from": "text"},
    "points": {"before": "number", "after": "number"},
    "watch": {"date": "date", "years": "number"},
    "product": {"about": "text", "about_name": "text", "category": "text", "name": "text"},
    "product.stocked": {"product_id": "text", "runs_out": "instant"},
}
"""Properties of what is no event, by the first word of its trigger key."""

_DAYS = frozenset({"estimated_delivery", "birthday"})
_OF_PRODUCTS = {"product_id": "products", "category": "categories", "brand": "brands"}
_CONVERTED: dict[type, FieldType] = {
    str: "text",
    int: "number",
    float: "number",
    Decimal: "money",
    bool: "flag",
}


def fields() -> Iterator[Field]:
    """Yield the fields of this module that every condition in a workflow may name."""
    yield from _run()
    yield from _order()
    yield from _coupon()
    yield from _now()


def event_fields(about: str) -> Iterator[Field]:
    """Yield the properties of what begins a run: of an occurrence, or of another trigger key."""
    cause = about.partition(":")[0]
    if cause in _OTHER_CAUSES and about not in PAYLOADS:
        for name, type_ in _OTHER_CAUSES[cause].items():
            yield property_field(name, type_, f"`{name}` of what began the run")
        return
    seen: set[str] = set()
    for type_name in DERIVED.get(about, (about,)):
        model = PAYLOADS.get(type_name)
        for each in () if model is None else _of_model(model, type_name):
            if each.name not in seen:
                seen.add(each.name)
                yield each


def property_field(
    name: str, type_: FieldType, about: str, values: frozenset[str] | None = None
) -> Field:
    """Return the field of one property."""
    read = partial(_property, name, READERS[type_])
    if type_ == "money":
        return amount(f"event.{name}", "event", read, partial(_worth, read), _currency, about)
    return Field(f"event.{name}", type_, "event", read, about, values=values)


def _worth(read: Read, evaluation: EvaluationContext) -> Decimal | None:
    """An amount of the event in the shop's currency, at the rates of when the run began."""
    time = evaluation.now if evaluation.run is None else evaluation.run.begun
    return in_shops(read(evaluation), _currency(evaluation), time, evaluation)


def _currency(evaluation: EvaluationContext) -> str:
    return to_text(event_value(evaluation.event, "currency"))


def step_field(step: str) -> Field:
    """Return the field with the result of a step."""
    about = "result of that step: event, timeout, condition, a variant, issued, none"
    return Field(f"run.results.{step}", "text", "run", partial(_result, step), about)


def event_value(event: Mapping[str, Any], name: str) -> Any:
    """Return a property as it is kept with a run; of an order also what its products have."""
    try:
        return event[name]
    except KeyError:
        pass
    for key, several in _OF_PRODUCTS.items():
        if name == several:
            found = (product.get(key) for product in event.get("products") or ())
            return list(dict.fromkeys(str(text) for text in found if text))
    return None


def _of_model(model: type[BaseModel], type_name: str) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        plain = _plain(info.annotation)
        about = f"`{name}` of {type_name}"
        if name == "products":
            for several in _OF_PRODUCTS.values():
                yield property_field(several, "texts", f"{several} of {type_name}")
        elif name in _DAYS:
            yield property_field(name, "date", about)
        elif get_origin(plain) is Literal:
            yield property_field(name, "text", about, frozenset(map(str, get_args(plain))))
        elif plain in _CONVERTED:
            yield property_field(name, _CONVERTED[plain], about)


def _plain(annotation: Any) -> Any:
    """Return the type itself, without what may be absent and what is demanded of it."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        kinds = {_plain(part) for part in parts}
        return next(iter(kinds)) if len(kinds) == 1 else int if kinds == {int, Decimal} else None
    return annotation


def _run() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Read, about: str) -> Field:
        return Field(f"run.{name}", type_, "run", read, about)

    yield of("begun", "instant", lambda s: s.run.begun if s.run else None, "when it began")
    yield of(
        "entered",
        "instant",
        lambda s: s.run.entered or None if s.run else None,
        "when it came to its current step",
    )
    yield of("product", "text", lambda s: s.run.product if s.run else "", "the product it is about")
    yield of("list", "text", lambda s: s.run.list if s.run else "", "the list it is about")
    yield of(
        "coupon",
        "text",
        lambda s: s.run.coupon if s.run else "",
        "code of the last coupon issued in it",
    )
    yield of(
        "holdout",
        "flag",
        lambda s: bool(s.run and s.run.holdout),
        "whether it is in the control group of an experiment",
    )


def _order() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Callable[[Order], Any], about: str) -> Field:
        empty: Any = {"text": "", "texts": ()}.get(type_)
        return Field(f"order.{name}", type_, "run", partial(_of_order, read, empty), about)

    yield of("id", "text", lambda o: o.id, "number of the order that the run is about")
    yield of(
        "status", "text", lambda o: o.status, "completed, shipped, delivered, cancelled or refunded"
    )
    yield of("time", "instant", lambda o: o.time, "when it was placed")
    yield _of_order_amount("total", lambda o: o.total, "its value")
    yield of("currency", "text", lambda o: o.currency, "its currency")
    yield of("items", "number", lambda o: pieces(o.lines), "its pieces")
    yield of("products", "texts", partial(texts_of, "product_id"), "ids of its products")
    yield of("categories", "texts", partial(texts_of, "category"), "their categories")
    yield of("brands", "texts", partial(texts_of, "brand"), "their brands")
    yield of("payment_method", "text", lambda o: o.payment_method, "how it was paid")
    yield of("coupon", "text", lambda o: o.coupon, "code that it was placed with")
    yield of("runs_out", "instant", lambda o: o.runs_out or None, "when it is used up")
    yield of(
        "accessories",
        "number",
        lambda o: o.accessories,
        "accessories and dearer versions there were for it",
    )
    yield _of_order_amount("discount", lambda o: o.discount, "its discount")
    yield of(
        "estimated_delivery",
        "date",
        lambda o: parse_day(o.estimated_delivery),
        "day on which it should arrive",
    )
    yield of("delivered", "instant", lambda o: o.delivered or None, "when it arrived")
    yield of("tracking_number", "text", lambda o: o.tracking_number, "of its parcel")
    yield of("number", "text", lambda o: o.number or o.id, "by which the customer knows it")


def _of_order_amount(name: str, read: Callable[[Order], Any], about: str) -> Field:
    def worth(evaluation: EvaluationContext) -> Decimal | None:
        order: Order | None = _of_order(lambda o: o, None, evaluation)
        if order is None:
            return None
        return in_shops(read(order), order.currency, order.time, evaluation)

    return amount(
        f"order.{name}",
        "run",
        partial(_of_order, read, None),
        worth,
        partial(_of_order, lambda o: o.currency, ""),
        about,
    )


def _coupon() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Callable[[Coupon], Any], about: str) -> Field:
        empty: Any = {"text": "", "flag": False}.get(type_)
        return Field(f"coupon.{name}", type_, "run", partial(_of_coupon, read, empty), about)

    yield of("code", "text", lambda c: c.code, "last code issued in the run")
    yield of("campaign", "text", lambda c: c.campaign, "its campaign")
    yield of(
        "expires",
        "instant",
        lambda c: None if c.expires == NEVER else c.expires,
        "until when it can be used",
    )
    yield of("redeemed", "flag", lambda c: bool(c.redeemed), "whether it was used")


def _now() -> Iterator[Field]:
    def of(name: str, type_: FieldType, read: Read, about: str, changes: Changes | None) -> Field:
        return Field(f"now.{name}", type_, "now", read, about, changes=changes)

    yield of(
        "date",
        "date",
        lambda s: local_day(s.now, s.customer.profile.zone),
        "today, local time",
        _tomorrow,
    )
    yield of(
        "weekday",
        "text",
        lambda s: WEEKDAYS[_local(s).weekday()],
        "mon to sun, local time",
        _tomorrow,
    )._replace(values=frozenset(WEEKDAYS))
    yield of("hour", "number", lambda s: _local(s).hour, "0 to 23, local time", _next_hour)
    yield of("day", "number", lambda s: _local(s).day, "of the month, local time", _tomorrow)
    yield of("month", "number", lambda s: _local(s).month, "1 to 12, local time", _tomorrow)
    yield of("time", "instant", lambda s: s.now, "this instant, for expressions", None)


def _local(evaluation: EvaluationContext) -> datetime:
    return to_datetime(evaluation.now).astimezone(zone_of(evaluation.customer.profile.zone))


def _tomorrow(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    day = _local(evaluation).date() + timedelta(days=1)
    return instant_of(day, "00:00", evaluation.customer.profile.zone)


def _next_hour(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    """Clocks are put forward or back when an hour begins or is half, by an hour or half of one."""
    local = _local(evaluation)
    return evaluation.now + _HALF_HOUR - (local.minute * MINUTE_MS + _of_minute(local)) % _HALF_HOUR


def _of_minute(local: datetime) -> int:
    return local.second * 1000 + local.microsecond // 1000


def _result(step: str, evaluation: EvaluationContext) -> str:
    return "" if evaluation.run is None else evaluation.run.results.get(step, "")


def _of_order(read: Callable[[Order], Any], empty: Any, evaluation: EvaluationContext) -> Any:
    """The order of the run; before there is one that of the event."""
    run, order_id, shop = evaluation.run, evaluation.event.get("order_id"), evaluation.shop
    if run is not None and run.order_id:
        order_id, shop = run.order_id, run.shop
    order = evaluation.customer.order(str(order_id), shop or None) if order_id else None
    return empty if order is None else read(order)


def _of_coupon(read: Callable[[Coupon], Any], empty: Any, evaluation: EvaluationContext) -> Any:
    code = evaluation.run.coupon if evaluation.run is not None else ""
    coupon = next((c for c in reversed(evaluation.customer.coupons) if c.code == code), None)
    return empty if coupon is None or not code else read(coupon)


def _property(name: str, read: Callable[[Any], Any], evaluation: EvaluationContext) -> Any:
    return read(event_value(evaluation.event, name))
