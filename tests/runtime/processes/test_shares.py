"""What each of several processes gets of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.runtime.processes.shares import shares
from streams.settings import Settings
from streams.settings.sources import SettingsError
from streams.settings.values import Address


def settings(**given: object) -> Settings:
    return Settings(
        **{"broker": "kafka://k:9092", "token_keys": "k1:a-secret-of-these-tests", **given}
    )


def test_each_has_an_id_a_directory_and_ports_of_its_own(tmp_path: Path) -> None:
    given = settings(
        data_dir=tmp_path, worker_id="w", public_bind="0.0.0.0:0", internal_bind="0.0.0.0:9465",
        internal_address="host", inbound_maildir=tmp_path, admin_bind="0.0.0.0:9464",
    )  # fmt: skip
    one, two = shares(given, 2, 8080)
    assert (one.worker_id, two.worker_id) == ("w-1", "w-2")
    assert (one.data_dir, two.data_dir) == (tmp_path / "1", tmp_path / "2")
    assert one.public_bind == two.public_bind == Address("0.0.0.0", 8080)
    assert one.ingest_bind is None
    assert (one.internal_bind.port, two.internal_bind.port) == (9465, 9466)
    assert one.internal_address == two.internal_address == Address("host", 0)
    assert one.admin_bind == two.admin_bind == Address("127.0.0.1", 0)
    assert (one.inbound_maildir, two.inbound_maildir) == (tmp_path, None)
    assert one.token_keys == two.token_keys == given.token_keys


def test_they_share_the_ingest_port(tmp_path: Path) -> None:
    one, two = shares(settings(data_dir=tmp_path, ingest_bind="0.0.0.0:0"), 2, 8080, 8090)
    assert one.ingest_bind == two.ingest_bind == Address("0.0.0.0", 8090)


def test_they_share_keys_or_do_not_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TOKEN_KEYS: needed on Kafka"):
        shares(settings(data_dir=tmp_path, token_keys=()), 2, 8080)


def test_the_embedded_log_has_one_process(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--processes 3: the embedded log is read by one"):
        shares(settings(broker="", data_dir=tmp_path), 3, 8080)
