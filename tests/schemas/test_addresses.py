"""Two spellings of one mailbox are one address; what is sent to is what was given."""

from __future__ import annotations

import pytest

from agents.digests import address_digest, derived_id, is_digest_of
from schemas.addresses import normalized_address, same_address, trimmed_address


@pytest.mark.parametrize(
    "address",
    [
        "Rosa@Example.COM",
        " rosa@example.com\n",
        "rosa@example.com\u200b",
        "\ufeffrosa@example.com",
        "ro\u00adsa@exam\u2060ple.com",
    ],
)
def test_spellings_of_one_mailbox(address: str) -> None:
    assert normalized_address(address) == "rosa@example.com"
    assert same_address(address, "rosa@example.com")
    assert address_digest(address) == address_digest("rosa@example.com")


@pytest.mark.parametrize("domain", ["città.example", "CITTÀ.example", "xn--citt-3na.example"])
def test_a_domain_is_compared_in_ascii(domain: str) -> None:
    assert normalized_address(f"rosa@{domain}") == "rosa@xn--citt-3na.example"


def test_what_stands_before_the_domain_is_composed() -> None:
    assert same_address("rose\u0301@example.com", "rosé@example.com")


@pytest.mark.parametrize("other", ["rosa@example.it", "ros.a@example.com", "", "rosa"])
def test_another_mailbox_is_another(other: str) -> None:
    assert not same_address("rosa@example.com", other)
    assert not same_address("", "")


@pytest.mark.parametrize("odd", ["", "@", "rosa", f"rosa@{'à' * 80}.example", "a@b@c"])
def test_what_is_no_address_has_a_form_of_its_own(odd: str) -> None:
    assert normalized_address(odd) == odd.lower()


def test_only_what_cant_be_seen_is_trimmed() -> None:
    assert trimmed_address(" Rosa\u200b@Example.com ") == "Rosa@Example.com"


def test_hashes_that_were_kept_are_still_found() -> None:
    assert address_digest(" Rosa@Example.com") == derived_id("rosa@example.com")
    assert is_digest_of(derived_id("rosa@città.example"), "Rosa@città.example")
    assert is_digest_of(address_digest("rosa@xn--citt-3na.example"), "Rosa@città.example")
    assert not is_digest_of(address_digest("rosa@example.com"), "rosa@example.it")
