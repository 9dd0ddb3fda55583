"""Flags over environment over file over defaults; mistakes are named, secrets are not."""

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from schemas.records import OutRecord, Record
from schemas.signing import NotSigned
from streams.runtime.factories import (
    consumer_group,
    coupon_key,
    mail_settings,
    record_signer,
    signing_keys,
)
from streams.settings import Settings
from streams.settings.loading import load_settings
from streams.settings.sources import SECRETS, SettingsError
from streams.settings.values import Address


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_need_no_broker_and_no_network() -> None:
    settings = load_settings()
    assert settings.broker_url == "embedded://data/log"
    assert settings.embedded_path == Path("data/log")
    assert not settings.on_kafka
    assert settings.admin_bind == Address("127.0.0.1", 9464)
    assert (settings.workflows_dir / "..").resolve() == Path(__file__).parents[2]


def test_what_ci_asks_of_the_tests_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command would refuse it, and with it every test that starts one."""
    ci = (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")
    names = set(re.findall(r"export (RITORNO_\w+)=", ci))
    assert len(names) > 3
    for name in names:
        monkeypatch.setenv(name, "1")
    load_settings()


def test_each_place_wins_over_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ritorno.toml").write_text(
        'worker_id = "file"\nstore = "memory"\n[shop]\nname = "File"\nsupport_email = "f@x.it"\n'
    )
    assert load_settings().worker_id == "file"
    assert load_settings().shop_name == "File"
    monkeypatch.setenv("RITORNO_WORKER_ID", "environment")
    monkeypatch.setenv("RITORNO_SHOP_NAME", "Environment")
    assert load_settings().worker_id == "environment"
    assert load_settings().shop_name == "Environment"
    assert load_settings().shop_support_email == "f@x.it"
    assert load_settings(worker_id="flag").worker_id == "flag"
    assert load_settings(worker_id=None).worker_id == "environment"


def test_file_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other, third = tmp_path / "other.toml", tmp_path / "third.toml"
    other.write_text('worker_id = "other"')
    third.write_text('worker_id = "third"')
    monkeypatch.setenv("RITORNO_CONFIG", str(other))
    assert load_settings().worker_id == "other"
    assert load_settings(config=third).worker_id == "third"
    monkeypatch.setenv("RITORNO_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"RITORNO_CONFIG: no file nowhere\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BROKER", "localhost:9092", "RITORNO_BROKER = 'localhost:9092': expected kafka://HOST"),
        ("BROKER", "kafka://", "RITORNO_BROKER"),
        ("BROKER", "kafka://a:99999", "expected HOST:PORT"),
        ("ADMIN_BIND", "9464", "RITORNO_ADMIN_BIND = '9464': expected HOST:PORT"),
        ("PARTITIONS", "0", "RITORNO_PARTITIONS = '0'"),
        ("TICK_SECONDS", "often", "RITORNO_TICK_SECONDS = 'often'"),
        ("SHOP_ZONE", "Europe/Rom", "expected a time zone's name"),
        ("SHOP_NAME", "a\nBcc: b@c.it", "line breaks"),
        ("MAIL_FROM_ADDRESS", "nobody", "RITORNO_MAIL_FROM_ADDRESS = 'nobody'"),
        ("WORKER_ID", "../etc", "RITORNO_WORKER_ID = '../etc'"),
        ("STORE", "redis", "RITORNO_STORE = 'redis'"),
    ],
)
def test_a_mistake_names_variable_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"RITORNO_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "http://shop:hunter2hunter2@relay"),
        ("SMTP_URL", "smtp://relay smtp://shop:hunter2hunter2@relay:port"),
        ("TOKEN_KEYS", "not an id:hunter2hunter2hunter2"),
        ("TOKEN_KEYS", "k1:hunter2"),
        ("BROKER", "kafka://shop:hunter2hunter2@broker:9092"),
    ],
)
def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"RITORNO_{name}", value)
    with pytest.raises(SettingsError, match=f"RITORNO_{name}") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_do_not_show_in_the_settings_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RITORNO_SMTP_URL", "smtps://shop:hunter2@relay:465")
    monkeypatch.setenv("RITORNO_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("RITORNO_TOKEN_KEYS", "k1:hunter2hunter2hunter2")
    monkeypatch.setenv("RITORNO_WEBHOOK_SECRET", "hunter2")
    assert "hunter2" not in repr(load_settings())


def test_a_misspelt_name_is_not_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RITORNO_BROKR", "kafka://a:1")
    with pytest.raises(SettingsError, match=r"RITORNO_BROKR.*did you mean RITORNO_BROKER\?"):
        load_settings()
    monkeypatch.delenv("RITORNO_BROKR")
    Path("ritorno.toml").write_text('[shop]\nnmae = "x"')
    with pytest.raises(SettingsError, match="shop_nmae is not a setting; did you mean shop_name"):
        load_settings()


def test_a_variable_that_resembles_no_setting_is_refused_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RITORNO_XYZZY", "1")
    monkeypatch.setenv("RITORNO_KAFKA_PASWORD", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).splitlines() == [
        "RITORNO_KAFKA_PASWORD is not a setting; did you mean RITORNO_KAFKA_PASSWORD?",
        "RITORNO_XYZZY is not a setting; unset it",
    ]


def test_what_kubernetes_tells_a_pod_of_its_services_is_let_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for service in ("RITORNO", "RITORNO_PUBLIC"):
        monkeypatch.setenv(f"{service}_SERVICE_HOST", "10.0.171.239")
        monkeypatch.setenv(f"{service}_SERVICE_PORT", "8080")
        monkeypatch.setenv(f"{service}_SERVICE_PORT_PUBLIC_HTTP", "8080")
        monkeypatch.setenv(f"{service}_PORT", "tcp://10.0.171.239:8080")
        monkeypatch.setenv(f"{service}_PORT_8080_TCP", "tcp://10.0.171.239:8080")
        for part, value in (("PROTO", "tcp"), ("PORT", "8080"), ("ADDR", "10.0.171.239")):
            monkeypatch.setenv(f"{service}_PORT_8080_TCP_{part}", value)
    load_settings()
    monkeypatch.setenv("RITORNO_ADMIN_PORT", "9464")
    with pytest.raises(SettingsError, match="RITORNO_ADMIN_PORT is not a setting; did you mean"):
        load_settings()


_IN_FILES = {
    "smtp_url": "smtps://shop:hunter2@relay:465",
    "inbound_imap_url": "imaps://shop:hunter2@mailbox",
    "kafka_password": "hunter2 and more",
    "token_keys": "a:0123456789abcdef,b:fedcba9876543210",
    "webhook_secret": "hunter2hunter2hunter2hunter2hunter2",
}


def test_every_secret_may_come_from_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = {name for name, field in Settings.model_fields.items() if _is_secret(field)}
    assert secret == set(SECRETS) == set(_IN_FILES)
    for name, value in _IN_FILES.items():
        (tmp_path / name).write_text(value + "\n")
    Path("ritorno.toml").write_text("".join(f'{name}_file = "{name}"\n' for name in SECRETS))
    from_file = load_settings()
    Path("ritorno.toml").write_text('[smtp]\nurl = "smtp://the-environment-wins"\n')
    for name in SECRETS:
        monkeypatch.setenv(f"RITORNO_{name.upper()}_FILE", str(tmp_path / name))
    from_environment = load_settings()
    for name, value in _IN_FILES.items():
        expected = getattr(load_settings(**{name: value}), name)
        assert getattr(from_file, name) == getattr(from_environment, name) == expected
    assert from_file.kafka_password.get_secret_value() == "hunter2 and more"
    assert [key.id for key in from_file.token_keys] == ["a", "b"]


def _is_secret(field: FieldInfo) -> bool:
    shown = str(field.annotation)
    return "SecretStr" in shown or "TokenKey" in shown


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "holds no text"),
        (b"hunter2" * 10_000, "holds more than 65,536 bytes"),
        (b"hunter2 is no key", "expected ID:SECRET"),
    ],
)
def test_a_secret_that_cannot_be_read_from_its_file_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("RITORNO_TOKEN_KEYS_FILE", str(path))
    with pytest.raises(SettingsError, match=f"RITORNO_TOKEN_KEYS_FILE.*{problem}") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_given_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("one")
    Path("ritorno.toml").write_text('[kafka]\npassword = "x"\npassword_file = "password"\n')
    with pytest.raises(SettingsError, match=r"kafka_password_file: kafka_password is set as well"):
        load_settings()
    Path("ritorno.toml").unlink()
    monkeypatch.setenv("RITORNO_KAFKA_PASSWORD", "two")
    monkeypatch.setenv("RITORNO_KAFKA_PASSWORD_FILE", str(tmp_path / "password"))
    with pytest.raises(SettingsError, match="RITORNO_KAFKA_PASSWORD is set as well"):
        load_settings()


def test_domains_of_providers_from_the_environment_and_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("ritorno.toml").write_text('[mail_providers]\n"acme.example" = "microsoft"')
    assert load_settings().mail_providers == {"acme.example": "microsoft"}
    monkeypatch.setenv("RITORNO_MAIL_PROVIDERS", "Acme.example=google, other.example=aruba")
    expected = {"acme.example": "google", "other.example": "aruba"}
    assert load_settings().mail_providers == expected
    monkeypatch.setenv("RITORNO_MAIL_PROVIDERS", "acme.example=gogle")
    with pytest.raises(SettingsError, match=r"RITORNO_MAIL_PROVIDERS.*acme\.example=gogle.*aruba"):
        load_settings()


def test_a_broken_file_is_named() -> None:
    Path("ritorno.toml").write_text("broker = kafka")
    with pytest.raises(SettingsError, match=r"ritorno\.toml: .*line 1"):
        load_settings()


@pytest.mark.parametrize(
    ("value", "problem"),
    [("[" * 100_000, "nested too deeply"), ("9" * 5_000, "Exceeds the limit")],
)
def test_a_file_that_no_reader_can_hold_is_named(value: str, problem: str) -> None:
    Path("ritorno.toml").write_text(f"broker = {value}")
    with pytest.raises(SettingsError, match=rf"ritorno\.toml: .*{problem}"):
        load_settings()


def test_kafka_addresses() -> None:
    settings = load_settings(broker="kafka://one,two:9093,[::1]:9094")
    assert settings.on_kafka
    assert settings.bootstrap_servers == ["one:9092", "two:9093", "[::1]:9094"]


def test_sasl_needs_a_user(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"RITORNO_KAFKA_USERNAME and RITORNO_KAFKA_PASSWORD"):
        load_settings(kafka_security="sasl_tls")
    with pytest.raises(SettingsError, match="RITORNO_KAFKA_CA_FILE: there is no file"):
        load_settings(kafka_security="tls", kafka_ca_file=tmp_path / "missing.pem")


def test_a_login_by_token_needs_where_tokens_come_from(tmp_path: Path) -> None:
    given = {"kafka_security": "sasl_tls", "kafka_sasl_mechanism": "OAUTHBEARER"}
    url, file = "https://login.example/token", tmp_path / "token"
    file.write_text("token")
    for more, problem in (
        ({}, "either RITORNO_KAFKA_TOKEN_URL or RITORNO_KAFKA_TOKEN_FILE"),
        ({"kafka_token_url": url, "kafka_token_file": file}, "either RITORNO_KAFKA_TOKEN_URL or"),
        ({"kafka_token_url": url}, "the client's id and secret"),
        ({"kafka_token_file": tmp_path / "none"}, "RITORNO_KAFKA_TOKEN_FILE: there is no file"),
        ({"kafka_token_url": "http://login.example/token"}, "must be https"),
        ({"kafka_token_url": "https://id:hunter2@login.example/"}, "a client's id and secret go"),
    ):
        with pytest.raises(SettingsError, match=problem) as caught:
            load_settings(**given, **more)
        assert "hunter2" not in str(caught.value)
    load_settings(**given, kafka_token_file=file)
    load_settings(**given, kafka_token_url=url, kafka_username="id", kafka_password="secret")


def test_the_signing_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data")
    first = signing_keys(settings)
    assert signing_keys(settings) == first
    assert ((tmp_path / "data" / "signing-key").stat().st_mode & 0o777) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["signing-key"]


def test_given_keys_are_used_in_order() -> None:
    keys = signing_keys(load_settings(token_keys="new:0123456789abcdef,old:fedcba9876543210"))
    assert [key.id for key in keys] == ["new", "old"]
    assert keys[0].secret == "0123456789abcdef"


def test_shops_with_the_same_keys_believe_nothing_of_each_other() -> None:
    given = {"broker": "kafka://one", "token_keys": "a:0123456789abcdef0123456789abcdef"}
    alone, italian, german = (
        load_settings(**given, topic_prefix=prefix) for prefix in ("", "shop-it.", "shop-de.")
    )
    signed = record_signer(italian).sign("facts", OutRecord(b"key", b"value"))
    record = Record("facts", 0, 0, 0, *signed)
    record_signer(italian).check("facts", record)
    for other in (german, alone):
        with pytest.raises(NotSigned, match="not as it was signed"):
            record_signer(other).check("facts", record)
    assert len({coupon_key(each) for each in (alone, italian, german)}) == 3
    # What was signed before there were prefixes goes on being believed where there is none.
    assert signing_keys(alone)[0].secret == "0123456789abcdef0123456789abcdef"


def test_each_shop_has_a_group_of_its_own() -> None:
    def group(**given: str) -> str:
        return consumer_group(load_settings(**given))

    assert group(broker="kafka://one") == "ritorno"
    assert group(broker="kafka://one", topic_prefix="shop-it.") == "shop-it.ritorno"
    assert group(broker="kafka://one", topic_prefix="shop-it.", group_id="mine") == "mine"
    assert group(topic_prefix="shop-it.", group_id="mine") == "ritorno"


@pytest.mark.parametrize("prefix", ["shop-it", ".it.", "shop it.", "shop/it.", "a" * 100 + "."])
def test_a_prefix_that_no_topic_can_have_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"--topic-prefix = .*expected letters, digits"):
        load_settings(topic_prefix=prefix)


def test_mail_settings_fall_back_to_the_shop() -> None:
    mail = mail_settings(load_settings(shop_name="Bottega", shop_support_email="aiuto@x.it"))
    assert (mail.from_name, mail.reply_to) == ("Bottega", "aiuto@x.it")
    assert mail.public_url == "http://127.0.0.1:8080"


def test_plain_http_links_are_refused_outside_loopback() -> None:
    with pytest.raises(SettingsError, match=r"RITORNO_MAIL_PUBLIC_URL: must be https"):
        mail_settings(load_settings(mail_public_url="http://mail.shop.example"))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tracking_mode", "everything", "RITORNO_TRACKING_MODE"),
        ("tracking_hosts", "shop.example, https://x", "RITORNO_TRACKING_HOSTS"),
        ("confirm_days", "0", "RITORNO_CONFIRM_DAYS"),
        ("consent_evidence_ip", "perhaps", "RITORNO_CONSENT_EVIDENCE_IP"),
    ],
)
def test_privacy_settings_refuse_what_they_do_not_know(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"RITORNO_{name.upper()}", value)
    with pytest.raises(SettingsError, match=expected):
        load_settings()


def test_tracking_is_anonymous_unless_the_shop_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mail_settings(load_settings()).tracking == "anonymous"
    monkeypatch.setenv("RITORNO_TRACKING_MODE", "identified")
    monkeypatch.setenv("RITORNO_TRACKING_HOSTS", "Corriere.example, città.example")
    settings = mail_settings(load_settings())
    assert settings.tracking == "identified"
    assert settings.tracking_hosts == ("corriere.example", "xn--citt-3na.example")


def test_a_new_key_of_links_changes_no_coupon_code() -> None:
    old, new = "old:fedcba9876543210", "new:0123456789abcdef"
    keys = [coupon_key(load_settings(token_keys=each)) for each in (old, f"{new},{old}", new)]
    assert keys[0] == keys[1] != keys[2]


def test_the_defaults_would_be_accepted() -> None:
    fields = Settings.model_fields
    defaults = {
        name: field.get_default(call_default_factory=True) for name, field in fields.items()
    }
    checked = Settings.__pydantic_validator__.validate_python(defaults)
    assert {name: getattr(checked, name) for name in fields} == defaults


FEED = """
[[feeds]]
name = "negozio"
url = "https://negozio.example.it/feed.xml?key=hunter2"
every = "30m"
whole = true
map = {lasts = "custom_label_0"}
[[feeds]]
name = "outlet"
url = "https://outlet.example.it/products.json"
"""


def test_feeds_are_tables_of_the_file_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ritorno.toml").write_text(FEED)
    first, second = load_settings().feeds
    assert (first.name, first.every, first.whole, first.map) == (
        "negozio", 1_800_000, True, {"lasts": "custom_label_0"},
    )  # fmt: skip
    assert (second.kind, second.every, second.variants) == ("auto", 3_600_000, "folded")
    assert "hunter2" not in repr(load_settings())
    monkeypatch.setenv("RITORNO_FEEDS", '[{"name": "x", "url": "https://x.example.it/"}]')
    assert [each.name for each in load_settings().feeds] == ["x"]


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('"30m"', '"5s"', "feed negozio: every: "),
        ('"30m"', '"often"', "feed negozio: every: not a duration"),
        ("lasts", "colour", "feed negozio: map: colour is no field of a product"),
        ("https://negozio", "https://u:hunter2@negozio", "feed negozio: url: no user and password"),
        ("https://negozio", "ftp://negozio", "feed negozio: url: expected http://"),
        ("outlet", "negozio", "two feeds are called negozio"),
        ("whole", "hole", "feed negozio: hole: no such field; did you mean whole?"),
    ],
)
def test_a_feed_that_cannot_be_is_named_without_its_url(
    before: str, after: str, complaint: str
) -> None:
    Path("ritorno.toml").write_text(FEED.replace(before, after))
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)
