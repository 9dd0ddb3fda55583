"""Certificates for Kafka are exchanged while clients hold the context that was made of the old."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from streams.runtime.logs.kafka.security import KafkaSecurity
from tests.certificates import self_signed


class Broker:
    """Wants a certificate of the client and says whose it was."""

    def __init__(self, own: Path, trusted: Path) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusted)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(own)

    async def name_of(self, context: ssl.SSLContext) -> str:
        """Connect with `context` and return who the broker thinks it was. Raises ssl.SSLError."""
        seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            certificate: Any = writer.get_extra_info("peercert")
            seen.set_result(certificate["subject"][0][0][1])
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
            await reader.read()
            writer.close()
            # Under TLS 1.3 a client learns only afterwards that its certificate was refused.
            return await asyncio.wait_for(seen, 10)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name in ("broker", "new-broker", "worker", "new-worker"):
        found[name] = tmp_path / f"{name}.pem"
        found[name].write_bytes(self_signed(name))
    found["both"] = tmp_path / "both.pem"
    found["both"].write_bytes(found["worker"].read_bytes() + found["new-worker"].read_bytes())
    return found


async def test_a_new_connection_shows_and_trusts_the_new_certificates(
    files: dict[str, Path], tmp_path: Path
) -> None:
    trusted, own = tmp_path / "ca.pem", tmp_path / "own.pem"
    trusted.write_bytes(files["broker"].read_bytes())
    own.write_bytes(files["worker"].read_bytes())
    security = KafkaSecurity(tls=True, ca_file=trusted, cert_file=own, key_file=own)
    context = security.client_settings()["ssl_context"]
    of_faust = security.faust_credentials()
    assert of_faust is not None
    old, new = (Broker(files[name], files["both"]) for name in ("broker", "new-broker"))
    assert await old.name_of(context) == "worker"
    with pytest.raises(ssl.SSLError):
        await new.name_of(context)
    trusted.write_bytes(files["new-broker"].read_bytes())
    own.write_bytes(files["new-worker"].read_bytes())
    security.exchange(KafkaSecurity(tls=True, ca_file=trusted, cert_file=own, key_file=own))
    for each in (context, of_faust.context):
        assert await new.name_of(each) == "new-worker"


async def test_half_a_pair_of_certificate_and_key_changes_nothing(
    files: dict[str, Path], tmp_path: Path
) -> None:
    """As it is for a moment while somebody writes one file after the other."""
    own = tmp_path / "own.pem"
    own.write_bytes(files["worker"].read_bytes())
    security = KafkaSecurity(
        tls=True, ca_file=files["broker"], cert_file=own, key_file=files["worker"]
    )
    context = security.client_settings()["ssl_context"]
    own.write_bytes(files["new-worker"].read_bytes())
    with pytest.raises(ssl.SSLError, match="MISMATCH"):
        security.exchange(
            KafkaSecurity(
                tls=True, ca_file=files["broker"], cert_file=own, key_file=files["worker"]
            )
        )
    assert await Broker(files["broker"], files["both"]).name_of(context) == "worker"


async def test_a_missing_file_changes_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    security = KafkaSecurity(tls=True, ca_file=files["broker"], password="old")
    security.client_settings()
    with pytest.raises(OSError, match="No such file"):
        security.exchange(KafkaSecurity(tls=True, ca_file=tmp_path / "no.pem", password="new"))
    assert security.password == "old"
