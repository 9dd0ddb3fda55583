"""What can be set, and from where: flags, then the environment, then a file, then the defaults.

The environment's names are `RITORNO_` and the field's name in capitals. The file is
`ritorno.toml` in the current directory or the one that `RITORNO_CONFIG` names; a table's name is
the first part of the field's name, so `[kafka] username` and `RITORNO_KAFKA_USERNAME` are one:

    broker = "kafka://kafka-1:9092,kafka-2:9092"
    [shop]
    name = "Bottega del Colle"

A secret may also be in a file of its own, which `RITORNO_NAME_FILE` or the file names: Docker and
Kubernetes hand secrets out that way.

A mistake, and a variable that is no setting, is a `SettingsError` that names the variable, where it
was set and its value, unless that is a secret.

    values     how each kind of value is written
    sources    the names in the environment, and the file
    loading    all of it together: `load_settings`
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from schemas.commands import TrackingMode
from schemas.languages import MAIL_LANGUAGES, MailLanguage
from schemas.time_units import MINUTE_MS
from streams.settings.feeds import Feeds
from streams.settings.sources import PREFIX, read_file, read_secret_variables
from streams.settings.values import (
    Address,
    Bind,
    Broker,
    Color,
    DecimalMarks,
    FeedbackSender,
    Files,
    HostNames,
    Identifier,
    ImapUrl,
    InternalAddress,
    Line,
    MailAddress,
    Networks,
    OptionalDomain,
    OptionalIdentifier,
    OptionalMailAddress,
    OptionalWebUrl,
    Providers,
    Selectors,
    ShopSources,
    SmtpUrls,
    TokenKeys,
    TokenUrl,
    TopicPrefix,
    WebhookSecrets,
    WebUrl,
    Zone,
    parse_address,
)


def _default_worker_id() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip(".-")[:100] or "worker"


def _default_workflows_dir() -> Path:
    # Beside the packages, both in a checkout and in an installed wheel (see pyproject.toml).
    return Path(__file__).resolve().parents[2] / "workflows"


class Settings(BaseSettings):
    """Everything that can be set. Build it with `load_settings`, which explains mistakes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        # Ours are right, which a test sees to: checking them takes a command 50 ms.
        validate_default=False,
    )

    broker: Broker = ""
    """`kafka://HOST:PORT[,HOST:PORT]` or `embedded://PATH`; by default embedded, under data_dir."""
    data_dir: Path = Path("data")
    """State, the embedded log and generated keys. One directory per worker."""
    smtp_url: SmtpUrls = SecretStr("smtp://127.0.0.1:25")
    """One relay, or several in the order of preference: the next one takes over while one is down.
    """
    smtp_connections: int = Field(default=10, ge=1, le=200)
    """To each relay; a fifth of them is kept free for receipts."""
    webhook_secret: WebhookSecrets = SecretStr("")
    """`SECRET[,SECRET]`: each signs the webhooks that workflows send, with their id and time
    (Standard Webhooks). `whsec_` and base64, as the libraries of receivers want it, or any text.
    Empty: they go unsigned."""
    webhooks: Path | None = None
    """The file that says which signals and mail outcomes are posted where (docs/webhooks.md). None:
    webhooks.yaml in workflows_dir; no such file: none are."""
    crm: Path | None = None
    """The file that says which CRM is told what and read (docs/crm.md). None: crm.yaml in
    workflows_dir; no such file: none is."""
    tracing_url: OptionalWebUrl = ""
    """Where spans of events and mails that belong to a trace are sent (OTLP over HTTP), as
    `http://collector:4318/v1/traces`; needs the extra `tracing`. Empty: none are drawn."""
    admin_bind: Bind = Address("127.0.0.1", 9464)
    """Metrics, health and readiness. Not for the public: it has no authentication."""
    public_bind: Bind = Address("127.0.0.1", 8080)
    """The links in mails; what stands before it (a reverse proxy) speaks TLS."""
    public_proxies: Networks = ("127.0.0.0/8", "::1/128")
    """`ADDRESS[/BITS][,…]` of what stands before it. Whose request it is they are believed
    (X-Forwarded-For), nobody else. Empty: nobody."""
    ingest_bind: Bind | None = None
    """Takes what shops and pages send by HTTP (docs/ingest.md); what stands before it speaks TLS,
    and is believed as public_proxies are. None: not at all."""
    ingest_keys: Path | None = None
    """The file of write keys, which `ritorno ingest keys` writes. None: ingest-keys.yaml in
    data_dir."""
    insights_bind: Bind | None = None
    """Answers key figures to commands (docs/insights.md), in a worker on the embedded log and in
    `ritorno insights`: signed with token_keys, not encrypted, for this machine alone. None: not at
    all; a command then reads the facts itself."""
    insights_threads: int = Field(default=2, ge=1, le=64)
    """Of the facts' store, for each question."""
    insights_memory_mb: int = Field(default=512, ge=64, le=1_000_000)
    """Megabytes that the facts' store takes at most; beyond, it writes to data_dir."""
    internal_bind: Bind = Address("127.0.0.1", 0)
    """What workers and commands ask each other: signed with token_keys, not encrypted, not for the
    public. Port 0: any free one, since each worker tells the others in the consumer group."""
    internal_address: InternalAddress = None
    """HOST[:PORT] at which others reach internal_bind. None: its host; this machine's name when it
    listens everywhere."""
    worker_id: Identifier = Field(default_factory=_default_worker_id)
    workflows_dir: Path = Field(default_factory=_default_workflows_dir)
    connections: Path | None = None
    """Which shops are connected (`docs/connect.md`). None: `connections.yaml` in workflows_dir, if
    there is one."""
    mappings: Path | None = None
    """Which topics of others are mapped (`docs/mappings.md`). None: `mappings.yaml` in
    workflows_dir, if there is one."""
    store: Literal["rocksdict", "memory"] = "rocksdict"
    cache_mb: int = Field(default=128, ge=1, le=1_000_000)
    """Megabytes for customers who are kept decoded, of all partitions of a worker together."""
    partitions: int | None = Field(default=None, ge=1, le=1024)
    """Of the per-customer topics, when they are created; None: 8 on Kafka, 4 embedded."""
    replication: int = Field(default=1, ge=1, le=16)
    tick_seconds: float = Field(default=1.0, ge=0.05, le=3600)
    """Between two of the records by which time passes when nothing else happens, at least: a timer
    is late by no more. Where none is due, one is written every five minutes."""

    clock_ahead_minutes: int = Field(default=60, ge=1, le=1_000_000)
    """A record whose append time is further ahead of a worker's own clock is not read: its
    partition waits, until the time has come or `ritorno clock rule` says what it counts as."""

    event_memory_days: int = Field(default=7, ge=1, le=30)
    """For how long an event that comes again is known by its source and id, in the log's time. A
    customer has room for some 7,000 of them; what is more is refused."""
    shop_sources: ShopSources = {}
    """`PREFIX=SHOP[,PREFIX=SHOP]`: sources of events that are one shop's, by what they begin with;
    the longest that fits counts. Their ids are known as the shop's, on whichever way they come, and
    with several shops each has order numbers of its own. Empty: ids are known as each source's
    own, and there is one shop. Replay it with the same, and don't change it lightly: what was
    remembered under another name is new."""

    decimal_marks: DecimalMarks = {}
    """`PREFIX=MARK[,PREFIX=MARK]`, a mark being `comma` or `point`: what stands before the decimals
    in the amounts of events from sources that begin so; the longest that fits counts. Segment's
    objects come from `/segment`. Without it `1,234` says nothing certain and refuses its event,
    as any amount that may be another one. Replay it with the same; `shop_zone` and `shop_url`,
    too: times without a zone are the shop's, links without a host lie in it."""

    visitor_days: int = Field(default=90, ge=31, le=3650)
    """A visitor who has been silent for longer, in the log's time, and has left no address, name,
    consent or order is forgotten, and begins anew. Replay it with the same."""
    visitor_limit: float = Field(default=10.0, gt=0, le=100_000)
    """New visitors per second and partition, on the average of an hour; more are counted and
    dropped. 10 of them in eight partitions are seven million a day. Replay it with the same."""

    topic_prefix: TopicPrefix = ""
    """What the names of all topics begin with on Kafka, such as `shop-it.`, so that several shops
    share a cluster. It belongs to the shop as its keys do, on the embedded log too, and never
    changes: what was signed with another one is not believed. Each shop has its own data_dir and
    token_keys."""
    group_id: OptionalIdentifier = ""
    """On Kafka: the consumer group of the workers, the same for all of a shop's and none of
    another's. Empty: topic_prefix and `ritorno`."""

    kafka_security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = (
        "SCRAM-SHA-512"
    )
    kafka_username: str = ""
    """With OAUTHBEARER and kafka_token_url: the client's id, and its secret in kafka_password."""
    kafka_password: SecretStr = SecretStr("")
    kafka_token_url: TokenUrl = ""
    """Where OAUTHBEARER asks for tokens, as client credentials are asked for (OAuth 2.0)."""
    kafka_token_scope: Line = ""
    """Which scope it asks for. Empty: none, and the server decides."""
    kafka_token_file: Path | None = None
    """A file with the token instead, which somebody else keeps fresh: it is read for each
    connection."""
    kafka_session_seconds: float = Field(default=10.0, ge=1, le=300)
    """A worker that is gone for this long is replaced. Brokers accept 6 to 1800 by default."""
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None

    feeds: Feeds = ()
    """`[[feeds]]` in the file, one table each (`streams/settings/feeds.py`, docs/feeds.md): product
    feeds that are fetched again and again, by the worker that has the first partition."""
    fetch_loopback: bool = False
    """For tests: what is fetched and posted may be on this machine. Other addresses that are not
    public are never asked."""

    shop_name: Line = "Il negozio"
    shop_url: WebUrl = "https://shop.example"
    shop_support_email: MailAddress = "assistenza@shop.example"
    shop_color: Color = "#1f5f4a"
    """Of the mails' buttons, links and name."""
    shop_logo_url: OptionalWebUrl = ""
    """A picture at the head of the mails, 40 px high. Empty: the shop's name."""
    shop_postal_address: Line = ""
    """In the footer of the mails. Empty: none."""
    shop_locale: MailLanguage = MAIL_LANGUAGES[0]
    shop_zone: Zone = "Europe/Rome"

    mail_from_address: MailAddress = "negozio@shop.example"
    mail_from_name: Line = ""
    """Empty: the shop's name."""
    mail_reply_to: OptionalMailAddress = ""
    """Empty: the shop's support address."""
    mail_list_id: Line = ""
    """Empty: `news.` and the sender's domain."""
    mail_envelope_from: OptionalMailAddress = ""
    """Who gets bounces. Empty: the sender."""
    mail_bounce_domain: OptionalDomain = ""
    """Each mail gets a return address of its own there, so that a bounce says which mail it is
    about. A part of the sender's domain, or SPF no longer speaks for the sender (DMARC)."""
    mail_unsubscribe_mailbox: OptionalMailAddress = ""
    """A mailbox that somebody reads; a second way to unsubscribe. Empty: none."""
    mail_feedback_sender: FeedbackSender = ""
    """Last field of the Feedback-ID header. Empty: made of the sender's domain."""
    mail_dkim_domain: OptionalDomain = ""
    """Who signs (d=). Empty: the sender's domain."""
    mail_dkim_selector: Selectors = ()
    """`SELECTOR[,SELECTOR]`: each key signs every mail. Empty: mails leave unsigned."""
    mail_dkim_key_file: Files = ()
    """`FILE[,FILE]` with the private keys (PEM), one for each selector in the same order."""
    mail_dkim_valid_days: int | None = Field(default=None, ge=1, le=365)
    """How long a signature holds after the mail's expiry (x=). None: for ever."""
    mail_providers: Providers = {}
    """`DOMAIN=PROVIDER[,…]`: more domains whose mailboxes are at a provider that has limits."""
    mail_provider_lookup: bool = True
    """Ask the DNS who takes the mail of domains that are in no table, once a day each: a company's
    mailboxes at Google share Google's limits with all others there."""
    mail_warm_up_start: int = Field(default=0, ge=0, le=10_000_000)
    """Marketing mails on the first day of a new sender; 0: no warm-up."""
    mail_warm_up_growth: float = Field(default=1.5, ge=1, le=10)
    """What each further day allows, as a multiple of the day before."""
    mail_public_url: OptionalWebUrl = ""
    """Where the world reaches public_bind. Empty: http://PUBLIC_BIND, good only for trying out."""
    inbound_smtp_bind: Bind | None = None
    """Take bounces and complaints here by SMTP; needs mail_bounce_domain. None: not at all."""
    inbound_maildir: Path | None = None
    """A maildir into which they are delivered."""
    inbound_imap_url: ImapUrl = SecretStr("")
    """`imaps://USER:PASSWORD@HOST[:PORT][/FOLDER]`, a mailbox of theirs; imap:// is STARTTLS."""
    inbound_imap_done: Line = ""
    """Folder for those that are dealt with. Empty: they stay where they are, marked as seen."""
    inbound_imap_ca_file: Path | None = None
    inbound_poll_seconds: float = Field(default=30.0, ge=1, le=3600)
    """How often maildir and mailbox are looked into."""
    inbound_keep_days: int = Field(default=90, ge=1, le=3650)
    """How long messages that a person should read stay in data_dir/returned."""
    inbound_keep_mb: int = Field(default=100, ge=1, le=1_000_000)
    """How much room they have there, in MiB. Beyond, who sends one more by SMTP gets a 452, and in
    a maildir or mailbox it stays there."""
    tracking_mode: TrackingMode = "anonymous"
    """The most that may be noted of openings and clicks: off, anonymous, pseudonymous, identified.
    A workflow and a person may only allow less; without consent a person is at most counted."""
    tracking_hosts: HostNames = ()
    """`HOST[,HOST]`, with all below them, to which counted links may lead besides the shop's."""
    confirm_days: int = Field(default=7, ge=1, le=90)
    """How long the link of a double opt-in holds."""
    consent_evidence_ip: bool = False
    """Keep the address from which a consent was given, as part of its evidence."""
    token_keys: TokenKeys = ()
    """`ID:SECRET[,ID:SECRET]`: sign links in mails and what Ritorno writes into its own topics. The
    first one signs, all verify; a key stays listed for as long as the log keeps records, a year.
    Needed on Kafka. On the embedded log, empty: one is made and kept in data_dir."""
    accept_unsigned: bool = False
    """Only while a release before 0.2 still runs beside this one: believe records that it has
    written and could not sign."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, JSON elsewhere; of commands that end, plain sentences."""

    @property
    def broker_url(self) -> str:
        """The broker, with the default filled in."""
        return self.broker or f"embedded://{self.data_dir / 'log'}"

    @property
    def ingest_keys_file(self) -> Path:
        """The file of write keys, with the default filled in."""
        return self.ingest_keys or self.data_dir / "ingest-keys.yaml"

    @property
    def clock_limit_ms(self) -> int:
        """By how much an append time may be ahead of the clock, in ms."""
        return self.clock_ahead_minutes * MINUTE_MS

    @property
    def on_kafka(self) -> bool:
        """Whether the log is on Kafka; otherwise it is the embedded one."""
        return self.broker_url.startswith("kafka://")

    @property
    def bootstrap_servers(self) -> list[str]:
        """`HOST:PORT` of each Kafka broker named; empty on the embedded log."""
        if not self.on_kafka:
            return []
        addresses = self.broker_url.removeprefix("kafka://").split(",")
        return [str(parse_address(address, default_port=9092)) for address in addresses]

    @property
    def embedded_path(self) -> Path:
        """Where the embedded log lies. Only when `on_kafka` is false."""
        return Path(self.broker_url.removeprefix("embedded://"))

    @property
    def webhooks_file(self) -> Path:
        """Where webhooks are described, if anywhere."""
        return self.webhooks or self.workflows_dir / "webhooks.yaml"

    @property
    def crm_file(self) -> Path:
        """Where CRMs are described, if anywhere."""
        return self.crm or self.workflows_dir / "crm.yaml"

    @property
    def public_url(self) -> str:
        """What links in mails begin with."""
        return self.mail_public_url or f"http://{self.public_bind}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, what it names, file. No .env file and no secrets directory."""
        file_values, _ = read_file(settings_cls.model_fields)
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=read_secret_variables()),
            InitSettingsSource(settings_cls, init_kwargs=file_values),
        )
