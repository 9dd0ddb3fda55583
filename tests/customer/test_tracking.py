"""R05: how much may be noted of openings and clicks, and whether it was a person."""

from __future__ import annotations

import itertools

import pytest

from agents.customer.tracking import (
    BURST_LINKS,
    SOURCE,
    TOO_FAST_MS,
    HitRequest,
    judge,
    most_allowed,
)
from schemas.commands import TrackingMode
from schemas.tracking import MODES, strictest
from tests.harness import FILES, Harness, changed

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/126.0 Safari/537.36"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT} Mobile/15E148"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GMAIL_EARLY = f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/42.0 Edge/12.246 Mozilla/5.0"


def request(agent: str | None = CHROME, **fields: object) -> HitRequest:
    headers = {"accept-language": "it-IT"} | ({} if agent is None else {"user-agent": agent})
    return HitRequest(**{"kind": "click", "method": "GET", "headers": headers} | fields)  # type: ignore[arg-type]  # tests name the fields they mean


@pytest.mark.parametrize(
    ("agent", "verdict", "why"),
    [
        (CHROME, "human", "browser"),
        (IPHONE, "human", "browser"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.0", "human",
         "mail_program"),
        ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "human", "mail_program"),
        (GMAIL, "unknown", "image_proxy"),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "unknown",
         "image_proxy"),
        (GMAIL_EARLY, "machine", "prefetch"),
        ("Mozilla/5.0", "machine", "privacy_proxy"),
        (None, "machine", "no_agent"),
        ("", "machine", "no_agent"),
        ("Barracuda Sentinel (EE)", "machine", "scanner"),
        ("Mozilla/5.0 (compatible; Proofpoint URL Defense)", "machine", "scanner"),
        ("Mozilla/5.0 Microsoft SafeLinks", "machine", "scanner"),
        ("Mimecast/1.0", "machine", "scanner"),
        ("curl/8.4.0", "machine", "program"),
        ("python-requests/2.31", "machine", "program"),
        ("Go-http-client/1.1", "machine", "program"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "machine", "program"),
        ("WhatsApp/2.23", "machine", "program"),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", "machine", "program"),
        ("Mozilla/5.0 (X11; Linux) HeadlessChrome/120.0", "machine", "program"),
    ],
)  # fmt: skip
def test_agents(agent: str | None, verdict: str, why: str) -> None:
    assert judge(request(agent)) == (verdict, why)


def test_a_head_request_is_nobody_reading() -> None:
    assert judge(request(method="HEAD")) == ("machine", "head_request")


@pytest.mark.parametrize("name", ["purpose", "sec-purpose", "x-purpose", "x-moz"])
@pytest.mark.parametrize("value", ["prefetch", "prefetch;prerender", "Preview"])
def test_a_browser_that_looks_ahead_says_so(name: str, value: str) -> None:
    headers = {"user-agent": CHROME, "accept-language": "it", name: value}
    assert judge(request(headers=headers)) == ("machine", "prefetch")


def test_a_browser_without_a_language_is_not_believed_to_be_one() -> None:
    assert judge(request(headers={"user-agent": CHROME})) == ("unknown", "bare_request")


@pytest.mark.parametrize(
    ("age", "verdict"), [(0, "machine"), (TOO_FAST_MS - 1, "machine"), (TOO_FAST_MS, "human"),
                         (None, "human"), (-5_000, "machine")],
)  # fmt: skip
def test_nobody_is_quicker_than_the_mail(age: int | None, verdict: str) -> None:
    assert judge(request(age=age)).verdict == verdict


@pytest.mark.parametrize(
    ("burst", "links", "verdict"),
    [
        (1, 1, "human"),  # the only link there is
        (2, 2, "machine"),
        (2, 3, "human"),  # two tabs
        (BURST_LINKS, 30, "machine"),
        (2, 30, "human"),
        (1, 0, "human"),  # nobody's token: nothing is counted together
    ],
)
def test_following_all_links_at_once(burst: int, links: int, verdict: str) -> None:
    assert judge(request(burst=burst, links=links)).verdict == verdict
    assert judge(request(kind="open", burst=burst, links=links)).verdict == "human"


@pytest.mark.row("R05")
def test_the_most_restrictive_mode_wins() -> None:
    for modes in itertools.product(MODES, repeat=3):
        assert MODES.index(strictest(*modes)) == min(MODES.index(mode) for mode in modes)


@pytest.mark.parametrize(
    ("workflow", "consents", "allowed"),
    [
        (None, False, "anonymous"),
        (None, True, "identified"),
        ("identified", False, "anonymous"),
        ("pseudonymous", False, "anonymous"),
        ("pseudonymous", True, "pseudonymous"),
        ("off", True, "off"),
        ("off", False, "off"),
    ],
)
@pytest.mark.row("R05")
def test_what_workflow_and_person_allow(
    workflow: TrackingMode | None, consents: bool, allowed: str
) -> None:
    harness = Harness().tell("consent.given", purpose="marketing")
    if consents:
        harness.tell("consent.given", purpose="tracking")
    assert most_allowed(harness.customer(), workflow) == allowed


def test_the_command_says_what_was_allowed_when_it_was_decided() -> None:
    harness = Harness().subscribed().order()
    harness.tell("consent.given", purpose="tracking").order("o2")
    harness.tell("consent.withdrawn", purpose="tracking").order("o3")
    assert [command.tracking for command in harness.commands] == [
        "anonymous", "identified", "anonymous",
    ]  # fmt: skip


def hit(harness: Harness, sender: str = SOURCE, **data: str) -> float:
    before = harness.customer().engagement.value
    harness.tell("mail.clicked", sender=sender, command_id="m1", **data)
    return harness.customer().engagement.value - before


def test_only_people_score() -> None:
    harness = Harness().tell("consent.given", purpose="tracking")
    assert hit(harness, verdict="human") == 3
    assert hit(harness, verdict="machine") == 0
    assert hit(harness, verdict="unknown") == 0
    assert hit(harness) == 0


def test_nobody_scores_who_has_said_no_since() -> None:
    harness = Harness().tell("consent.given", purpose="tracking")
    harness.tell("consent.withdrawn", purpose="tracking")
    assert hit(harness, verdict="human") == 0
    assert hit(harness, sender="/another-sender", verdict="human") == 3  # its own responsibility


def test_a_workflow_may_want_less() -> None:
    step = {"id": "a", "send": "order-confirmation", "class": "transactional",
            "kind": "transactional", "tracking": "off"}  # fmt: skip
    quiet = changed("w05-post-purchase", id="quiet", steps=[step])
    harness = Harness(FILES | {"quiet": quiet}).subscribed()
    harness.tell("consent.given", purpose="tracking").order()
    by_workflow = {command.workflow: command.tracking for command in harness.commands}
    assert by_workflow == {"w05-post-purchase": "identified", "quiet": "off"}
