"""The preferences page: what it shows, and that only what was changed is said."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from agents.mail.message.tokens import Preferences
from schemas.customer import Customer
from schemas.customer.consent import Consent, Subscription
from schemas.customer.person import Profile
from streams.clock import VirtualClock
from streams.log import LogUnavailable
from streams.runtime.customers import NotOwned
from tests.http.public.visits import ENGLISH, ITALIAN, PARTITIONS, SiteVisit, visit
from tests.mail.doubles import MemoryLog
from tests.mail.samples import DAY, START

TOKEN = Preferences("u1", "m1", START)
ASKING = Preferences("u1", "m1", START, ("newsletter", "tests"))


def giulia(**fields: Any) -> Customer:
    known: dict[str, Any] = {
        "profile": Profile(email="giulia@example.com", locale="it-IT"),
        "lists": {"newsletter": Subscription(True, 1), "sales": Subscription(False, 1)},
        "consents": {"marketing": Consent(True, 1, "s", "e")},
    }
    return Customer(key="u1", **(known | fields))


def here_is(**options: Any) -> Any:
    return visit(lookup={"u1": giulia()}, **options)


def checked(page: str) -> dict[str, str]:
    """Return what the page shows as chosen."""
    radios = re.findall(r'name="([^"]+)" value="([^"]+)" checked', page)
    selected = re.findall(r'<option value="([^"]*)" selected', page)
    return dict(radios) | {"language": selected[0] if selected else "?"}


CURRENT = {
    "list:newsletter": "yes", "list:sales": "no", "marketing": "yes", "profiling": "no",
    "tracking": "no", "frequency": "normal", "language": "it",
}  # fmt: skip


async def save(here: SiteVisit, **changes: str) -> tuple[int, str]:
    """Post the form as it is shown, with changes."""
    names = {name.replace("list_", "list:"): value for name, value in changes.items()}
    answer, page = await here.post(here.url("p", TOKEN), data=CURRENT | names)
    return answer.status, page


def told(here: SiteVisit) -> list[tuple[str, dict[str, Any]]]:
    """Return what was said, without the proof, which is the same in all."""
    found = []
    for event in here.events():
        data = event.data.model_dump(exclude_none=True, exclude_defaults=True)
        if event.type != "customer.updated":
            proof = {"source": "preferences_page", "wording": ITALIAN.version, "mail": "m1"}
            assert {name: data.pop(name) for name in proof} == proof
        assert (event.source, event.time) == ("/ritorno/public", START)
        found.append((event.type, data))
    return found


@pytest.mark.row("R04")
async def test_the_page_shows_what_holds_now_and_changes_nothing() -> None:
    async with here_is() as here:
        answer, page = await here.get(here.url("p", TOKEN))
        assert answer.status == 200
        assert checked(page) == CURRENT
        assert "giulia" not in page  # whoever has the mail could read it
        assert (await here.get(here.url("p", TOKEN), "HEAD"))[0].status == 200
    assert not here.log.kept


async def test_saving_without_a_change_says_nothing() -> None:
    async with here_is() as here:
        status, page = await save(here)
        assert status == 200
        assert ITALIAN["nothing_changed"] in page
    assert not here.log.kept


async def ask(here: SiteVisit, list_: str, **answers: str) -> str:
    """Post the form of a mail that has asked about a list."""
    address = f"{here.url('p', ASKING)}?list={list_}"
    shown = checked((await here.get(address))[1])
    return (await here.post(address, data=shown | answers))[1]


async def test_a_list_that_a_mail_invites_to_can_be_joined() -> None:
    async with here_is() as here:
        page = await ask(here, "tests", **{"list:tests": "yes"})
        assert ITALIAN["saved"] in page
        assert told(here) == [("list.subscribed", {"list": "tests"})]


async def test_no_to_an_invitation_is_no_change() -> None:
    async with here_is() as here:
        assert ITALIAN["nothing_changed"] in await ask(here, "tests")
    assert not here.log.kept


async def test_a_yes_to_a_list_that_a_mail_asks_about_is_told_though_it_held_before() -> None:
    async with here_is() as here:
        assert ITALIAN["saved"] in await ask(here, "newsletter")
        assert [type_ for type_, _ in told(here)] == ["list.subscribed"]


@pytest.mark.parametrize("name", ["", "<b>", "x" * 64, "News", "tests"])
async def test_only_what_the_mail_has_asked_about_is_asked_about(name: str) -> None:
    async with here_is() as here:
        address = f"{here.url('p', TOKEN)}?list={quote(name)}"
        _, page = await here.get(address)
        assert checked(page) == CURRENT
        answer, page = await here.post(address, data=CURRENT | {f"list:{name}": "yes"})
        assert answer.status == 400
    assert not here.log.kept


async def test_a_thousand_names_in_the_address_say_nothing() -> None:
    async with here_is() as here:
        for number in range(1_000):
            await here.post(f"{here.url('p', ASKING)}?list=made-up-{number}", data=CURRENT)
    assert not here.log.kept


async def test_a_mail_from_before_lists_were_sealed_asks_about_known_ones() -> None:
    async with here_is() as here:
        answer, _ = await here.post(f"{here.url('p', TOKEN)}?list=newsletter", data=CURRENT)
        assert answer.status == 200
    assert [type_ for type_, _ in told(here)] == ["list.subscribed"]


async def test_what_a_mail_asks_about_is_asked_though_nothing_can_be_shown() -> None:
    log = UnreadableLog(VirtualClock(START), PARTITIONS)
    async with visit(log, read_own=elsewhere) as here:
        for name in ("tests", "made-up"):
            await here.post(f"{here.url('p', ASKING)}?list={name}", data={f"list:{name}": "yes"})
    assert told(here) == [("list.subscribed", {"list": "tests"})]


@pytest.mark.parametrize(
    ("changes", "events"),
    [
        ({"tracking": "yes"}, [("consent.given", {"purpose": "tracking"})]),
        ({"profiling": "yes", "tracking": "yes"}, [
            ("consent.given", {"purpose": "profiling"}), ("consent.given", {"purpose": "tracking"}),
        ]),
        ({"marketing": "no"}, [("consent.withdrawn", {"purpose": "marketing"})]),
        ({"list_sales": "yes"}, [("list.subscribed", {"list": "sales"})]),
        ({"list_newsletter": "no", "marketing": "no"}, [
            ("list.unsubscribed", {}), ("consent.withdrawn", {"purpose": "marketing"}),
        ]),
        # Leaving the last list would end marketing, and the form says yes to it.
        ({"list_newsletter": "no"}, [
            ("list.unsubscribed", {}), ("consent.given", {"purpose": "marketing"}),
        ]),
        ({"language": "en"}, [("customer.updated", {"locale": "en"})]),
        ({"frequency": "less"}, [("customer.updated", {"mail_frequency": "less"})]),
        ({"frequency": "less", "language": "en"}, [
            ("customer.updated", {"locale": "en", "mail_frequency": "less"}),
        ]),
    ],
)  # fmt: skip
async def test_only_what_was_changed_is_said(
    changes: dict[str, str], events: list[tuple[str, dict[str, Any]]]
) -> None:
    async with here_is() as here:
        status, page = await save(here, **changes)
        assert status == 200
        assert ITALIAN["saved"] in page
        wanted = {name.replace("list_", "list:"): value for name, value in changes.items()}
        shown = checked(page)
        assert {name: shown[name] for name in wanted} == wanted
    assert told(here) == events


async def test_ending_marketing_shows_that_it_ends_the_lists() -> None:
    async with here_is() as here:
        _, page = await save(here, marketing="no")
        assert checked(page)["list:newsletter"] == "no"


async def test_changes_are_counted_without_saying_whose() -> None:
    async with here_is() as here:
        await save(here, tracking="yes", list_newsletter="no", marketing="no")
    assert dict(here.metrics.seen) == {
        ("consent", "tracking", "given", "preferences_page"): 1,
        ("consent", "list", "withdrawn", "preferences_page"): 1,
        ("consent", "marketing", "withdrawn", "preferences_page"): 1,
    }


async def test_a_choice_that_is_missing_is_left_alone() -> None:
    async with here_is() as here:
        answer, _ = await here.post(here.url("p", TOKEN), data={"tracking": "yes"})
        assert answer.status == 200
    assert told(here) == [("consent.given", {"purpose": "tracking"})]


@pytest.mark.parametrize(
    "form",
    [
        {"marketing": "maybe"}, {"purpose": "yes"}, {"list:unheard": "yes"}, {"list:": "yes"},
        {"list:newsletter": "YES"}, {"language": "de"}, {"frequency": "never"},
        {"customer": "u2"}, {"__proto__": "yes"}, {"marketing": "yes\r\nX: y"},
        {"marketing": "' OR 1=1"}, {"language": "../../etc/passwd"}, {"x" * 500: "yes"},
    ],
)  # fmt: skip
async def test_a_form_that_is_not_ours(form: dict[str, str]) -> None:
    async with here_is() as here:
        answer, page = await here.post(here.url("p", TOKEN), data=form)
        assert answer.status == 400
        assert ITALIAN["not_understood"] in page
    assert not here.log.kept


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": {"x": "y" * 200_000}}, 413),
        ({"data": b"\xff\xfe", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
)
async def test_a_body_that_is_no_form(options: dict[str, Any], status: int) -> None:
    async with here_is() as here:
        answer, _ = await here.post(here.url("p", TOKEN), **options)
        assert answer.status == status
    assert not here.log.kept


async def test_names_from_outside_are_text() -> None:
    name = '"><script>alert(1)</script>'
    person = giulia(lists={name: Subscription(True, 1)})
    async with visit(lookup={"u1": person}) as here:
        _, page = await here.get(here.url("p", TOKEN))
        assert "<script>" not in page
        answer, _ = await here.post(here.url("p", TOKEN), data={f"list:{name}": "no"})
        assert answer.status == 200
    assert here.events()[0].data.list == name


async def test_nobody_is_made_of_nothing() -> None:
    async with visit() as here:
        for method in ("GET", "POST"):
            answer, page = await here.get(here.url("p", TOKEN), method, data={"marketing": "yes"})
            assert answer.status == 200
            assert ITALIAN["nobody"] in page
    assert not here.log.kept


async def test_a_visitor_who_became_a_customer_sees_the_customers_choices() -> None:
    visitor = Customer(key="v9", became="u1")
    async with visit(lookup={"v9": visitor, "u1": giulia()}) as here:
        _, page = await here.get(here.url("p", Preferences("v9", "m1", START)))
        assert checked(page) == CURRENT


def elsewhere(_key: bytes, _partitions: int) -> bytes | None:
    raise NotOwned("another worker's")


async def test_another_workers_customer_is_read_from_the_changelog() -> None:
    from schemas.customer import encode_customer  # noqa: PLC0415  # only here
    from schemas.records import OutRecord  # noqa: PLC0415
    from schemas.topics import CUSTOMERS_CHANGELOG  # noqa: PLC0415
    from streams.partitioner import partition_of  # noqa: PLC0415

    log = MemoryLog(VirtualClock(START), PARTITIONS)
    kept = [OutRecord(b"u1", encode_customer(giulia()))]
    await log.append(CUSTOMERS_CHANGELOG, partition_of(b"u1", PARTITIONS), kept)
    async with visit(log, read_own=elsewhere) as here:
        _, page = await here.get(here.url("p", TOKEN))
        assert checked(page) == CURRENT


class UnreadableLog(MemoryLog):
    async def offsets(self, topic: str) -> Any:
        raise LogUnavailable("no broker")


async def test_what_cant_be_shown_can_be_changed_all_the_same() -> None:
    log = UnreadableLog(VirtualClock(START), PARTITIONS)
    async with visit(log, read_own=elsewhere) as here:
        _, page = await here.get(here.url("p", TOKEN))
        assert ITALIAN["state_unknown"] in page
        assert checked(page) == {"language": ""}  # nothing is claimed
        answer, _ = await here.post(
            here.url("p", TOKEN), data={"marketing": "no", "language": "", "frequency": "less"}
        )
        assert answer.status == 200
    assert told(here) == [
        ("consent.withdrawn", {"purpose": "marketing"}),
        ("customer.updated", {"mail_frequency": "less"}),
    ]


class BrokenLog(MemoryLog):
    async def append(self, *_: object) -> int:
        raise LogUnavailable("no broker")


async def test_a_log_that_is_away_is_admitted() -> None:
    async with here_is(log=BrokenLog(VirtualClock(START), PARTITIONS)) as here:
        assert (await save(here, tracking="yes"))[0] == 503
        for what, data in (("copy", {}), ("erase", {"understood": "yes"})):
            answer, _ = await here.post(here.url("p", TOKEN, f"/{what}"), data=data)
            assert answer.status == 503
    assert not here.metrics.seen


# One's own data.


async def test_a_copy_is_asked_for_with_a_button() -> None:
    async with here_is() as here:
        url = here.url("p", TOKEN, "/copy")
        _, page = await here.get(url)
        assert ITALIAN["copy_text"] in page
        assert not here.log.kept
        _, page = await here.post(url)
        assert ITALIAN["copied"] in page
    assert told(here) == [("customer.data_requested", {})]
    assert here.metrics.seen["request", "copy"] == 1


async def test_erasing_asks_whether_it_is_understood() -> None:
    async with here_is() as here:
        url = here.url("p", TOKEN, "/erase?lang=en")
        for data in ({}, {"understood": "no"}, {"understood": ""}):
            _, page = await here.post(url, data=data)
            assert ENGLISH["erase_understood"] in page
        assert not here.log.kept
        _, page = await here.post(url, data={"understood": "yes"})
        assert ENGLISH["erased"] in page
    (event,) = here.events()
    assert (event.type, event.data.wording) == ("customer.erasure_requested", ENGLISH.version)


@pytest.mark.parametrize("what", ["copy", "erase"])
async def test_an_old_mail_is_no_key_to_somebodys_data(what: str) -> None:
    async with here_is() as here:
        here.clock.advance(START + 31 * DAY)
        for method in ("GET", "POST"):
            answer, page = await here.get(
                here.url("p", TOKEN, f"/{what}"), method, data={"understood": "yes"}
            )
            assert answer.status == 410
            assert ITALIAN["too_old"] in page
        assert (await save(here, tracking="yes"))[0] == 200  # choices are always open
    assert [event.type for event in here.events()] == ["consent.given"]
