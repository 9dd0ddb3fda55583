"""Return addresses name command and customer to us, and to nobody else."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.digests import derived_id
from agents.mail.message.verp import LONGEST_LOCAL_PART, BadReference, Reference, ReturnAddresses
from agents.mail.settings import SigningKey
from schemas.reference import of_visitor

KEYS = (SigningKey("k1", "a secret of some length"),)
COMMAND = derived_id("anna", "run", "step")
DOMAIN = "rimbalzi.negozio.example"


@pytest.fixture
def returns() -> ReturnAddresses:
    return ReturnAddresses(KEYS, DOMAIN)


@pytest.mark.parametrize(
    "customer",
    [
        each
        for id_ in ("1", "8675309123456", "c-1", "anna@x.it", str(uuid.UUID(int=7)))
        for each in (id_, of_visitor(id_))
    ],
)
def test_command_and_customer_come_back(returns: ReturnAddresses, customer: str) -> None:
    sender = returns.sender(COMMAND, customer)
    local = returns.local_part(sender)
    assert local is not None
    assert len(local) <= LONGEST_LOCAL_PART
    assert returns.read(local) == Reference(COMMAND, customer)


def test_servers_that_change_case_do_no_harm(returns: ReturnAddresses) -> None:
    sender = returns.sender(COMMAND, "c-1").upper()
    assert returns.read(returns.local_part(sender) or "") == Reference(COMMAND, "c-1")


def test_a_long_id_does_not_fit_into_a_local_part_but_into_the_header(
    returns: ReturnAddresses,
) -> None:
    customer = "a-customer-with-a-very-long-id@negozio.example"
    local = returns.local_part(returns.sender(COMMAND, customer)) or ""
    assert len(local) <= LONGEST_LOCAL_PART
    assert returns.read(local) == Reference(COMMAND, "")
    assert returns.read(returns.token(COMMAND, customer)) == Reference(COMMAND, customer)


def test_no_id_can_be_read(returns: ReturnAddresses) -> None:
    import base64  # noqa: PLC0415  # this test is what somebody without the key would try

    token = returns.token(COMMAND, "anna@x.it")
    content = base64.b32decode(token[1:].upper() + "=" * (-len(token[1:]) % 8))
    assert b"anna" not in content
    # And the same customer looks different in another mail.
    assert returns.token(derived_id("other"), "anna@x.it")[-14:] != token[-14:]


def test_the_same_mail_has_the_same_address(returns: ReturnAddresses) -> None:
    again = ReturnAddresses(KEYS, DOMAIN.upper())
    assert again.sender(COMMAND, "c-1") == returns.sender(COMMAND, "c-1")


def test_old_keys_still_open(returns: ReturnAddresses) -> None:
    token = returns.token(COMMAND, "c-1")
    rotated = ReturnAddresses((SigningKey("k2", "another secret, newer"), *KEYS), DOMAIN)
    assert rotated.token(COMMAND, "c-1") != token
    assert rotated.read(token) == Reference(COMMAND, "c-1")
    with pytest.raises(BadReference):
        ReturnAddresses((SigningKey("k2", "another secret, newer"),), DOMAIN).read(token)


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_forged_tokens_are_refused(returns: ReturnAddresses, place: int) -> None:
    token = returns.token(COMMAND, "c-1")
    other = "b" if token[place] != "b" else "c"
    with pytest.raises(BadReference):
        returns.read(token[:place] + other + token[place + 1 :])


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(BadReference):
        ReturnAddresses(KEYS, DOMAIN).read(text)


def test_ids_that_are_not_ours_have_no_token(returns: ReturnAddresses) -> None:
    assert returns.token("campaign-7/anna", "c-1") == ""
    assert returns.sender("campaign-7/anna", "c-1") == f"bounce@{DOMAIN}"


def test_other_domains_are_none_of_ours(returns: ReturnAddresses) -> None:
    assert returns.local_part(f"x@{DOMAIN}.example") is None
    assert ReturnAddresses(KEYS).local_part("x@") is None
