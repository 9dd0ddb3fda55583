"""What each process gets of the settings."""

from __future__ import annotations

from pydantic import SecretStr

from streams.runtime.factories import signing_keys
from streams.settings import Settings
from streams.settings.sources import SettingsError
from streams.settings.values import Address

_NO_RETURNS = {
    "inbound_smtp_bind": None,
    "inbound_maildir": None,
    "inbound_imap_url": SecretStr(""),
}


def shares(
    settings: Settings, processes: int, public_port: int, ingest_port: int = 0
) -> list[Settings]:
    """Return the settings of each process, numbered from 1. Raises SettingsError.

    `public_port` is the one that all of them listen on, and so is `ingest_port` where one is set.
    """
    if not settings.on_kafka:
        raise SettingsError(
            f"--processes {processes}: the embedded log is read by one process; "
            "set RITORNO_BROKER to kafka://HOST:PORT, or leave it out"
        )
    signing_keys(settings)  # or each process would say that there are none
    return [
        settings.model_copy(
            update={
                "worker_id": f"{settings.worker_id[:90]}-{number}",
                "data_dir": settings.data_dir / str(number),
                "admin_bind": Address("127.0.0.1", 0),
                "public_bind": Address(settings.public_bind.host, public_port),
                "ingest_bind": _shared(settings.ingest_bind, ingest_port),
                "ingest_keys": settings.ingest_keys_file,
                "internal_bind": _own(settings.internal_bind, number),
                "internal_address": _own(settings.internal_address, number),
                "mail_public_url": settings.public_url,
                **(_NO_RETURNS if number > 1 else {}),
            }
        )
        for number in range(1, processes + 1)
    ]


def _shared(address: Address | None, port: int) -> Address | None:
    return None if address is None else Address(address.host, port)


def _own(address: Address | None, number: int) -> Address | None:
    """Return the `number`th port from `address` on; any free one stays any free one."""
    if address is None or not address.port:
        return address
    return Address(address.host, address.port + number - 1)
