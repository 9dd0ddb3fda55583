"""What a shop's customers would meet: a sender who can't be answered, links that lead nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.operate.check import CheckStatus
from streams.operate.shop_checks import (
    check_coupons,
    check_postal_address,
    check_public_url,
    check_sender,
    generated_campaigns,
)
from streams.runtime.definitions import read_files
from streams.settings import Settings
from streams.topology import CUSTOMER_SIGNALS
from tests.nameserver import nameserver
from tests.runtime.doubles import MemoryLog


def settings(**given: Any) -> Settings:
    return Settings(broker="kafka://kafka-1:9092", **given)


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({}, CheckStatus.WARN, "negozio@shop.example is nobody's"),
        ({"mail_from_address": "a@negozio.it"}, CheckStatus.WARN, "assistenza@shop.example is"),
        (
            {"mail_from_address": "a@negozio.it", "mail_reply_to": "b@altro.it"},
            CheckStatus.OK,
            "a@negozio.it and b@altro.it can be written to",
        ),
        (
            {"mail_from_address": "a@negozio.it", "shop_support_email": "b@muto.it"},
            CheckStatus.FAIL,
            "the DNS knows no mail server of muto.it, so nobody can write to b@muto.it",
        ),
        ({"mail_from_address": "a@gone.it"}, CheckStatus.FAIL, "no mail server of gone.it"),
    ],
)
async def test_a_sender_who_can_be_answered(
    given: dict[str, Any], status: CheckStatus, said: str
) -> None:
    zone = {
        "negozio.it": {"MX": ["10 mx.negozio.it."]},
        "altro.it": {"A": ["192.0.2.1"]},
        "muto.it": {"MX": ["0 ."]},
    }
    async with nameserver(zone) as server:
        check = await check_sender(settings(**given), server.resolver())
        assert check.status is status
        assert said in check.text
        assert bool(check.remedy) == (status is not CheckStatus.OK)
        server.broken = True
        check = await check_sender(settings(mail_from_address="a@x.it"), server.resolver())
        assert check.status is CheckStatus.WARN and "can't be asked about x.it" in check.text


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("", CheckStatus.WARN),
        ("http://127.0.0.1:8080", CheckStatus.WARN),
        ("https://localhost", CheckStatus.WARN),
        ("https://192.168.1.7", CheckStatus.WARN),
        ("https://[::1]", CheckStatus.WARN),
        ("https://links.shop.example", CheckStatus.WARN),
        ("https://intranet.local", CheckStatus.WARN),
        ("http://links.negozio.it", CheckStatus.WARN),
        ("https://links.negozio.it", CheckStatus.OK),
        ("https://93.184.215.14", CheckStatus.OK),
    ],
)
def test_a_public_url_that_the_world_reaches(url: str, status: CheckStatus) -> None:
    check = check_public_url(settings(mail_public_url=url))
    assert check.status is status
    assert (url or "http://127.0.0.1:8080") in check.text
    assert ("MAIL_PUBLIC_URL" in check.remedy) == (status is CheckStatus.WARN)


def test_a_postal_address() -> None:
    assert check_postal_address(settings()).remedy == "Set RITORNO_SHOP_POSTAL_ADDRESS."
    told = check_postal_address(settings(shop_postal_address="Via Roma 1, Siena"))
    assert (told.status, told.text) == (CheckStatus.OK, "Via Roma 1, Siena")


async def test_codes_that_no_till_knows(tmp_path: Path) -> None:
    log, given = MemoryLog(), settings()
    check = await check_coupons(given, log, ["ours"])
    assert (check.status, check.text) == (
        CheckStatus.WARN,
        "no till knows the codes of free-delivery, welcome: nobody reads customer-signals, where "
        "they are told",
    )
    log.read_by[CUSTOMER_SIGNALS] = ["ours"]
    assert (await check_coupons(given, log, ["ours"])).status is CheckStatus.WARN
    log.read_by[CUSTOMER_SIGNALS] = ["ours", "till"]
    check = await check_coupons(given, log, ["ours"])
    assert (check.status, check.text.partition(" ")[0]) == (CheckStatus.OK, "till")
    (tmp_path / "w.yaml").write_text("id: w\n")
    check = await check_coupons(settings(workflows_dir=tmp_path), log, [])
    assert check.status is CheckStatus.FAIL and "w.yaml" in check.text


def test_codes_of_pools_are_the_shop_s_own() -> None:
    files = read_files(settings().workflows_dir)
    assert generated_campaigns(files) == ["free-delivery", "welcome"]
    coupons = files["coupons"].replace(b'"pool":[]', b'"pool":["A1"]')
    if coupons == files["coupons"]:
        coupons = coupons.replace(b'"id":"welcome"', b'"id":"welcome","pool":["A1"]')
        assert generated_campaigns({**files, "coupons": coupons}) == ["free-delivery"]
    else:
        assert generated_campaigns({**files, "coupons": coupons}) == []
