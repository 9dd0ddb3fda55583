"""A worker and the commands on a broker that asks for TLS and a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker import KafkaBroker
from tests.faults.fleet import Fleet
from tests.faults.run import SESSION_SECONDS
from tests.ports import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.processes]


@pytest.mark.parametrize(
    "mechanism", [pytest.param("PLAIN", marks=pytest.mark.slow), "SCRAM-SHA-256"]
)
async def test_commands_and_worker_over_tls_with_a_password(
    fresh_broker: KafkaBroker, tmp_path: Path, mechanism: str
) -> None:
    fleet = Fleet(
        tmp_path,
        RITORNO_BROKER=f"kafka://{fresh_broker.sasl_bootstrap}",
        RITORNO_KAFKA_SECURITY="sasl_tls",
        RITORNO_KAFKA_SESSION_SECONDS=str(SESSION_SECONDS),
        RITORNO_KAFKA_SASL_MECHANISM=mechanism,
        RITORNO_KAFKA_USERNAME=fresh_broker.username,
        RITORNO_KAFKA_PASSWORD=fresh_broker.password,
        RITORNO_KAFKA_CA_FILE=str(fresh_broker.ca_file),
        RITORNO_SMTP_URL=f"smtp://127.0.0.1:{free_port()}",
        RITORNO_TOKEN_KEYS="a:0123456789abcdef0123456789abcdef",
    )
    fleet.command("topics", "create")
    try:
        await fleet.start("secured")
        assert fleet.stop() == {"secured": 0}
    finally:
        fleet.kill()
    with pytest.raises(AssertionError, match=r"does not answer|refused|password"):
        Fleet(
            tmp_path,
            RITORNO_BROKER=f"kafka://{fresh_broker.sasl_bootstrap}",
            RITORNO_KAFKA_SECURITY="tls",
            RITORNO_KAFKA_CA_FILE=str(fresh_broker.ca_file),
        ).command("topics", "list")
