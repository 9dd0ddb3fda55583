"""A file of events is a log: the same output byte for byte, ticks when due, refusals by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.customer import actor
from agents.links.names import is_link
from agents.sending import send_commands
from schemas.customer import decode_customer
from schemas.definitions import version_of
from schemas.instant import parse_instant, to_rfc3339
from schemas.reference import of_visitor
from streams.tools.replay import replay_file
from streams.tools.replayed_partition import Outcome, ReplayError, write
from tests.harness import DAY, FILES, HOUR, MINUTE, START, Harness

LIVE = {name: version_of(content) for name, content in FILES.items()}


def line(number: int, type_: str, at: float | None, customer: str = "anna", **data: Any) -> bytes:
    event: dict[str, Any] = {"specversion": "1.0", "id": f"e{number}", "type": type_,
                             "source": "/shop", "data": data}  # fmt: skip
    event["anonymousid" if customer == "v" else "subject"] = customer
    if at is not None:
        event["time"] = to_rfc3339(START + round(at * 1000))
    return json.dumps(event).encode()


def shop() -> list[bytes]:
    """Two customers and a visitor, over two weeks."""
    return [
        line(1, "list.subscribed", 0.25, email="anna@example.com", confirmed=True),
        line(2, "cart.product_added", MINUTE, "v", product_id="moka", price="9.90"),
        b"",
        line(3, "customer.identified", 2 * MINUTE, anonymous_id="v"),
        line(4, "list.subscribed", HOUR, "bruno", email="bruno@example.com", confirmed=True),
        line(5, "page.viewed", 3 * HOUR, "v"),
        line(6, "order.completed", 2 * DAY, order_id="o1", total="9.90",
             products=[{"product_id": "moka"}]),
        line(7, "cart.product_added", DAY, product_id="tazza"),  # late
        line(8, "order.delivered", 4 * DAY, order_id="o1"),
    ]  # fmt: skip


def play(lines: list[bytes], until: float = 30 * DAY, **options: Any) -> Outcome:
    return replay_file(
        lines,
        until=START + round(until * 1000),
        definitions=Harness().definitions,
        live=LIVE,
        **options,
    )


def commands(outcome: Outcome) -> list[tuple[float, str, str]]:
    found = (json.loads(each[-1]) for each in sorted(outcome.commands))
    return [((parse_instant(c["time"]) - START) / 1000, c["customer"], c["step"]) for c in found]


def test_each_timer_fires_in_its_second() -> None:
    assert commands(play(shop())) == [
        (0.25, "anna", "thanks"),
        (HOUR, "bruno", "thanks"),
        (HOUR + MINUTE, "anna", "reminder"),
        (DAY + MINUTE, "anna", "free-shipping"),
        (2 * DAY, "anna", "w01-confirmation"),
        (2 * DAY + HOUR, "bruno", "tips"),
        (5 * DAY + HOUR, "bruno", "first-purchase"),
        (6 * DAY, "anna", "w03-product-guide"),
        (9 * DAY, "anna", "w04-review-request"),
    ]


def test_two_runs_write_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(play(shop()), tmp_path / name)
    names = ["commands.ndjson", "customers.ndjson", "decisions.ndjson"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes()
        assert all(json.loads(each) for each in content.splitlines())
    first = json.loads((tmp_path / "one" / "commands.ndjson").read_bytes().splitlines()[0])
    assert list(first) == ["id", "time", "customer", "email", "workflow", "step", "class",
                           "kind", "template"]  # fmt: skip


def test_it_decides_as_the_actors_do_live() -> None:
    harness = Harness()
    for raw in [each for each in shop() if each]:
        event = json.loads(raw)
        at = (parse_instant(event["time"]) - START) / 1000
        harness.at(max(at, (harness.now - START) / 1000))
        who = event.get("subject", "v")
        harness.tell(
            event["type"], who, happened=at, id_=event["id"], named=who != "v", **event["data"]
        )
    harness.at(30 * DAY)
    live = [(m.at, m.customer, m.step) for m in harness.mails]
    assert commands(play(shop())) == live
    states = play(shop()).customers
    for key in ("anna", "bruno", of_visitor("v")):
        replayed = decode_customer(key, states[key])
        replayed.weight = harness.customer(
            key
        ).weight  # by the bytes of records, ours are not theirs
        assert replayed == harness.customer(key)


@pytest.mark.parametrize(
    ("until", "mails", "left_out"),
    [(HOUR - 0.001, 1, 5), (HOUR, 2, 4), (HOUR + MINUTE - 1, 2, 4), (HOUR + MINUTE, 3, 4),
     (9 * DAY - 1, 8, 0), (9 * DAY, 9, 0)],
)  # fmt: skip
def test_until_is_the_last_instant(until: float, mails: int, left_out: int) -> None:
    outcome = play(shop(), until)
    assert (len(outcome.commands), outcome.after_until) == (mails, left_out)


def test_a_late_event_arrives_when_it_arrives() -> None:
    lines = [line(1, "page.viewed", 2 * HOUR), line(2, "consent.given", HOUR, purpose="marketing"),
             line(3, "customer.updated", None, email="a@example.com"),
             line(4, "cart.product_added", 0, product_id="p")]  # fmt: skip
    outcome = play(lines)
    assert commands(outcome)[0] == (2 * HOUR, "anna", "reminder")  # due at once, an hour late
    assert outcome.events == 4


def test_refusals_name_their_lines() -> None:
    lines = [*shop()[:1], b"{", line(8, "page.exploded", 1), line(9, "order.completed", 1),
             line(10, "visitor.merged", 2, anonymous_id="v", state="[]")]  # fmt: skip
    outcome = play(lines)
    assert [(where, reason) for where, reason, _ in outcome.refusals] == [
        ("line 2", "invalid_json"), ("line 3", "unknown_type"), ("line 4", "invalid_event"),
        ("line 5", "unknown_type"),
    ]  # fmt: skip
    assert outcome.refusals[2][2].startswith("order_id: ")
    assert outcome.reasons()["unknown_type"] == 2


def test_the_first_event_needs_a_time() -> None:
    with pytest.raises(ReplayError, match="line 2: the first event has no time to begin with"):
        play([b"", line(1, "page.viewed", None)])


def test_progress_is_reported() -> None:
    seen: list[int] = []
    play([line(n, "page.viewed", n) for n in range(4_500)], report=seen.append)
    assert seen == [2_000, 4_000]


def test_an_erased_customer_is_in_no_file(tmp_path: Path) -> None:
    write(play([*shop(), line(9, "customer.erasure_requested", 20 * DAY)]), tmp_path)
    kept = (tmp_path / "customers.ndjson").read_text(encoding="utf-8")
    assert {json.loads(each)["key"] for each in kept.splitlines()} == {"bruno"}


def test_a_refusal_by_an_actor_names_its_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(actor, "_HANDLERS", {**actor._HANDLERS, "page.viewed": fails})
    where, reason, detail = play(shop()).refusals[0]
    assert (where, reason) == ("line 6", "internal_error")
    assert detail.startswith("ZeroDivisionError in agents/")


def test_a_defect_costs_one_event_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    send = send_commands.send

    def fails(someone: Any, *rest: Any, **more: Any) -> Any:
        if someone.key == "bruno":
            raise ZeroDivisionError("a defect")
        return send(someone, *rest, **more)

    expected = [each for each in commands(play(shop())) if each[1] != "bruno"]
    monkeypatch.setattr(send_commands, "send", fails)
    outcome = play(shop())
    assert commands(outcome) == expected
    assert [where for where, *_ in outcome.refusals] == ["line 5"]


def test_lines_about_products_hold_from_where_they_stand() -> None:
    moka = {"sku": "moka", "name": "Moka", "price": "9.90", "lasts": "10d"}
    told = {"type": "product.updated", "time": to_rfc3339(START), "data": moka}
    broken = b'{"type":"product.updated","data":{"sku":"moka"}}'
    order = line(
        1, "order.completed", HOUR, order_id="o1", total="9.90", products=[{"product_id": "moka"}]
    )
    outcome = play([json.dumps(told).encode(), broken, order])
    assert [(where, reason) for where, reason, _ in outcome.refusals] == [
        ("line 2", "invalid_event")
    ]
    assert {each for each in outcome.customers if not is_link(each)} == {"anna"}
    runs_out = decode_customer("anna", outcome.customers["anna"]).orders[0].runs_out
    assert runs_out == START + HOUR * 1000 + 10 * DAY * 1000
