"""How to reach a Kafka broker: in the clear, over TLS, with a user and password."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from faust import SASLCredentials, SSLCredentials

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """TLS and SASL settings of a Kafka client. The default is neither."""

    tls: bool = False
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    cert_file: Path | None = None
    key_file: Path | None = None
    """Our own certificate and its key, where the broker asks for one."""
    mechanism: Mechanism | None = None
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def protocol(self) -> str:
        """Kafka's name of the combination, such as SASL_SSL."""
        transport = "SSL" if self.tls else "PLAINTEXT"
        return transport if self.mechanism is None else f"SASL_{transport}"

    def client_settings(self) -> dict[str, Any]:
        """Return the arguments for an aiokafka client. Raises OSError for unusable files."""
        settings: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            settings["ssl_context"] = self._context()
        if self.mechanism is not None:
            settings["sasl_mechanism"] = self.mechanism
            settings["sasl_plain_username"] = self.username
            settings["sasl_plain_password"] = self.password
        return settings

    def faust_credentials(self) -> SASLCredentials | SSLCredentials | None:
        """Return Faust's `broker_credentials`. Raises OSError for unusable files."""
        context = self._context() if self.tls else None
        if self.mechanism is not None:
            return SASLCredentials(
                username=self.username,
                password=self.password,
                mechanism=self.mechanism,
                ssl_context=context,
            )
        return None if context is None else SSLCredentials(context)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
