"""Templates that run away and data that lies: a mail is right, or fails with its reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agents.mail.message.compose import Composer
from agents.mail.message.formats import url
from agents.mail.message.render import Renderer, RenderError, TemplateProblem
from agents.mail.templates import sandbox
from agents.mail.templates.sample import FULL
from streams.mail.templates import load_renderer
from tests.mail.pages import (
    EVERYTHING,
    KNOWN,
    STYLE,
    Tags,
    own_variables,
    rendered_of,
    renderer_of,
)
from tests.mail.samples import CART, SETTINGS, VARIABLES, send
from tests.mail.servers import parse

MAILS = load_renderer(Path("workflows"))
BLOCKS = renderer_of(EVERYTHING)

LONG = "x" * 500_000


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<p>a\n{{ nobody }}</p>", r"x.it.j2:3: 'nobody' is undefined"),
        ("<p>a</p>\n<p>b {{ cart.nothing }}</p>", r"x.it.j2:3: .*no attribute 'nothing'"),
        ("\n{{ button('a', order.url) }}", r"x.it.j2:3: in _blocks/common.mjml.j2:3: 'None' has"),
        ("<p>{{ 1 / 0 }}</p>", r"x.it.j2:2: division by zero"),
        # Out of the sandbox.
        ("<p>{{ customer.__class__.__mro__ }}</p>", "unsafe"),
        ("<p>{{ ''.__class__ }}</p>", "unsafe"),
        ("<p>{{ '{0.__class__}'.format(1) }}</p>", "unsafe"),
        ("<p>{{ cart.lines.append(1) }}</p>", "unsafe|safely"),
        ("<p>{{ range.__globals__ }}</p>", "unsafe|undefined|no attribute"),
        # 10⁸ characters, and more.
        ("<p>{{ 'x' * 10 ** 8 }}</p>", "for numbers"),
        ("<p>{{ 10 ** 8 * 'x' }}</p>", "for numbers"),
        ("<p>{{ [1] * 10 ** 8 }}</p>", "for numbers"),
        ("<p>{{ '%0100000000d' % 1 }}</p>", "for numbers"),
        ("<p>{{ 'x'.ljust(10 ** 8) }}</p>", "unsafe"),
        ("<p>{{ 'x'.replace('', 'y') }}</p>", "unsafe"),
        ("<p>{{ '{:>100000000}'.format(1) }}</p>", "can't pad"),
        ("<p>{{ '{:{}}'.format(1, 10 ** 8) }}</p>", "can't pad"),
        ("<p>{{ 9 ** 9 ** 9 ** 9 }}</p>", "too much for a mail"),
        ("<p>{% for n in range(10 ** 8) %}{% endfor %}</p>", "[Rr]ange too big"),
        ("<p>{% for n in range(99999) %}{{ event.long }}{% endfor %}</p>", "more than"),
        ("{% set a = event.long ~ event.long %}<p>{{ a }}</p>", "more than 256 KB"),
        (
            "<p>{% set a %}" + "{{ event.long }}" * 9 + "{% endset %}"
            "{% set b %}" + "{{ a }}" * 9 + "{% endset %}{{ b }}</p>",
            "writes more than 2048 KB",
        ),
    ],
)  # fmt: skip
def test_a_template_can_not_run_away(content: str, problem: str) -> None:
    known = {**KNOWN, "cart": CART, "event": {"long": LONG[:200_000]}}
    with pytest.raises(RenderError, match=problem):
        renderer_of(content).render("x", "it", known)


def test_there_is_no_way_around_the_escaping() -> None:
    for filter_ in ("safe", "forceescape", "xmlattr", "urlize", "map('safe')"):
        with pytest.raises(Exception, match=r"[Nn]o filter|'safe'"):
            rendered_of(f"<p>{{{{ [customer.first_name] | {filter_} | list }}}}</p>")


def test_a_slow_template_is_stopped() -> None:
    slow = renderer_of("<p>{% for n in range(99) %}{{ n }}{% endfor %}</p>", ticks=0.5)
    with pytest.raises(RenderError, match="takes longer than 2 s"):
        slow.render("x", "it", KNOWN)


def test_a_loop_that_writes_nothing_is_stopped() -> None:
    """Nothing comes out of it, so only the loop itself can look at the clock."""
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(RenderError, match=r"x.it.j2:2: takes longer than 2 s"):
        renderer_of(f"<p>{loops}</p>", ticks=0.01).render("x", "it", KNOWN)


@pytest.mark.parametrize(
    ("macro", "problem"),
    [
        ("{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}", "calls more than 20000"),  # 2²⁰
        ("{{ m(n + 1) }}", "recursion depth"),
    ],
)
def test_macros_that_call_themselves_are_stopped(macro: str, problem: str) -> None:
    block = f"{{% macro m(n) %}}{macro}{{% endmacro %}}"
    mails = renderer_of("<p>{{ m(20) }}</p>", **{"_blocks/bomb.j2": block})
    with pytest.raises(RenderError, match=f"x.it.j2:2: in _blocks/bomb.j2:1: .*{problem}"):
        mails.render("x", "it", KNOWN)


def test_a_call_looks_at_the_clock() -> None:
    block = "{% macro m() %}{% endmacro %}"
    mails = renderer_of("<p>" + "{{ m() }}" * 9 + "</p>", ticks=0.2, **{"_blocks/a.j2": block})
    with pytest.raises(RenderError, match="takes longer than 2 s"):
        mails.render("x", "it", KNOWN)


def test_no_template_reaches_its_guard() -> None:
    """It is no name: neither to be asked nor to be replaced by one that lets everything pass."""
    with pytest.raises(RenderError, match="'_guard' is undefined"):
        rendered_of("<p>{{ _guard }}</p>")
    assert not sandbox.GUARD.isidentifier()


@pytest.mark.parametrize(
    "content", ["{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ " + "-" * 5000 + "1 }}",
                "{% if 1 %}" * 1000 + "{% endif %}" * 1000, "<div>" * 3000 + "</div>" * 3000],
)  # fmt: skip
def test_a_template_that_nests_without_end_is_named(content: str) -> None:
    with pytest.raises(TemplateProblem, match=r"^x\.it\.j2: nested too deeply"):
        renderer_of(f"<p>{content}</p>")


def test_a_number_of_five_thousand_digits_is_named() -> None:
    with pytest.raises(TemplateProblem, match=r"^x\.it\.j2: Exceeds the limit"):
        renderer_of("<p>{{ " + "9" * 5000 + " }}</p>")


def test_words_of_a_thousand_million_aliases_are_named() -> None:
    words = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(TemplateProblem, match=r"_words/it\.yaml:5: more than 100000 values"):
        renderer_of("<p>a</p>", **{"_words/it.yaml": words})


@pytest.mark.parametrize("name", ["cart", "order", "products", "coupon", "points", "survey"])
def test_a_variable_that_is_not_what_it_should_be_is_this_mails_reason(name: str) -> None:
    with pytest.raises(RenderError, match=r"variables can't be read"):
        renderer_of("<p>a</p>").render("x", "it", {**KNOWN, name: 7})


def test_a_hundred_million_characters_are_this_mails_reason() -> None:
    with pytest.raises(RenderError, match="100000000 characters, more than 256 KB"):
        MAILS.render("welcome-tips", "it", {**KNOWN, "customer": {"first_name": "x" * 10**8}})
    with pytest.raises(RenderError, match=r"variables can't be read|more than"):
        MAILS.render("cart-reminder", "it", {**KNOWN, "cart": {**CART, "lines": [LINE] * 9_999}})


LINE = {**CART["lines"][0], "name": "x" * 999}

HOSTILE = {
    "markup": "<script>alert(1)</script>",
    "attribute": '" onload="alert(1)" x="',
    "quote": "' onmouseover='alert(1)",
    "comment": "--><img src=x onerror=alert(1)><!--",
    "conditional": "<![endif]--><b>x</b>",
    "style": "</style><style>body{display:none}",
    "template": "{{ 7 * 7 }}{% raw %}{# x #}",
    "mark": "<!--jinja0x-->jinja1x",
    "link": "javascript:alert(1)",
    "lines": "a\r\nBcc: x@example.com\r\n\r\nb\x00\u2028c",
    "direction": "\u202egnp.exe",
    "emoji": "👩‍👩‍👧 " * 50,
}


def spoiled(value: Any, text: str) -> Any:
    """The same data with `text` in every field that holds text."""
    if isinstance(value, dict):
        return {name: spoiled(inner, text) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoiled(inner, text) for inner in value]
    return text if isinstance(value, str) else value


AMOUNTS = (
    "price",
    "old_price",
    "total",
    "subtotal",
    "shipping",
    "discount",
    "tax",
    "minimum",
    "currency",
)


def with_amounts(value: Any, original: Any) -> Any:
    """Amounts as they were: a price that is none is this mail's reason, and tested elsewhere."""
    if isinstance(value, dict):
        return {
            name: original[name] if name in AMOUNTS else with_amounts(inner, original[name])
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [with_amounts(*each) for each in zip(value, original, strict=True)]
    return value


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_in_every_field(text: str) -> None:
    known = with_amounts(spoiled(FULL, text), FULL)
    tries: list[tuple[Renderer, str]] = [(BLOCKS, "x")]
    tries += [(MAILS, name) for name in sorted(MAILS.templates)]
    for renderer, name in tries:
        own = own_variables(name)
        plain = with_amounts(spoiled(FULL, "text"), FULL)
        good = renderer.render(name, "it", {**spoiled(own, "text"), **plain, **KNOWN})
        rendered = renderer.render(name, "it", {**spoiled(own, text), **known, **KNOWN})
        tags, expected = Tags(rendered.html), Tags(good.html)
        assert tags.names == expected.names  # nothing of it became an element
        assert tags.attributes == expected.attributes
        assert all(url(link) or not link for link in tags.links)
        assert "alert(1)" not in "".join(tags.links)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u2028\u202e]", rendered.subject + rendered.text)
        assert "\nBcc:" not in rendered.text
        assert "49" not in rendered.subject
        assert "display:none}" not in "".join(STYLE.findall(rendered.html))


def test_lines_in_every_field_add_no_header() -> None:
    composer = Composer(SETTINGS, MAILS)
    for name, variables in VARIABLES.items():
        urgent = name == "order-confirmation"
        bad = with_amounts(spoiled(variables, HOSTILE["lines"]), variables)
        mail = composer.compose(
            send(urgent=urgent, template=name, variables=bad, name=HOSTILE["lines"])
        )
        parsed = parse(mail.message)
        assert "Bcc" not in parsed
        assert list(parsed) == list(parse(composer.compose(send(urgent=urgent)).message))


def test_a_price_that_is_none_is_this_mails_reason() -> None:
    line = {**CART["lines"][0], "price": "<b>1</b>"}
    with pytest.raises(RenderError, match=r"cart-reminder.it.j2:.*not an amount: '<b>1</b>'"):
        MAILS.render("cart-reminder", "it", {**KNOWN, "cart": {**CART, "lines": [line]}})


def test_links_lead_only_where_they_may_even_when_an_author_forgets() -> None:
    content = '<p><a href="{{ event.page }}">a</a><img src="{{ event.page }}" alt="" width="1"></p>'
    for bad in ("javascript:alert(1)", "data:text/html,x", "vbscript:x", " java\nscript:x"):
        rendered = rendered_of(content, event={"page": bad})
        assert 'href=""' in rendered.html
        assert 'src=""' in rendered.html
        assert "script:" not in rendered.html + rendered.text
