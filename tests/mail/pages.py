"""Mails of one file, as the tests of templates use them."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from agents.mail.message.render import Rendered, Renderer
from streams.mail.templates import read_sources, uses_of
from streams.runtime.definitions import read_files
from tests.mail.samples import SETTINGS

SOURCES = read_sources(Path("workflows"))

OURS = {name: text for name, text in SOURCES.items() if name.startswith("_")}
"""Theme, words and blocks, without mails."""

KNOWN = {
    "shop": SETTINGS.shop,
    "zone": "Europe/Rome",
    "unsubscribe_url": "https://mail.shop.example/u/t",
}

USES = uses_of(read_files(Path("workflows"), everything=True).values())

WHY = "{% block subject %}s{% endblock %}{% block why %}w{% endblock %}"


def renderer_of(content: str, *, ticks: float = 0.0, **files: str) -> Renderer:
    """A renderer with one mail, `x`, whose content begins in its second line.

    `ticks`: how many seconds pass each time somebody looks at the clock.
    """
    times = itertools.count(step=ticks) if ticks else itertools.repeat(0.0)
    mail = f"{WHY}\n{{% block content %}}{content}{{% endblock %}}"
    sources = {**OURS, "x.it.j2": mail, **files}
    return Renderer(sources, fallback_locale="it", monotonic=lambda: float(next(times)))


def own_variables(mail: str) -> dict[str, Any]:
    """Return the variables that the steps which send a mail give it themselves."""
    return {key: value for use in USES.get(mail, ()) for key, value in use.variables.items()}


def rendered_of(content: str, **variables: Any) -> Rendered:
    """That mail, rendered."""
    return renderer_of(content).render("x", "it", {**KNOWN, **variables})


STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)


class Tags(HTMLParser):
    """Checks that tags nest, and collects elements, attributes and links."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self.attributes: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


EVERYTHING = """
<h1>Tutti i blocchi, uno per uno</h1>
<p>{{ greeting() }}, ecco {{ name_of(product) }}.
{% if links.guide %}Una <a href="{{ links.guide }}">parola con un link</a> e{% endif %}
<strong>una importante</strong>.</p>
<ul><li>primo punto, abbastanza lungo da andare a capo su uno schermo piccolo</li></ul>
{{ product_hero(product) }}
{{ button("Vedi il prodotto", product.url) }}
<h2>Le schede</h2>
{{ product_cards(products) }}
{{ product_grid(products, "Sta bene con") }}
{{ cart_summary(cart) }}
{{ order_summary(order) }}
{{ tracking(order) }}
{{ coupon_box(coupon) }}
{{ points_box(points) }}
{{ review_quotes(product.reviews) }}
{{ review_stars(product.review_url, "Scrivi una recensione") }}
{{ survey_links(survey) }}
{{ support_box(support) }}
<mj-section><mj-column><mj-text>Colonna uno</mj-text></mj-column>
<mj-column><mj-text>Colonna due</mj-text></mj-column></mj-section>
"""
"""Content with every block."""
