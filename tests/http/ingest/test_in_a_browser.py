"""What pages of a shop say in a real browser to the real ingest: by our script and by Segment's."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from schemas.events import Event
from streams.http.ingest.server import RETRY_SECONDS
from tests import node
from tests.http.ingest.street import (
    IDENTITY_SECRET,
    ITALIAN,
    PUBLIC_KEY,
    STUB,
    Street,
    street,
    visitor,
)
from tests.mail.chromium import Page, chromium, needs_chromium

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

GIVEN = 'data-consent="given"'
KEPT = "[document.cookie, Object.keys(localStorage), Object.keys(sessionStorage)]"
NOTHING: list[Any] = ["", [], []]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with chromium(tmp_path_factory.mktemp("profile"), *ITALIAN) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def here(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Page, here: Street) -> AsyncIterator[Page]:
    async with visitor(browser) as found:
        yield found


async def click(tab: Page, selector: str) -> None:
    await tab.ask(f"document.querySelector({json.dumps(selector)}).click()")


def data(event: Event) -> dict[str, Any]:
    return event.data.model_dump(mode="json", exclude_none=True, exclude_defaults=True)  # type: ignore[no-any-return] # pydantic's


def named(events: list[Event]) -> list[str]:
    return [each.type for each in events]


async def test_a_visit_from_the_shelf_to_the_order(tab: Page, here: Street) -> None:
    here.attributes = GIVEN
    await tab.open(f"{here.shop}/index.html?utm_source=newsletter&utm_campaign=marzo")
    first = await here.heard(2)
    await click(tab, "li:nth-child(2) button")
    await here.heard(3)
    await tab.open(f"{here.shop}/prodotto.html")
    await here.heard(5)
    await click(tab, "main form button")  # which goes to the checkout
    await here.heard(8)
    for step in ("contatti", "spedizione", "pagamento"):
        await click(tab, f"#{step} button")
    events = await here.heard(13)

    assert named(events) == [
        "page.viewed", "product_list.viewed", "cart.product_added",
        "page.viewed", "product.viewed", "cart.product_added",
        "page.viewed", "checkout.started", "checkout.step_completed", "checkout.step_completed",
        "checkout.step_completed", "page.viewed", "order.hinted",
    ]  # fmt: skip
    assert len({each.customer for each in events}) == 1
    assert all(each.public and each.source == "/bottega/site" for each in events)
    odd = [(each.field, each.value, each.kept) for event in events for each in event.odd]
    assert odd == [("price", "'12,50'", True)]  # read all the same
    page, list_, from_the_shelf, _, viewed, added, _, started, *steps, _, ordered = events
    assert data(page) == {
        "url": f"{here.shop}/index.html?utm_source=newsletter&utm_campaign=marzo",
        "path": "/index.html",
        "title": "Caffè e cucina · Bottega del Colle",
    }
    hints = first[0].hints
    assert hints is not None
    assert (hints.locale, hints.zone, hints.campaign) == (
        "it-IT", "Europe/Rome", "newsletter / marzo"
    )  # fmt: skip
    assert data(list_) == {"list_id": "caffe", "category": "Caffè"}
    assert data(from_the_shelf) == {
        "product_id": "TAZZA-R", "name": "Tazza rossa", "price": "12.50", "currency": "EUR",
        "category": "Caffè",
    }  # fmt: skip
    moka = {
        "product_id": "MOKA-3", "name": "Moka 3 tazze", "brand": "Colle", "price": "47.10",
        "category": "Cucina > Caffè", "currency": "EUR", "url": "https://negozio.example.it/p/moka",
        "image_url": "https://negozio.example.it/m.jpg",
    }  # fmt: skip
    assert data(viewed) == moka
    assert data(added) == {**moka, "quantity": 2, "cart_id": "c-17"}
    checkout = {"checkout_id": "k-17", "cart_id": "c-17", "currency": "EUR"}
    assert data(started) == checkout
    assert [data(each) for each in steps] == [
        {**checkout, "step": step} for step in ("contact", "shipping_address", "payment")
    ]
    assert data(ordered)["order_id"] == "1001"


async def test_nothing_is_stored_or_sent_before_consent_and_nothing_is_lost(
    tab: Page, here: Street
) -> None:
    await tab.open(f"{here.shop}/prodotto.html")
    await click(tab, "#desideri")
    await tab.ask("ritorno('track', 'Coupon Applied', {coupon: 'PROVA'})")
    assert await tab.ask(KEPT) == NOTHING
    assert await here.so_far() == []
    agreed = await tab.ask("Date.now()")
    await click(tab, "#accetta")
    events = await here.heard(4)
    assert named(events) == ["page.viewed", "product.viewed", "wishlist.added", "coupon.applied"]
    assert all(each.time is not None and each.time <= agreed + 50 for each in events)
    cookie = await tab.ask("document.cookie")
    assert cookie == f"ritorno_id={events[0].customer}"

    await tab.open(f"{here.shop}/cassa.html")  # it is remembered
    later = await here.heard(6)
    assert {each.customer for each in later} == {events[0].customer}


async def test_who_refuses_has_nothing_kept_and_what_was_held_is_gone(
    tab: Page, here: Street
) -> None:
    await tab.open(f"{here.shop}/prodotto.html")
    await click(tab, "#desideri")
    await click(tab, "#rifiuta")
    await tab.ask("ritorno('track', 'Coupon Applied', {coupon: 'RIFIUTATO'})")
    assert await tab.ask(KEPT) == NOTHING
    await click(tab, "#accetta")
    await tab.ask("ritorno('track', 'Coupon Applied', {coupon: 'ACCETTATO'})")
    [event] = await here.heard(1)
    assert data(event)["coupon_id"] == "ACCETTATO"
    assert (await tab.ask(KEPT))[0] == f"ritorno_id={event.customer}"

    here.log.is_down = True
    await tab.ask("ritorno('track', 'Coupon Applied', {coupon: 'IN CODA'})")
    await here.refused()
    await click(tab, "#rifiuta")  # taken back: also what waits
    assert await tab.ask(KEPT) == NOTHING


async def test_who_leaves_without_an_answer_was_never_there(tab: Page, here: Street) -> None:
    await tab.open(f"{here.shop}/index.html")
    await click(tab, "li button")
    await tab.open(f"{here.shop}/prodotto.html")
    await click(tab, "#accetta")
    assert named(await here.heard(2)) == ["page.viewed", "product.viewed"]
    assert len(await here.so_far()) == 2
    assert await here.dead_letters() == 0  # nor anything without an id


CONSENT_MODE = """<script>
window.dataLayer = [];
function gtag() { dataLayer.push(arguments); }
gtag("consent", "default", {analytics_storage: "granted", region: ["US"]});
</script>"""


async def test_consent_mode_is_heard_when_somebody_was_asked(tab: Page, here: Street) -> None:
    here.head = CONSENT_MODE
    await tab.open(f"{here.shop}/cassa.html")
    assert await tab.ask(KEPT) == NOTHING
    await tab.ask("gtag('consent', 'update', {ad_storage: 'granted'})")
    assert await tab.ask(KEPT) == NOTHING
    await tab.ask("gtag('consent', 'update', {analytics_storage: 'granted'})")
    await here.heard(2)
    assert await tab.ask("dataLayer.length") == 3  # others hear it, too
    await tab.ask("gtag('consent', 'update', {analytics_storage: 'denied'})")
    assert await tab.ask(KEPT) == NOTHING


LATE_TCF = """new Promise(done => {
  window.__tcfapi = (command, version, heard) => {
    window.tell = said => { heard(said, true); };
    done();
  };
  document.body.append(document.createElement("div"));
})"""


async def test_a_tcf_tool_that_comes_late_is_heard(tab: Page, here: Street) -> None:
    await tab.open(f"{here.shop}/cassa.html")
    await tab.ask(LATE_TCF)  # ends when it is asked
    await tab.ask(_said_by_tcf("cmpuishown", "1: true, 8: true"))
    await tab.ask(_said_by_tcf("useractioncomplete", "1: true"))
    assert await tab.ask(KEPT) == NOTHING
    await tab.open(f"{here.shop}/cassa.html")
    await tab.ask(LATE_TCF)
    await tab.ask(_said_by_tcf("tcloaded", "1: true, 8: true"))
    assert named(await here.heard(2)) == ["page.viewed", "checkout.started"]


def _said_by_tcf(status: str, to: str) -> str:
    return f"tell({{eventStatus: '{status}', gdprApplies: true, purpose: {{consents: {{{to}}}}}}})"


async def test_what_is_clicked_on_the_way_out_arrives(tab: Page, here: Street) -> None:
    """Nothing is stored here that a later page could send."""
    here.attributes = f'{GIVEN} data-storage="none"'
    await tab.open(f"{here.shop}/prodotto.html")
    await here.heard(2)
    await tab.command(  # so far away that nothing has left when the page is gone
        "Network.emulateNetworkConditions",
        offline=False, latency=300, downloadThroughput=-1, uploadThroughput=-1,
    )  # fmt: skip
    here.head, here.attributes = "", 'data-storage="none"'
    await click(tab, "#altro")  # a link, which leaves at once
    event = await here.heard_of("cart.product_added")
    assert data(event)["product_id"] == "MOKA-3"


async def test_who_leaves_before_the_page_is_looked_at_has_seen_it(tab: Page, here: Street) -> None:
    here.attributes = GIVEN
    await tab.open(f"{here.shop}/cassa.html")
    await tab.open("about:blank")
    assert named(await here.heard(2)) == ["page.viewed", "checkout.started"]


async def test_while_the_log_is_down_a_page_keeps_a_hundred_events_for_the_next(
    tab: Page, here: Street
) -> None:
    here.attributes = GIVEN
    here.log.is_down = True
    await tab.open(f"{here.shop}/prodotto.html")
    await here.refused()
    await tab.ask(
        "for (let n = 0; n < 150; n++) ritorno('track', 'Products Searched', {query: 'tè ' + n})"
    )
    assert len((await tab.ask(KEPT))[1]) == 100
    await tab.open("about:blank")
    here.log.is_down = False
    await tab.open(f"{here.shop}/index.html")
    events = await here.heard(102)
    searched = {data(each)["query"] for each in events if each.type == "products.searched"}
    assert searched == {f"tè {n}" for n in range(50, 150)}
    await tab.open(f"{here.shop}/index.html")
    await here.heard(104)
    await tab.ask("ritorno('track', 'Coupon Applied', {coupon: 'FINE'})")
    assert len(await here.heard(105)) == 105


async def test_a_single_page_app_has_a_view_and_a_product_each_time(
    tab: Page, here: Street
) -> None:
    here.attributes = GIVEN
    await tab.open(f"{here.shop}/vetrina.html")
    await here.heard(1)
    for count, do in ((3, "go('/p/moka')"), (5, "go('/p/tazza')"), (7, "history.back()")):
        await tab.ask(do)
        await here.heard(count)
    await tab.ask("go('/vetrina.html')")
    events = await here.heard(8)
    assert [
        (data(each).get("path"), data(each).get("title"), data(each).get("product_id"))
        for each in events
    ] == [
        ("/vetrina.html", "Vetrina · Bottega del Colle", None),
        ("/p/moka", "Moka 3 tazze · Bottega del Colle", None),
        (None, None, "MOKA-3"),
        ("/p/tazza", "Tazza rossa · Bottega del Colle", None),
        (None, None, "TAZZA-R"),
        ("/p/moka", "Moka 3 tazze · Bottega del Colle", None),
        (None, None, "MOKA-3"),
        ("/vetrina.html", "Vetrina · Bottega del Colle", None),
    ]
    assert data(events[1])["referrer"] == f"{here.shop}/vetrina.html"


async def test_a_path_behind_a_hash_is_a_page_and_a_place_in_a_page_is_none(
    tab: Page, here: Street
) -> None:
    here.attributes = GIVEN
    await tab.open(f"{here.shop}/vetrina.html#nulla")
    await here.heard(1)
    await tab.ask("location.hash = '/p/moka'")
    await here.heard(3)
    await tab.ask("location.hash = '!/p/tazza?email=anna@example.it&b=2'")
    await here.heard(4)
    await tab.ask(
        "location.hash = '!/p/tazza?email=&b=2#recensioni';"
        "document.body.insertAdjacentHTML('beforeend', '<button data-ritorno=\"Coupon Applied\">')"
    )
    await click(tab, "[data-ritorno]")  # looks first whether it is another page
    events = await here.heard(5)
    home = f"{here.shop}/vetrina.html"
    assert [(each.type, data(each).get("url")) for each in events] == [
        ("page.viewed", home),
        ("page.viewed", f"{home}#/p/moka"),
        ("product.viewed", f"{home}#/p/moka"),
        ("page.viewed", f"{home}#!/p/tazza?email=&b=2"),
        ("coupon.applied", None),
    ]
    assert data(events[1])["referrer"] == home


SHORT_WAITS = """<script>
const real = setTimeout;
window.waited = new Promise(done => {
  window.setTimeout = (then, ms) => {
    if (ms > 2000) done(ms);
    return real(then, ms > 2000 ? 0 : ms);
  };
});
</script>"""


async def test_an_ingest_that_says_when_to_come_again_is_obeyed(tab: Page, here: Street) -> None:
    """It says it to a page of another origin, which may read but what it is allowed to."""
    here.attributes, here.head = GIVEN, SHORT_WAITS + STUB
    here.log.is_down = True
    await tab.open(f"{here.shop}/cassa.html")
    await here.refused()
    waited = await tab.ask("waited")
    assert RETRY_SECONDS * 1_000 <= waited <= (RETRY_SECONDS + 2) * 1_000
    here.log.is_down = False
    assert named(await here.heard(2)) == ["page.viewed", "checkout.started"]


@pytest.mark.parametrize("kind", ["cookie", "local", "session", "none"])
async def test_the_id_is_kept_where_the_shop_wants_it(tab: Page, here: Street, kind: str) -> None:
    here.attributes = f'{GIVEN} data-storage="{kind}"'
    await tab.open(f"{here.shop}/cassa.html")
    first, _ = await here.heard(2)
    cookie, local, session = await tab.ask(
        "[document.cookie, localStorage.ritorno_id, sessionStorage.ritorno_id]"
    )
    kept = {"cookie": cookie, "local": local, "session": session}
    expected = dict.fromkeys(kept) | {"cookie": ""}
    if kind != "none":
        expected[kind] = f"ritorno_id={first.customer}" if kind == "cookie" else first.customer
    assert kept == expected
    await tab.open(f"{here.shop}/cassa.html")
    again = (await here.heard(4))[-1]
    assert (again.customer == first.customer) == (kind != "none")


async def test_who_objects_by_the_browser_is_let_alone(tab: Page, here: Street) -> None:
    here.attributes = GIVEN
    for objection in ("globalPrivacyControl: true", "doNotTrack: '1'"):
        name, value = objection.split(": ")
        added = await tab.command(
            "Page.addScriptToEvaluateOnNewDocument",
            source=f"Object.defineProperty(Navigator.prototype, '{name}', {{get: () => {value}}})",
        )
        await tab.open(f"{here.shop}/prodotto.html")
        await click(tab, "#accetta")
        await click(tab, "#desideri")
        assert await tab.ask(KEPT) == NOTHING
        await tab.command(
            "Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"]
        )
    await tab.open(f"{here.shop}/cassa.html")
    assert named(await here.heard(2)) == ["page.viewed", "checkout.started"]


async def test_who_somebody_is_counts_with_the_shops_word(tab: Page, here: Street) -> None:
    here.attributes = GIVEN
    proof = hmac.new(IDENTITY_SECRET.encode(), b"anna", hashlib.sha256).hexdigest()
    await tab.open(f"{here.shop}/cassa.html")
    await here.heard(2)
    await tab.ask("ritorno('identify', 'anna', {firstName: 'Anna'})")
    claimed = (await here.heard(3))[-1]
    await tab.ask(f"ritorno('identify', 'anna', {{}}, {{userHash: '{proof}'}})")
    link = await here.heard_of("customer.identified")
    assert (claimed.type, claimed.customer, claimed.public) == (
        "customer.updated", claimed.anonymous_id, True
    )  # fmt: skip
    assert (link.customer, link.anonymous_id, link.public) == ("anna", claimed.customer, False)


HOSTILE = [
    "{",
    "null",
    '"Product"',
    '{"@type": "Product", "sku": {"toString": 1}, "name": [[[[[["x"]]]]]]}',
    '{"@type": "Product", "sku": "' + "A" * 90_000 + '"}',
    '{"@type": "Product", "name": "' + "B" * 200_000 + '", "sku": "B"}',
    "[" * 20_000 + "]" * 20_000,
    '{"@graph": ' * 5_000 + "1" + "}" * 5_000,
    '{"@type": "Product", "sku": "S", "offers": [null, 7], "brand": null, "image": {"url": {}}}',
    '{"@type": {"Product": 1}, "__proto__": {"sku": "P"}, "constructor": {"name": 1}}',
    '{"@type": "Product", "sku": "</script><script>alert(1)</script>"}',
    json.dumps([{"@type": "Product", "sku": f"L{n}", "name": f"L{n}"} for n in range(1_500)]),
]
"""Of a page that a plugin, or somebody else, has written: each is one script, put in as text."""


async def test_no_page_breaks_of_hostile_json_ld_and_none_is_believed_beyond_its_fields(
    tab: Page, here: Street
) -> None:
    here.attributes = GIVEN
    await tab.command(
        "Page.addScriptToEvaluateOnNewDocument",
        source="window.failed = []; addEventListener('error', e => failed.push(e.message));",
    )
    await tab.open(f"{here.shop}/vetrina.html")
    await here.heard(1)
    for number, text in enumerate(HOSTILE):
        await tab.ask(
            f"""(() => {{
              const hostile = document.createElement('script');
              hostile.type = 'application/ld+json';
              hostile.text = {json.dumps(text)};
              document.querySelectorAll('[type$="ld+json"]').forEach(each => each.remove());
              document.head.append(hostile);
              history.pushState({{}}, '', '/hostile-{number}');
            }})()"""
        )
        await _page_viewed(here, f"/hostile-{number}")
    await tab.ask("ritorno('track', 'Coupon Applied', {coupon: 'VIVO'})")
    await here.heard_of("coupon.applied")
    assert await tab.ask("failed") == []
    viewed = [each for each in await here.so_far() if each.type == "product.viewed"]
    assert {data(each)["product_id"] for each in viewed} == {
        "S", "</script><script>alert(1)</script>"
    }  # fmt: skip  # and nothing of what is too long, or of many


async def _page_viewed(here: Street, path: str) -> None:
    count = 1
    while True:
        events = await here.heard(count)
        if any(data(each).get("path") == path for each in events):
            return
        count = len(events) + 1


async def test_mistakes_of_a_page_break_nothing(tab: Page, here: Street) -> None:
    here.attributes = GIVEN
    here.head = STUB_TWICE
    await tab.open(f"{here.shop}/cassa.html")
    await here.heard(2)
    assert await tab.ask(
        """(() => {
          const round = {}; round.itself = round;
          ritorno('nonsense'); ritorno('consent'); ritorno();
          ritorno('track', 'Coupon Applied', round);
          ritorno('track', 'Coupon Applied', {coupon: 'x'.repeat(20000)});
          const said = {coupon: 'PRIMA'};
          ritorno('track', 'Coupon Applied', said);
          said.coupon = 'DOPO';
          return 'goes on';
        })()"""
    ) == "goes on"  # fmt: skip
    await tab.ask("twice.then(() => ritorno('track', 'Coupon Applied', {coupon: 'FINE'}))")
    events = await here.heard(4)
    assert [data(each) for each in events[2:]] == [{"coupon_id": "PRIMA"}, {"coupon_id": "FINE"}]
    here.head = STUB
    await tab.open(f"{here.shop}/grazie.html")  # a second script would have said its views by then
    events = await here.heard(6)
    assert named(events)[:2] + named(events)[4:] == [
        "page.viewed", "checkout.started", "page.viewed", "order.hinted"
    ]  # fmt: skip


STUB_TWICE = """<script>ritorno=(...said)=>ritorno.q.push(said);ritorno.q=[]</script>
<script>addEventListener('load', () => {
  const again = document.createElement('script');
  const first = document.querySelector('script[data-key]');
  again.src = first.src; again.dataset.key = first.dataset.key; again.dataset.consent = 'given';
  window.twice = new Promise(done => { again.onload = done; });
  document.head.append(again);
})</script>"""


async def test_addresses_of_people_do_not_leave_with_a_link(tab: Page, here: Street) -> None:
    here.attributes = GIVEN
    await tab.open(f"{here.shop}/cassa.html?a=1&email=anna%40example.it&b=2#anna@example.it")
    page, _ = await here.heard(2)
    assert data(page)["url"] == f"{here.shop}/cassa.html?a=1&email=&b=2"
    links = {
        "/conto/anna@example.it/ordini#/conto/anna%40example.it": "/conto//ordini#/conto/",
        "/cassa.html#/reset/3f9a8b7c6d5e4f3a2b1c?a=1": "/cassa.html#/reset/?a=1",
        "/p/moka-express-3-tazze-2024#/p/8006363012345-caffe": None,
    }
    for count, (link, sent) in enumerate(links.items(), 1):
        await tab.ask(f"history.pushState(0, '', {json.dumps(link)}); ritorno('page')")
        events = [e for e in await here.heard(2 + count) if e.type == "page.viewed"]
        while not data(events[-1])["url"].endswith(sent or link):
            events = [e for e in await here.heard(3 + count) if e.type == "page.viewed"]
        assert data(events[-1])["path"] == (sent or link).partition("#")[0]


LOAD = """AnalyticsNext.AnalyticsBrowser.load({
  writeKey: %(key)s,
  cdnSettings: {
    integrations: {'Segment.io': {apiKey: %(key)s, apiHost: %(host)s, protocol: 'http'}},
  },
}).then(([analytics]) => { window.analytics = analytics; })"""


@node.needs_node
async def test_segments_own_library_with_its_host_set_to_the_ingest(
    tab: Page, here: Street
) -> None:
    proof = hmac.new(IDENTITY_SECRET.encode(), b"anna", hashlib.sha256).hexdigest()
    await tab.open(f"{here.shop}/analytics.html?utm_source=newsletter&utm_campaign=marzo")
    host = f"{here.ingest.removeprefix('http://')}/v1"
    await tab.ask(LOAD % {"key": json.dumps(PUBLIC_KEY), "host": json.dumps(host)})
    await tab.ask("analytics.page('Moka')")
    await tab.ask(
        "analytics.track('Product Added', {product_id: 'MOKA-3', price: 47.1, quantity: 2})"
    )
    await tab.ask("analytics.track('Order Completed', {order_id: '1001', total: 94.2})")
    await tab.ask(
        f"analytics.identify('anna', {{name: 'Anna'}}, {{context: {{userHash: '{proof}'}}}})"
    )
    link = await here.heard_of("customer.identified")
    events = await here.heard(5)
    visitor = await tab.ask("analytics.user().anonymousId()")
    assert (link.customer, link.anonymous_id) == ("anna", visitor)
    page, added, hint = events[:3]
    assert named(events[:3]) == ["page.viewed", "cart.product_added", "order.hinted"]
    assert all(each.customer == visitor and each.public for each in events[:3])
    assert data(page) == {
        "url": f"{here.shop}/analytics.html?utm_source=newsletter&utm_campaign=marzo",
        "path": "/analytics.html", "title": "Con la libreria di Segment", "name": "Moka",
        "referrer": "",
    }  # fmt: skip
    assert page.hints is not None
    assert page.hints.campaign == "newsletter / marzo"
    assert data(added) == {"product_id": "MOKA-3", "price": "47.10", "quantity": 2}
    assert data(hint)["order_id"] == "1001"
