"""How mails read: every template in every language, and what a template may not do."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import css_inline
import pytest

from agents.mail.message.render import Renderer, TemplateProblem
from agents.mail.templates.mjml import MjmlCompiler
from streams.mail.templates import load_renderer
from tests.mail.pages import KNOWN, OURS, STYLE, WHY, Tags, rendered_of, renderer_of
from tests.mail.samples import COUPON, ORDER, VARIABLES

RENDERER = load_renderer(Path("workflows"))


def render(template: str, locale: str = "it", **variables: Any) -> Any:
    return RENDERER.render(template, locale, {**VARIABLES[template], **KNOWN, **variables})


@pytest.mark.parametrize(("template", "locale"), list(itertools.product(VARIABLES, ["it", "en"])))
def test_every_template_in_both_languages(template: str, locale: str) -> None:
    rendered = render(template, locale)
    assert rendered.locale == locale
    tags = Tags(rendered.html)
    assert all(re.match(r"https://|mailto:", link) for link in tags.links)
    assert "https://mail.shop.example/u/t" in rendered.text
    for text in (rendered.subject, rendered.html, rendered.text):
        assert "None" not in text
        assert not re.search(r"\{[{%#]|[%#}]\}|jinja\d+x", STYLE.sub("", text))


@pytest.mark.parametrize("template", VARIABLES)
def test_every_template_with_as_little_as_the_contract_allows(template: str) -> None:
    variables: dict[str, Any] = {**VARIABLES[template], "customer": {"first_name": None}}
    for name in ("coupon", "product"):
        if name in variables:
            variables[name] = None
    for name in ("cart", "order"):
        if name in variables:
            variables[name] = {key: [] if key == "lines" else None for key in variables[name]} | {
                "currency": "EUR",
                "id": "x1",
            }
    rendered = render(template, **variables)
    assert "None" not in rendered.subject + rendered.html + rendered.text
    Tags(rendered.html)


def test_all_templates_are_in_both_languages() -> None:
    assert set(VARIABLES) <= RENDERER.templates
    for name in RENDERER.templates:
        assert [RENDERER.language(name, each) for each in ("it", "en")] == ["it", "en"]


@pytest.mark.row("R06")
def test_prices_and_dates_are_those_of_the_language() -> None:
    italian, english = render("order-confirmation"), render("order-confirmation", "en")
    assert "1.052,00\u00a0€" in italian.html
    assert "18,50\u00a0€" in italian.text
    assert "€1,052.00" in english.html
    assert "5 marzo 2026" in italian.text
    assert "5 March 2026" in english.text
    coupon = render("welcome-thanks", zone="Europe/Rome").text
    assert "8 marzo 2026, 23:59" in coupon  # 22:59:59Z is one minute to midnight in Rome
    assert "8 March 2026, 22:59" in render("welcome-thanks", "en", zone="No/Where").text
    whole_day = render("welcome-thanks", coupon={**COUPON, "expires": "2026-03-08"})
    assert "Scadenza: 8 marzo 2026\n" in whole_day.text
    free_text = {**ORDER, "estimated_delivery": "3–5 giorni"}
    assert "3–5 giorni" in render("order-confirmation", order=free_text).text


@pytest.mark.parametrize(
    ("language", "points", "said"),
    [
        ("it", (1200, 1800), ["1.200 punti", "Ti mancano 1.800 punti per il livello Oro"]),
        ("en", (1200, 1800), ["1,200 points", "1,800 points to go until Oro"]),
        ("it", (1, 1), ["1 punto", "Ti manca un punto per il livello Oro"]),
        ("en", (1, 1), ["1 point", "One point to go until Oro"]),
    ],
)
def test_points_are_counted_as_people_say_it(
    language: str, points: tuple[int, int], said: list[str]
) -> None:
    balance, missing = points
    known = {"balance": balance, "tier": None, "next_tier": "Oro", "missing": missing}
    text = RENDERER.render("tier-down", language, {**KNOWN, "points": known}).text
    assert all(re.search(rf"{re.escape(rendered)}\b", text) for rendered in said)


@pytest.mark.row("R09")
def test_cart_mails_offer_and_do_not_push() -> None:
    for template in ("cart-reminder", "cart-free-shipping", "cart-last-call"):
        rendered = render(template)
        assert "Riprendi il carrello" in rendered.html
        assert not re.search(
            r"acquista|paga\b|compra\b", rendered.html + rendered.text, re.IGNORECASE
        )
        assert "https://shop.example/p1.jpg" in rendered.html


def test_the_confirmation_names_order_product_and_thanks() -> None:
    rendered = render("order-confirmation", order={**ORDER, "tracking_number": "IT123"})
    for part in ("2026-0042", "Giulia", "grazie", "Tè verde & zenzero", "IT123"):
        assert part in rendered.text
    assert "Tè verde &amp; zenzero" in rendered.html


@pytest.mark.parametrize(
    ("locale", "language"),
    [("it-IT", "it"), ("en_GB", "en"), ("EN", "en"), ("de", "it"), ("", "it")],
)
def test_an_unknown_language_falls_back(locale: str, language: str) -> None:
    assert render("cart-reminder", locale).locale == language


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("one\n{% if %}", r"x.it.j2:3: Expected an expression"),
        ("<p>\n{{ a | nofilter }}</p>", r"x.it.j2:3: .*nofilter"),
        ("<p>one\n<b>two</p>", r"x.it.j2:3: </p> closes nothing: <b> is open"),
        ("<p>a</p>\n<mj-text>", r"x.it.j2:3: <mj-text> is never closed"),
        ("<p>a</p>\nb", r"x.it.j2:\d: text outside of an element, put it into <p>: 'b'"),
        ("<p>a</p>\n{{ greeting() }}", r"x.it.j2:3: stands outside of an element"),
        ("<p>{{ coupon_box(coupon) }}</p>", r"x.it.j2:2: coupon_box makes a section of its own"),
        ('<p {% if a %}b="c"{% endif %}>d</p>', r"x.it.j2:2: <p>: can't be read"),
        ('<p class="{% if a %}b{% endif %}">c</p>', r"x.it.j2:2: <p>: class: .* a if b else c"),
        ("<p>1 < 2</p>", r"x.it.j2:2: a < that begins no element"),
        ("<mj-nothing>a</mj-nothing>", r"x.it.j2:2: MJML: .*"),
        ("{% include 'a' %}", r"x.it.j2:2: {% include %} can't be used"),
        ("{% raw %}a{% endraw %}", r"x.it.j2:2: {% raw %} can't be used"),
    ],
)
def test_a_mistake_is_named_with_its_line_when_loading(content: str, problem: str) -> None:
    with pytest.raises(TemplateProblem, match=problem):
        renderer_of(content)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"x.it.j2": "a"}, r"x.it.j2:1: stands outside of the blocks: 'a'"),
        ({"x.it.j2": WHY}, r"x.it.j2:1: the block content is missing"),
        ({"x.it.j2": "{% block body %}{% endblock %}"}, r"x.it.j2:1: there is no block body"),
        ({"x/it/body.html.j2": "a"}, r"x/it/body.html.j2: no file of this name is used"),
        (
            {"x.sl.j2": WHY + "{% block content %}<p>a</p>{% endblock %}"},
            r"_words/sl.yaml: missing",
        ),
        ({"_words/it.yaml": "hello: [1]"}, r"_words/it.yaml: must be a list of NAME: text"),
        ({"_words/it.yaml": "hello: Ciao"}, r"_words/it.yaml: .*unsubscribe.* missing"),
        (
            {"_blocks/own.mjml.j2": "{% macro own(a) %}<p>{{ a }}</p>{% endmacro %}"},
            r"own.mjml.j2:1: own needs a twin with the same arguments in _blocks/own.txt.j2",
        ),
        ({"_blocks/own.j2": "{% macro button() %}{% endmacro %}"}, r"button is in _blocks/common"),
    ],
)
def test_a_wrong_file_is_named_when_loading(files: dict[str, str], problem: str) -> None:
    with pytest.raises(TemplateProblem, match=problem):
        Renderer({**OURS, **files}, fallback_locale="it", monotonic=lambda: 0.0)


def test_text_is_written_from_the_same_content() -> None:
    content = """
        <h1>Titolo &amp; altro</h1>
        <p>Uno <strong>due</strong><br>tre
           quattro, <a href="https://a.example/x">qui</a> e <a href="{{ shop.url }}">là</a>
           <a href="mailto:a@b.it">a@b.it</a>.</p>
        <ul><li>primo</li><li>{{ customer.first_name or "secondo" }}</li></ul>
        <mj-button href="{{ shop.url }}">Vai</mj-button>
        <mj-image src="https://a.example/i.png" alt="niente" width="100px" />
        {{ button("Via", "javascript:alert(1)") }}
    """
    lines = rendered_of(content).text.split("\n\n--\n")[0].splitlines()[2:]
    assert lines == [
        "Titolo & altro", "", "Uno due", "tre quattro, qui (https://a.example/x) e là "
        "(https://shop.example) a@b.it.", "", "- primo", "- secondo", "", "Vai: https://shop.example",
    ]  # fmt: skip


def test_the_end_of_a_line_is_a_space_between_words() -> None:
    """Jinja would swallow it after a tag, and `e` and `una` would become `euna`."""
    content = """<p>uno {% if true %}e{% endif %}
        <strong>due</strong>{% if false %}mai{% endif %}
        {% if true %}
        tre
        {% endif %}
        quattro</p>"""
    rendered = rendered_of(content)
    assert "uno e due tre quattro" in rendered.text
    shown = re.sub(r"<[^>]*>", "", rendered.html)
    assert "uno e due tre quattro" in " ".join(shown.split())


def test_braces_written_as_entities_are_no_tags() -> None:
    rendered = rendered_of("<p>&#123;&#123; nobody }} &#123;% if %} &#123;# no #}</p>")
    assert "{{ nobody }} {% if %} {# no #}" in rendered.text


def test_a_text_block_replaces_it() -> None:
    mail = WHY + "{% block content %}<p>a</p>{% endblock %}{% block text %}solo testo{% endblock %}"
    rendered = Renderer(
        {**OURS, "x.it.j2": mail}, fallback_locale="it", monotonic=lambda: 0.0
    ).render("x", "it", KNOWN)
    assert "solo testo" in rendered.text
    assert "solo testo" not in rendered.html


def test_styles_are_in_the_elements_and_nothing_is_fetched() -> None:
    html = rendered_of("<h1>a</h1>{{ button('b', shop.url) }}").html
    assert re.search(r'<h1 style="[^"]*font-size: ?27px', html)
    assert "prefers-color-scheme: dark" in html
    assert 'name="color-scheme" content="light dark"' in html
    assert not re.search(r"<link|@import|fonts\.g|url\(", html)


def test_a_stylesheet_from_elsewhere_is_not_fetched() -> None:
    """MJML lets none into a mail; if one got past it, css-inline would go and get it."""
    asked: list[bytes] = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError), server.accept()[0] as connection:
            asked.append(connection.recv(1_000))

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        link = f'<link rel="stylesheet" href="http://127.0.0.1:{server.getsockname()[1]}/x.css">'
        mjml = MjmlCompiler(attributes="", styles="p { margin: 0 }", blocks=frozenset())
        with suppress(css_inline.InlineError):  # when it asked, and the server hung up
            mjml.inline(f"{link}<p>a</p>")
        with pytest.raises(TemplateProblem, match="MJML"):
            rendered_of(f"<p>a</p><mj-raw>{link}</link></mj-raw>")
    assert asked == []


def test_a_font_that_mjml_would_load_is_not_loaded() -> None:
    html = rendered_of('<mj-text font-family="Roboto">a</mj-text>').html
    assert "Roboto" in html
    assert not re.search(r"<link|@import|googleapis", html)


def test_a_text_in_several_languages_is_said_in_the_mails() -> None:
    coupon = {**COUPON, "description": {"it": "10% sul primo ordine", "en": "10% off"}}
    italian = render("welcome-thanks", coupon=coupon)
    assert "10% sul primo ordine" in italian.html
    assert "10% sul primo ordine" in italian.text
    assert "10% off" in render("welcome-thanks", "en", coupon=coupon).html


def test_a_code_says_what_an_order_must_come_to() -> None:
    coupon = {**COUPON, "minimum": "30.00", "currency": "EUR"}
    for locale, said in (
        ("it", "Per ordini di almeno 30,00"),
        ("en", "For orders of at least €30"),
    ):
        rendered = render("welcome-thanks", locale, coupon=coupon)
        assert said in rendered.html
        assert said in rendered.text
    assert "almeno" not in render("welcome-thanks", coupon=COUPON).text


def test_a_steps_own_address_that_begins_with_a_slash_is_on_the_shops_site() -> None:
    labels = {"it": "Sì", "en": "Yes"}
    for given, link in (("/survey?a=1&b=2", "https://shop.example/survey?a=1&amp;b=2"),
                        ("https://x.example/s", "https://x.example/s"),
                        ("//x.example/s", "")):  # fmt: skip
        answers = [{"label": labels, "url": given}]
        survey = {"question": "?", "answers": answers}
        html = RENDERER.render("survey", "it", {**KNOWN, "survey": survey}).html
        assert (f'href="{link}"' in html) == bool(link)
        assert ("Sì" in html) == bool(link)
    html = RENDERER.render("nurture-4", "it", {**KNOWN, "links": {"guides": "/guide"}}).html
    assert 'href="https://shop.example/guide"' in html


def test_footer_links_are_there_when_they_are_known() -> None:
    links = {f"{name}_url": f"https://a.example/{name}" for name in ("preferences", "browser")}
    rendered = render("cart-reminder", **links)
    for part in (rendered.html, rendered.text):
        assert "https://a.example/preferences" in part
        assert "https://a.example/browser" in part
        assert "https://mail.shop.example/u/t" in part
    rendered = render("cart-reminder", unsubscribe_url=None)
    assert "Annulla" not in rendered.html + rendered.text
