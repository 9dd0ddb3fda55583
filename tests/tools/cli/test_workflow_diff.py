"""`ritorno workflows diff`, and what `publish` says of it, with real runs in flight."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streams.clock import VirtualClock
from streams.runtime.factories import log_from
from streams.runtime.worker import Worker
from streams.settings import Settings
from streams.settings.values import Address
from streams.topology import topics
from tests.runtime.doubles import START
from tests.runtime.test_worker import SIGNED_UP, all_done, event, tell
from tests.tools.cli.conftest import Ritorno

PINNED = """
id: cart
title: {it: Carrello, en: Cart}
trigger: cart.changed
entry: {once_per: cart}
exit_on: [order.completed]
steps:
  - {id: reminder, wait: {for: 1h, since: cart.changed}, send: cart-reminder, kind: informative}
  - {id: last, wait: {for: 3d, since: cart.changed}, send: cart-last-call, kind: promotional}
"""
LIVE = """
id: wishes
title: {it: Desideri, en: Wishes}
versions: live
trigger: wishlist.added
entry: {once_per: event}
steps:
  - {id: held, send: cart-reminder, kind: informative}
  - {id: later, wait: 5d, tag: later}
"""
GONE = """
id: views
title: {it: Visite, en: Views}
trigger: product.viewed
entry: {once_per: customer}
steps:
  - {id: pause, wait: 2d, tag: looked}
"""
SEGMENTS = """
id: segments
definition: segments
segments:
  - {id: wishers, if: {interests.wished: {known: true}}}
"""
POLICY = """
id: policy
definition: policy
quiet: {from: "09:30", to: "12:00"}
"""
FILES = {"cart": PINNED, "wishes": LIVE, "views": GONE, "segments": SEGMENTS, "policy": POLICY}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Workflow files, published, with runs in flight on the log that commands use by default."""
    made = tmp_path / "w"
    made.mkdir()
    write(made, FILES)
    (made / "templates").symlink_to(Path(__file__).parents[3] / "workflows" / "templates")
    return made


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text, encoding="utf-8")


async def _live(tmp_path: Path, directory: Path) -> None:
    settings = Settings(
        broker=f"embedded://{tmp_path}/data/log",
        data_dir=tmp_path / "data",
        workflows_dir=directory,
        admin_bind=Address("127.0.0.1", 0),
        public_bind=Address("127.0.0.1", 0),
        partitions=2,
        tick_seconds=60,
    )
    worker = Worker(settings, clock=VirtualClock(START))
    async with asyncio.timeout(20):
        await worker.start()
    try:
        product = {"product_id": "moka", "name": "Moka", "price": "29.90", "quantity": 1}
        cart = {"cart_id": "c1", "currency": "EUR", **product}
        wished = {"product_id": "moka", "name": "Moka"}
        await tell(
            worker.log,
            *SIGNED_UP,
            event("cart.product_added", "e3", "anna", **cart),
            event("cart.product_added", "e4", "bruno", **cart),
            event("wishlist.added", "e5", "anna", **wished),
            event("wishlist.added", "e6", "bruno", **wished),
            event("product.viewed", "e7", "anna", **wished),
        )
        await all_done(worker)
    finally:
        await worker.stop()


def test_what_publishing_would_do_to_runs_in_flight(
    ritorno: Ritorno, tmp_path: Path, directory: Path
) -> None:
    asyncio.run(_live(tmp_path, directory))
    same = ritorno("workflows", "diff", str(directory), "--language", "en")
    assert same.out == "Publishing these files would change nothing.\n"

    write(
        directory,
        {
            "cart": PINNED.replace("1h", "2h"),
            "wishes": LIVE.replace("cart-reminder", "cart-help").replace("id: later", "id: after"),
            "segments": SEGMENTS.replace("known: true", "contains: moka"),
            "policy": POLICY.replace("12:00", "13:00"),
            "new": GONE.replace("id: views", "id: new"),
        },
    )
    (directory / "views.yaml").unlink()
    done = ritorno("workflows", "diff", str(directory), "--language", "en")
    assert done.code == 0, done.err
    assert _without_versions(done.out) == EXPECTED

    [found] = ritorno("workflows", "diff", str(directory), "--json").json
    changes = {change["id"]: change for change in found["changes"]}
    assert (found["published"], found["customers"], found["held"]) == (True, 2, 1)
    assert found["segments"] == {"wishers": 2}
    assert changes["cart"]["runs"][0]["runs"] == 2
    assert changes["cart"]["alterations"][0]["path"] == "wait"
    assert changes["new"]["old"] is None
    [cart_version] = changes["cart"]["due"]
    assert cart_version == changes["cart"]["old"]

    published = ritorno("workflows", "publish", str(directory))
    assert published.code == 0
    assert published.out.splitlines()[-7:] == [
        "changed: 4, new: 1, withdrawn: 1, as they are: 0",
        "  cart: changed (reminder.wait)",
        "  policy: changed (quiet.to)",
        "  segments: changed (segments.wishers.if)",
        "  wishes: changed (− later, held.send, + after)",
        "  new: new",
        "  views: withdrawn",
    ]
    again = ritorno("workflows", "diff", str(directory))
    assert again.out == "Pubblicare questi file non cambierebbe nulla.\n"


EXPECTED = """\
changed: 4, new: 1, withdrawn: 1, as they are: 0
cart, Cart: changed (V → V)
  ~ reminder, wait: 1 hour after the cart has changed → 2 hours after the cart has changed
  in flight, ending with version V: 2 at reminder; next steps due 2026-03-01T10:00:00Z
policy: changed (V → V)
  ~ quiet.to: 12:00 → 13:00
    held mails that it would judge: 1
segments: changed (V → V)
  ~ segments.wishers.if: wish list: known → wish list: with moka (customers in it now: 2)
wishes, Wishes: changed (V → V)
  − later: tag later, after 5 days
  ~ held, send: cart-reminder → cart-help
  + after: tag later, after 5 days (after held)
  in flight, going on at the same step: 1 at held (1 with a held mail)
    held at held: held, send: cart-reminder → cart-help
  in flight, ending since no step is left for them: 1 at later
new, Views: new (V)
views, Views: withdrawn (V)
  no new runs begin
  in flight, ending with version V: 1 at pause; next steps due 2026-03-03T09:00:00Z
"""


def _without_versions(text: str) -> str:
    words = [word.strip("():") for word in text.split()]
    versions = {word for word in words if len(word) == 12 and set(word) <= set("0123456789abcdef")}
    for version in versions:
        text = text.replace(version, "V")
    return text


async def _only_topics(tmp_path: Path) -> None:
    log = log_from(Settings(broker=f"embedded://{tmp_path}/data/log"), VirtualClock(START))
    await log.start()
    await log.create_topics(topics(2))
    await log.stop()


def test_before_anything_is_published(ritorno: Ritorno, tmp_path: Path, directory: Path) -> None:
    missing = ritorno("workflows", "diff", str(directory))
    assert missing.code == 1
    assert "topics create" in missing.err
    asyncio.run(_only_topics(tmp_path))
    done = ritorno("workflows", "diff", str(directory))
    first, *others = done.out.splitlines()
    assert first.startswith("Non è ancora stato pubblicato nulla")
    assert [line.partition(":")[0] for line in others] == [
        "cart, Carrello", "policy", "segments", "views, Visite", "wishes, Desideri"
    ]  # fmt: skip
    assert ritorno("workflows", "diff", str(directory), "--json").json[0]["published"] is False
    assert "changed" not in ritorno("workflows", "publish", str(directory)).out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["nowhere"], "nowhere"), (["w", "--language", "xx"], "no language 'xx'; there are: ")],
)
def test_mistakes_are_said(
    ritorno: Ritorno, directory: Path, arguments: list[str], expected: str
) -> None:
    done = ritorno("workflows", "diff", *arguments)
    assert done.code == 2
    assert expected in done.err


def test_a_mistaken_file_is_named(ritorno: Ritorno, directory: Path) -> None:
    write(directory, {"cart": PINNED.replace("cart.changed", "cart.change")})
    done = ritorno("workflows", "diff", str(directory))
    assert done.code == 2
    assert "cart.yaml:4" in done.err
