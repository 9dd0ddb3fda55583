"""The inbound channels that are set, opened and closed together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from agents.mail.message.tokens import BadToken, Tokens, Unsubscribe
from agents.mail.message.verp import Reference, ReturnAddresses
from agents.mail.settings import MailSettings
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.http.server.not_listening import why_not_listening
from streams.log import Log
from streams.logging import get_logger
from streams.mail.inbound.imap import ImapPoller, Mailbox, parse_imap
from streams.mail.inbound.intake import ReturnIntake
from streams.mail.inbound.kept import KeptMessages
from streams.mail.inbound.listener import Listener
from streams.mail.inbound.maildir import Maildir
from streams.mail.inbound.polling import MailboxPoller, Pollable
from streams.mail.inbound.reading_process import ReadingProcess
from streams.operate.return_metrics import Channel, ReturnCounters
from streams.runtime.failures import WorkerFailed
from streams.settings import Settings
from streams.settings.sources import PREFIX
from streams.settings.values import Address

KEPT = "returned"
"""Directory, under data_dir, of messages that a person should read."""

_log = get_logger(__name__)


class Inbound:
    """Everything by which mail comes back to this worker; nothing where nothing is set, but that
    what once came does not stay for ever."""

    def __init__(
        self,
        settings: Settings,
        mail: MailSettings,
        *,
        log: Log,
        clock: Clock,
        metrics: ReturnCounters,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._links = UnsubscribeLinks(Tokens(mail.signing_keys))
        self._kept = KeptMessages(
            settings.data_dir / KEPT,
            clock,
            days=settings.inbound_keep_days,
            most=settings.inbound_keep_mb * 1024 * 1024,
        )
        self._reader = ReadingProcess()
        self._intake = ReturnIntake(
            log=log,
            returns=ReturnAddresses(mail.signing_keys, mail.bounce_domain),
            read_link=self._links.read,
            clock=clock,
            metrics=metrics,
            reader=self._reader,
            kept=self._kept,
            signer=RecordSigner(mail.signing_keys),
        )
        self.mailbox: ImapPoller | None = None
        """Who polls the IMAP mailbox, where one is set."""
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Open what is set. Raises WorkerFailed."""
        self._running.push_async_callback(self._reader.stop)
        self._kept.start()
        self._running.push_async_callback(self._kept.stop)
        if self._settings.inbound_smtp_bind is not None:
            await self._listen(self._settings.inbound_smtp_bind.host,
                               self._settings.inbound_smtp_bind.port)  # fmt: skip
        if self._settings.inbound_maildir is not None:
            try:
                self._watch(Maildir(self._settings.inbound_maildir, self._intake), "maildir")
            except ValueError as error:
                raise WorkerFailed(f"{PREFIX}INBOUND_MAILDIR: {error}") from None
        if (mailbox := imap_mailbox(self._settings)) is not None:
            self.mailbox = ImapPoller(mailbox, self._intake)
            self._watch(self.mailbox, "imap")

    async def stop(self) -> None:
        """Close everything. Safe to call twice."""
        await self._running.aclose()

    def reopen_mailbox(self, settings: Settings) -> None:
        """Log into the mailbox as `settings` say, from the next poll on; where this worker polls
        none it stays so."""
        opened = imap_mailbox(settings)
        if self.mailbox is not None and opened is not None:
            self.mailbox.mailbox = opened

    async def _listen(self, host: str, port: int) -> None:
        listener = Listener(self._intake)
        try:
            self.smtp_port = await listener.start(host, port)
        except OSError as error:
            bind, setting = Address(host, port), f"{PREFIX}INBOUND_SMTP_BIND"
            raise WorkerFailed(why_not_listening(setting, bind, error)) from None
        self._running.push_async_callback(listener.stop)
        _log.info("listening for bounces", host=host, port=self.smtp_port)

    def _watch(self, mailbox: Pollable, channel: Channel) -> None:
        watch = MailboxPoller(
            mailbox, channel, self._metrics, every=self._settings.inbound_poll_seconds
        )
        watch.start()
        self._running.push_async_callback(watch.stop)


def imap_mailbox(settings: Settings) -> Mailbox | None:
    """Return the IMAP mailbox that is set, if any."""
    url = settings.inbound_imap_url.get_secret_value()
    if not url:
        return None
    done, ca_file = settings.inbound_imap_done, settings.inbound_imap_ca_file
    return parse_imap(url, done=done, ca_file=ca_file)


class UnsubscribeLinks:
    """Reads the unsubscribe links of returned mails."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def read(self, header: str) -> Reference | None:
        """Return the mail that a List-Unsubscribe header belongs to, None when it isn't ours."""
        for link in header.split(","):
            token = link.strip().strip("<>").rpartition("/u/")[2]
            try:
                content = self._tokens.read(token, Unsubscribe)
            except BadToken:
                continue
            return Reference(content.command_id, content.customer)
        return None
