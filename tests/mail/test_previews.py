"""Previews show a sample where a step names a field."""

from __future__ import annotations

from pathlib import Path

from streams.mail.previews import Samples
from streams.mail.templates import uses_of
from streams.runtime.definitions import read_files

SHIPPED = read_files(Path(__file__).parents[2] / "workflows", everything=True)


def test_each_field_has_a_sample_of_its_type() -> None:
    samples = Samples(SHIPPED.values())
    given = {
        "number": "{fields.milestone}",
        "words": {"it": "{cart.total} {event.topic}", "en": ["{order.id}", 3, None]},
        "unknown": "{event.colour} {nowhere}",
        "survey": {"answers": [{"label": "A", "answer": "a"}, {"answer": "b", "url": "/b"}]},
    }
    assert samples.fill(given) == {
        "number": "5",
        "words": {"it": "52,00 returns", "en": ["2026-0042", 3, None]},
        "unknown": "colour nowhere",
        "survey": {
            "answers": [
                {"label": "A", "answer": "a", "url": "https://mail.shop.example/a/sample"},
                {"answer": "b", "url": "/b"},
            ]
        },
    }


def test_the_mail_to_the_shops_people_has_its_message() -> None:
    (use, *_) = uses_of(SHIPPED.values())["sales-alert"]
    assert set(Samples(SHIPPED.values()).fill(use.variables)["message"]) == {"it", "en"}
