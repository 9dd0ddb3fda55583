"""The file of connections: what it takes, and that its errors name field and value, no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.clock import SystemClock
from streams.connect.connections import read_connections, read_file_of_connections
from streams.connect.kinds import connector_of
from streams.connect.shopify.settings import ShopifyConnection
from streams.settings.loading import load_settings
from streams.settings.operator_file import OperatorFileError
from streams.settings.secret_references import SecretsInUse, read_secret
from streams.settings.sources import SettingsError

SHOPIFY = """
connections:
  - name: negozio
    kind: shopify
    shop: negozio.myshopify.com
    secret: [env:SHOPIFY_SECRET, "file:/run/secrets/before"]
    token: env:SHOPIFY_TOKEN
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    return path


def test_a_shop(tmp_path: Path) -> None:
    (shop,) = read_file_of_connections(written(tmp_path, SHOPIFY))
    assert isinstance(shop, ShopifyConnection)
    assert (shop.name, shop.host, shop.complete_on) == ("negozio", "negozio.myshopify.com", "paid")
    assert shop.secret == ["env:SHOPIFY_SECRET", "file:/run/secrets/before"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("shop: negozio.myshopify.com", "shop: negozio.it"),
            ":5: connections.0.shop: expected the shop's permanent name, such as "
            "negozio.myshopify.com (got 'negozio.it')",
        ),
        (
            ("kind: shopify", "kind: shopfy"),
            ":4: connections.0.kind: expected shopify, "
            "woocommerce, prestashop, magento, plain (got 'shopfy'); did you mean shopify?",
        ),
        (("name: negozio", "name: Mio Negozio"), "'Mio Negozio'"),
        (("kind: shopify", "kind: shopify\n    colour: red"), "colour: no such field; there are"),
        (("secret: [", "secrets: ["), "connections.0.secrets: no such field; did you mean secret?"),
        (("kind: shopify\n    ", ""), ":3: connections.0.kind: missing"),
        (("token: env:SHOPIFY_TOKEN", "api_url: http://shop.example.it"), "must be https"),
        (("token: env:SHOPIFY_TOKEN", "callback: https://u@h/"), "without a user"),
        (("    shop: negozio.myshopify.com\n", ""), "connections.0.shop: missing"),
    ],
)
def test_a_mistake_names_line_field_and_value(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    path = written(tmp_path, SHOPIFY.replace(*change))
    with pytest.raises(OperatorFileError) as caught:
        read_file_of_connections(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("field", ["secret", "token"])
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, field: str) -> None:
    lines = [each for each in SHOPIFY.splitlines() if f" {field}:" not in each]
    path = written(tmp_path, "\n".join([*lines, f"    {field}: shpss_hunter2"]))
    with pytest.raises(OperatorFileError, match=f"connections.0.{field}") as caught:
        read_file_of_connections(path)
    assert "expected env:NAME or file:PATH" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_two_shops_count_their_customers_apart(tmp_path: Path) -> None:
    second = SHOPIFY.partition("connections:")[2].replace("negozio", "altro")
    path = written(tmp_path, SHOPIFY + second)
    with pytest.raises(OperatorFileError, match=r"connections\.1\.customer_prefix"):
        read_file_of_connections(path)
    path = written(tmp_path, SHOPIFY + second + "    customer_prefix: altro-\n")
    assert [each.customer_prefix for each in read_file_of_connections(path)] == ["", "altro-"]
    path = written(tmp_path, SHOPIFY + SHOPIFY.partition("connections:")[2])
    with pytest.raises(
        OperatorFileError, match=r"connections\.1\.name: one before it has the same .got 'negozio'"
    ):
        read_file_of_connections(path)


@pytest.mark.parametrize("text", ["", "connections: []", "# none yet\n", "connections:\n  # - x"])
def test_none(tmp_path: Path, text: str) -> None:
    assert list(read_file_of_connections(written(tmp_path, text))) == []


@pytest.mark.parametrize("text", ["- a", "connections: 7", "a: [", "connections:\n  - 7", "\0"])
def test_what_is_no_file_of_connections(tmp_path: Path, text: str) -> None:
    with pytest.raises(OperatorFileError):
        read_file_of_connections(written(tmp_path, text))


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(read_connections(load_settings(workflows_dir=tmp_path))) == []
    written(tmp_path, SHOPIFY)
    assert len(read_connections(load_settings(workflows_dir=tmp_path))) == 1
    monkeypatch.setenv("RITORNO_CONNECTIONS", str(tmp_path / "elsewhere.yaml"))
    with pytest.raises(OperatorFileError, match=r"RITORNO_CONNECTIONS: there is no file"):
        read_connections(load_settings(workflows_dir=tmp_path))


# Secrets.


def test_secrets_are_exchanged_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, before, passed = tmp_path / "current", tmp_path / "before", [0.0]
    current.write_text("one\n")
    secrets = SecretsInUse([f"file:{current}", f"file:{before}"], passed=lambda: passed[0])
    assert [each.get_secret_value() for each in secrets.get()] == ["one"]
    before.write_text("one")
    current.write_text("two")
    assert [each.get_secret_value() for each in secrets.get()] == ["one"]
    passed[0] = 5.0
    assert [each.get_secret_value() for each in secrets.get()] == ["two", "one"]
    current.unlink()
    passed[0] = 10.0
    assert [each.get_secret_value() for each in secrets.get()] == ["two", "one"]


def test_a_secret_that_is_missing_is_named_with_who_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOPIFY_SECRET", raising=False)
    path = written(tmp_path, SHOPIFY)
    (shop,) = read_file_of_connections(path)
    with pytest.raises(SettingsError) as caught:
        connector_of(shop, SystemClock())
    assert str(caught.value) == (
        f"{path}:6: connections.0.secret.0: env:SHOPIFY_SECRET: the environment variable "
        "SHOPIFY_SECRET is not set where this runs"
    )
    monkeypatch.setenv("SHOPIFY_SECRET", "")
    with pytest.raises(SettingsError, match="SHOPIFY_SECRET is empty"):
        read_secret("env:SHOPIFY_SECRET")
    with pytest.raises(SettingsError, match="there is no file"):
        SecretsInUse([f"file:{tmp_path / 'none'}"])
