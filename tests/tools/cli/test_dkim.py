"""`ritorno dkim`: keys that dkimpy accepts, records it can read, and no key ever overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import dkim
import pytest

from agents.mail.message.compose import Composer
from agents.mail.message.dkim import DkimKey, DkimSigner, read_key
from streams.mail.templates import load_renderer
from streams.runtime.factories import mail_settings
from streams.settings.loading import load_settings
from tests.mail.samples import send
from tests.tools.cli.conftest import Ritorno

HEAD = b"From: negozio@shop.example\r\nSubject: ciao\r\n"
BODY = b"ciao\r\n"
TIME = 1_772_357_400


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_a_new_key_signs_what_its_record_verifies(ritorno: Ritorno, algorithm: str) -> None:
    done = ritorno("dkim", "generate", "r2026", "--algorithm", algorithm, "--json")
    assert done.code == 0
    (made,) = done.json
    assert made["name"] == "r2026._domainkey.shop.example"
    path = Path(made["file"])
    assert path.stat().st_mode & 0o777 == 0o600
    key = DkimKey("shop.example", "r2026", read_key(path.read_bytes()))
    signature = DkimSigner([key]).sign(HEAD, BODY, time=TIME)
    record = made["value"].encode()
    assert dkim.verify(signature + HEAD + b"\r\n" + BODY, dnsfunc=lambda name, timeout=5: record)


def test_records_are_shown_as_a_zone_file_takes_them(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    for selector, algorithm in (("r2026", "rsa"), ("e2026", "ed25519")):
        done = ritorno("dkim", "generate", selector, "--algorithm", algorithm)
        assert f"RITORNO_MAIL_DKIM_SELECTOR={selector}" in done.err
    monkeypatch.setenv("RITORNO_MAIL_DKIM_SELECTOR", "r2026,e2026")
    monkeypatch.setenv("RITORNO_MAIL_DKIM_KEY_FILE", "data/dkim-r2026.pem,data/dkim-e2026.pem")
    long, short = ritorno("dkim", "show").out.splitlines()
    name, strings = long.split(" IN TXT ")
    assert name == "r2026._domainkey.shop.example."
    first, second = json.loads("[" + strings.replace('" "', '", "') + "]")
    assert max(len(first), len(second)) <= 255
    rsa, ed25519 = ritorno("dkim", "show", "--json").json
    assert first + second == rsa["value"]
    assert short == f'e2026._domainkey.shop.example. IN TXT "{ed25519["value"]}"'


def test_both_keys_can_be_kept(ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RITORNO_MAIL_DKIM_SELECTOR", "r2026")
    monkeypatch.setenv("RITORNO_MAIL_DKIM_KEY_FILE", "one.pem")
    done = ritorno("dkim", "generate", "e2026", "--out", "two.pem")
    assert "RITORNO_MAIL_DKIM_SELECTOR=r2026,e2026 " in done.err
    assert f"RITORNO_MAIL_DKIM_KEY_FILE=one.pem,{Path('two.pem').resolve()}" in done.err


def test_mails_are_signed_with_the_keys_that_are_set(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = {}
    for selector, algorithm in (("r2026", "rsa"), ("e2026", "ed25519")):
        (made,) = ritorno("dkim", "generate", selector, "--algorithm", algorithm, "--json").json
        records[f"{made['name']}.".encode()] = made["value"].encode()
    monkeypatch.setenv("RITORNO_MAIL_DKIM_SELECTOR", "r2026,e2026")
    monkeypatch.setenv("RITORNO_MAIL_DKIM_KEY_FILE", "data/dkim-r2026.pem,data/dkim-e2026.pem")
    settings = load_settings()
    composer = Composer(mail_settings(settings), load_renderer(settings.workflows_dir))
    judge = dkim.DKIM(composer.compose(send()).message)
    for each in range(2):
        assert judge.verify(idx=each, dnsfunc=lambda name, timeout=5: records[name])


def test_a_place_for_the_key_that_is_none_is_named(ritorno: Ritorno, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ritorno("dkim", "generate", "s1", "--out", "file/s1.pem")
    assert done.code == 2
    assert "file/s1.pem can't be written: File exists" in done.err


def test_a_key_is_never_overwritten(ritorno: Ritorno) -> None:
    assert ritorno("dkim", "generate", "r2026").code == 0
    before = Path("data/dkim-r2026.pem").read_bytes()
    done = ritorno("dkim", "generate", "r2026")
    assert done.code == 2
    assert "data/dkim-r2026.pem exists already" in done.err
    assert Path("data/dkim-r2026.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "no key is set"),
        ({"SELECTOR": "r2026"}, "MAIL_DKIM_SELECTOR names 1 and RITORNO_MAIL_DKIM_KEY_FILE 0"),
        ({"SELECTOR": "r_2026", "KEY_FILE": "x"}, "RITORNO_MAIL_DKIM_SELECTOR = 'r_2026'"),
        ({"SELECTOR": "r2026", "KEY_FILE": "x"}, "RITORNO_MAIL_DKIM_KEY_FILE: x: No such file"),
        ({"DOMAIN": "shop.example"}, "RITORNO_MAIL_DKIM_DOMAIN is shop.example, so"),
        ({"DOMAIN": "a b"}, "RITORNO_MAIL_DKIM_DOMAIN = 'a b': expected a domain"),
    ],
)
def test_mistakes_name_the_setting(
    ritorno: Ritorno, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], problem: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"RITORNO_MAIL_DKIM_{name}", value)
    done = ritorno("dkim", "show")
    assert done.code == 2
    assert problem in done.err


def test_a_selector_is_a_name_of_the_dns(ritorno: Ritorno) -> None:
    for selector in ("", "a b", "-a", "a" * 64, "è"):
        done = ritorno("dkim", "generate", "--", selector)
        assert done.code == 2
        assert f"SELECTOR = {selector!r}" in done.err
    assert not Path("data").exists()
