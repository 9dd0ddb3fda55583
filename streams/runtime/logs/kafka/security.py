"""How to reach a Kafka broker: in the clear, over TLS, with a user and password or a token."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

from faust import SASLCredentials, SSLCredentials
from faust.auth import OAuthCredentials

from streams.runtime.logs.kafka.bearer import BearerTokens, TokenSource

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


@dataclass(slots=True, kw_only=True, eq=False)
class KafkaSecurity:
    """TLS and SASL settings of a Kafka client. The default is neither.

    Certificates and password can be exchanged while clients run: each new connection takes the new
    ones, and the others stay, as the broker has let them in.
    """

    tls: bool = False
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    cert_file: Path | None = None
    key_file: Path | None = None
    """Our own certificate and its key, where the broker asks for one."""
    mechanism: Mechanism | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    token_source: TokenSource = field(default_factory=TokenSource)
    """Of OAUTHBEARER; user and password are the client's id and secret there."""
    _tokens: BearerTokens = field(init=False, repr=False)
    _contexts: WeakSet[ssl.SSLContext] = field(default_factory=WeakSet, init=False, repr=False)
    _clients: WeakSet[Any] = field(default_factory=WeakSet, init=False, repr=False)

    def __post_init__(self) -> None:
        self._tokens = BearerTokens(self.token_source, self.username, self.password)

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
        if self.mechanism == "OAUTHBEARER":
            settings["sasl_oauth_token_provider"] = self._tokens
        elif self.mechanism is not None:
            settings["sasl_plain_username"] = self.username
            settings["sasl_plain_password"] = self.password
        return settings

    def faust_credentials(self) -> SASLCredentials | OAuthCredentials | SSLCredentials | None:
        """Return Faust's `broker_credentials`. Raises OSError for unusable files."""
        context = self._context() if self.tls else None
        if self.mechanism == "OAUTHBEARER":
            return OAuthCredentials(oauth_cb=self._tokens, ssl_context=context)
        if self.mechanism is not None:
            return SASLCredentials(
                username=self.username,
                password=self.password,
                mechanism=self.mechanism,
                ssl_context=context,
            )
        return None if context is None else SSLCredentials(context)

    def watch(self, user: Any) -> None:
        """Have a producer, a consumer or an admin client log in as is set, also after an
        exchange."""
        # aiokafka, pinned exactly, has no way to say it again: its client keeps what it was told
        # and tells each connection that it opens.
        self._clients.add(getattr(user, "client", None) or user._client)

    def exchange(self, new: KafkaSecurity) -> None:
        """Take certificates, user and password of `new`. Raises OSError for unusable files, and
        nothing is changed then.

        A certificate that was trusted stays trusted until a restart, which the library asks for.
        """
        if new.tls:
            new._context()  # or a file that can't be used leaves half of the old ones
        self.ca_file, self.cert_file, self.key_file = new.ca_file, new.cert_file, new.key_file
        self.username, self.password = new.username, new.password
        self._tokens.exchange(self.username, self.password)
        for context in self._contexts:
            self._load(context)
        for client in self._clients:
            client._sasl_plain_username = self.username
            client._sasl_plain_password = self.password

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        self._load(context)
        self._contexts.add(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
