"""Every rule of the linter: what it finds, and that it finds nothing in what is right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.mail.templates.lint import SampleMail, SendingStep, TemplateFinding, lint
from agents.mail.templates.sample import FULL
from streams.mail.templates import load_renderer, uses_of
from streams.runtime.definitions import read_files
from tests.mail.pages import EVERYTHING, OURS, WHY, renderer_of
from tests.mail.samples import SETTINGS

MARKETING, TRANSACTIONAL = SendingStep("marketing", {}), SendingStep("transactional", {})

FRAME = "_theme/frame.html.j2"


def findings(content: str, *uses: SendingStep, **files: str) -> list[TemplateFinding]:
    """What is found in one mail, besides that it is in Italian only."""
    found = lint(renderer_of(content, **files), SETTINGS.shop, {"x": uses or [MARKETING]})
    return [finding for finding in found if finding.rule != "language"]


@pytest.mark.row("R09")
def test_the_shipped_mails_are_right() -> None:
    directory = Path("workflows")
    uses = uses_of(read_files(directory, everything=True).values())
    renderer = load_renderer(directory)
    assert lint(renderer, SETTINGS.shop, uses) == []
    assert uses.keys() == renderer.templates


def test_every_block_is_right() -> None:
    assert findings(EVERYTHING) == []


@pytest.mark.parametrize(
    ("rule", "content", "message"),
    [
        ("text", "<mj-image src='https://a.example/i.png' alt='' width='9px' />", "text part is"),
        ("broken", "<p>{{ nobody }}</p>", "x.it.j2:2: 'nobody' is undefined"),
        ("broken", "<p>{{ cart.totl }}</p>", "no attribute 'totl'"),
        ("broken", "<p>{{ products[0].name }}</p>", "when there is no products: x.it.j2:2"),
        ("broken", "<p>{{ coupon.code }}</p>", "when there is no coupon: x.it.j2:2: 'None'"),
        ("broken", "<p>{{ customer.first_name.upper() }}</p>", "when there is no customer: x.it"),
        ("broken", "<p>{{ cart.url ~ '' }}</p>", "when little is known: it says None"),
        ("broken", "<p><a href='{{ links.guide }}'>a</a></p>", "when .*: a link leads nowhere"),
        ("size", "<p>" + "x" * 101 * 1024 + "</p>", "more than 100"),
        ("pushy", "{{ button('Acquista ora', cart.url) }}", "presses: 'Acquista ora'"),
        (
            "pushy",
            "{% if cart %}<p><a href='{{ shop.url }}'>Buy now</a></p>{% endif %}",
            "presses: 'Buy now'",
        ),
        ("pushy", "{{ cart_summary(cart) }}{{ button('Paga', shop.url) }}", "presses: 'Paga'"),
        ("link", "<p><a href='ftp://a.example/x'>a</a></p>", "'a' leads to 'ftp://a.example/x'"),
        ("link", "<p><a href='#top'>a</a></p>", "'a' leads to '#top'"),
        ("link", "<p><a>a</a></p>", "'a' leads to ''"),
        ("image", "<p>a<img src='https://a.example/i' width='9' height='9'></p>", "has no alt"),
        ("image", "<p>a<img src='https://a.example/i' alt='b'></p>", "no width and height"),
        ("image", "<p>a<img src='cid:1' alt='b' width='9' height='9'></p>", "no address"),
        ("remote", '<p style="background:url(https://a.example/i)">a</p>', "elsewhere: url\\("),
        ("remote", "<p>a</p><mj-raw><script>1</script></mj-raw>", "elsewhere: <script"),
    ],
)
@pytest.mark.row("R09")
def test_what_is_wrong_is_found(rule: str, content: str, message: str) -> None:
    (found,) = findings(content)
    assert (found.file, found.rule, found.level) == ("x.it.j2", rule, "error")
    assert re.search(message, found.message)


@pytest.mark.parametrize("part", ["html", "txt"])
@pytest.mark.parametrize("name", ["unsubscribe_url", "preferences_url"])
def test_marketing_without_a_way_out_is_found(part: str, name: str) -> None:
    path = f"_theme/frame.{part}.j2"
    frame = {path: OURS[path].replace(name, "browser_url")}
    (found,) = findings("<p>a</p>", **frame)
    where = {"html": "HTML", "txt": "text"}[part]
    assert found.message == f"marketing without {name} in its {where} part"
    assert findings("<p>a</p>", TRANSACTIONAL, **frame) == []


@pytest.mark.parametrize(
    "text",
    [
        '<link rel="stylesheet" href="https://fonts.example/css">',
        "<style>@import 'https://a.example/x.css';</style>",
        "<style>@font-face { font-family: x; }</style>",
    ],
)
def test_fonts_and_styles_from_elsewhere_are_found(text: str) -> None:
    frame = {FRAME: OURS[FRAME].replace("</head>", text + "</head>")}
    assert {found.rule for found in findings("<p>a</p>", **frame)} == {"remote"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<p>a</p>\n{{ coupon_box(coupon) }}", "line 3: a coupon in a transactional mail"),
        ("<p>a {% if coupon %}b{% endif %}</p>", "line 2: a coupon in a transactional mail"),
        ("<p>a\nUno sconto per te</p>", "line 3: advertising in a transactional mail: 'sconto'"),
        ("<p>Get 20% off</p>", "line 2: advertising in a transactional mail: '20% off'"),
    ],
)
def test_advertising_in_a_transactional_mail_is_found(content: str, message: str) -> None:
    assert message in [found.message for found in findings(content, TRANSACTIONAL)]
    assert findings(content) == []


def test_what_an_order_says_is_no_advertising() -> None:
    assert findings("{{ order_summary(order) }}", TRANSACTIONAL) == []


def test_a_mail_sent_in_both_classes_obeys_both() -> None:
    rules = {found.rule for found in findings("{{ coupon_box(coupon) }}", MARKETING, TRANSACTIONAL)}
    assert rules == {"promotional"}


def test_what_a_mail_does_not_ask_for_need_not_be_left_out_to_know_what_it_says_without() -> None:
    content = "{% if cart %}<p>{{ product.name }}</p>{% endif %}<p>{{ coupon.code or '' }}</p>"
    sample = SampleMail(renderer_of(content), SETTINGS.shop, "x", "it", {"cart": FULL["cart"]})
    tried = sample.without_each(FULL)
    assert tried == {name: sample.render(leave_out=[name]) for name in FULL}
    as_it_is = sample.render()
    assert {name for name in FULL if tried[name] != as_it_is} >= {"product", "coupon"}


def test_what_a_step_gives_is_known() -> None:
    content = "<p>{{ headline }}</p>"
    given = SendingStep("marketing", {"headline": {"it": "Ciao", "en": "Hello"}})
    assert findings(content, given) == []
    (found,) = findings(content, given, MARKETING)
    assert "'headline' is undefined" in found.message


def test_files_that_are_missing_or_unused_are_found() -> None:
    renderer = renderer_of("<p>a</p>")
    found = {tuple(finding) for finding in lint(renderer, SETTINGS.shop, {"y": [MARKETING]})}
    assert found == {
        ("y.*.j2", "missing", "error", "a workflow sends it"),
        ("x.en.j2", "language", "warning", "is not written in en, as x.it.j2 is"),
        ("x.it.j2", "unused", "warning", "no workflow sends it, so its class is not known"),
    }
    both = renderer_of("<p>a</p>", **{"x.en.j2": WHY + "{% block content %}<p>a</p>{% endblock %}"})
    assert lint(both, SETTINGS.shop, {"x": [MARKETING]}) == []


def test_uses_are_found_wherever_steps_are_nested() -> None:
    step: dict[str, Any] = {"send": "a", "class": "transactional"}
    nested = {"steps": [{"branch": [{"then": [step, {"send": "b", "with": {"n": 1}}]}]}, step]}
    assert uses_of([json.dumps(nested).encode()]) == {
        "a": [TRANSACTIONAL],
        "b": [SendingStep("marketing", {"n": 1})],
    }
