"""Whom an event is about, where its ids are none, or everybody's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events import Event
from schemas.validation import Unreadable
from schemas.wire import parse_published

NO_IDS: list[Any] = [[], {}, False, "", " ", None, "\u200b", "\ufeff \u2060"]
WORDS: list[Any] = ["null", "undefined", "Guest", "0", 0, " NULL "]


def segment(**fields: Any) -> Event:
    body = {"type": "track", "event": "Product Added", "messageId": "m",
            "properties": {"product_id": "p"}}  # fmt: skip
    return parse_published(json.dumps(body | fields))


def structured(type_: str = "cart.product_added", **fields: Any) -> Event:
    body = {"specversion": "1.0", "id": "m", "type": type_, "data": {"product_id": "p"}}
    return parse_published(json.dumps(body | fields))


def recorded(key: Any, **headers: Any) -> Event:
    headers = {"ce_id": "m", "ce_type": "cart.product_added"} | headers
    return parse_published(
        json.dumps({"key": key, "headers": headers, "value": {"product_id": "p"}})
    )


def whom(event: Event) -> tuple[str, str | None, bool]:
    return event.customer, event.anonymous_id, event.named


@pytest.mark.parametrize("no_id", NO_IDS)
def test_an_empty_id_is_absent(no_id: Any) -> None:
    for event in (
        segment(userId=no_id, anonymousId="n1"),
        structured(subject=no_id, anonymousid="n1"),
        recorded(no_id, ce_anonymousid="n1"),
    ):
        assert whom(event) == ("n1", "n1", False)
    for event in (
        segment(userId="a", anonymousId=no_id),
        structured(subject="a", anonymousid=no_id),
        recorded("a", ce_subject="a", ce_anonymousid=no_id),
        recorded(no_id, ce_subject="a"),
    ):
        assert (event.customer, event.anonymous_id) == ("a", None)
    for nobody in ({"userId": no_id}, {"userId": no_id, "anonymousId": no_id}):
        with pytest.raises(Unreadable) as refused:
            segment(**nobody)
        assert refused.value.reason == "missing_id"


def test_what_is_no_id_and_not_empty_is_refused() -> None:
    for wrong in (True, ["a", "b"], {"id": "a"}):
        with pytest.raises(Unreadable):
            segment(userId=wrong, anonymousId="n1")


@pytest.mark.parametrize("word", WORDS)
def test_what_is_said_under_everybodys_id_is_the_visitors(word: Any) -> None:
    event = segment(userId=word, anonymousId="n1")
    assert whom(event) == ("n1", "n1", False)
    assert [(o.field, o.problem, o.kept) for o in event.odd] == [("userId", "unknown_word", False)]
    event = structured(subject=word, anonymousid="n1")
    assert whom(event) == ("n1", "n1", False)
    assert [(o.field, o.problem) for o in event.odd] == [("subject", "unknown_word")]
    event = recorded(str(word), ce_subject=str(word), ce_anonymousid="n1")
    assert whom(event) == ("n1", "n1", False)


def test_identify_with_everybodys_id_links_nobody() -> None:
    traits = {"type": "identify", "traits": {"first_name": "Anna"}}
    event = segment(userId="null", anonymousId="n1", **traits)
    assert (event.type, event.customer) == ("customer.updated", "n1")
    assert segment(userId="anna", anonymousId="n1", **traits).type == "customer.identified"


def test_everybodys_id_stays_where_no_visitor_is_known() -> None:
    assert whom(segment(userId="null")) == ("null", None, True)
    assert whom(segment(userId="null", anonymousId="undefined"))[0] == "null"
    assert whom(structured(subject="guest"))[0] == "guest"
    assert whom(segment(type="alias", userId="null", previousId="n1"))[0] == "null"


@pytest.mark.parametrize("type_", ["address.said", "address.told", "visitor.linked"])
def test_what_our_actors_tell_each_other_is_refused_before_it_is_read(type_: str) -> None:
    data = {"customer_id": "r", "link": "r", "time": 1, "address": "x", "sent": [None]}
    with pytest.raises(Unreadable, match="Ritorno's own"):
        structured(type_, subject="r", data=data)
    with pytest.raises(Unreadable, match="Ritorno's own"):
        recorded("r", ce_type=type_)


def test_a_tuple_is_a_list_of_json() -> None:
    from schemas.events import PAYLOADS  # noqa: PLC0415  # only here
    from schemas.validation import validated  # noqa: PLC0415  # only here

    with pytest.raises(Unreadable):
        validated(PAYLOADS["address.said"], {"address": "x", "time": 1, "sent": [None]})
