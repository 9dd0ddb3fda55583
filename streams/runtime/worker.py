"""A worker: everything that one process of Ritorno runs, started and stopped in order.

    data directory locked → log → topics checked → workflows published, the first time
    → state and mailer ready → admin, public and ingest ports → consumption

It stops in the opposite order: the batch in flight is finished and committed, the mails in flight
are dealt with, state is closed and stays on disk for the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

from agents.definitions.published import Definitions
from agents.mail.message.compose import Composer
from agents.mail.message.render import TemplateProblem
from agents.mail.providers import Providers
from agents.mail.reputation import Reputation
from agents.mail.settings import MailSettings
from agents.mail.suppression import AddressHashes
from agents.partition.cache import CacheMemory
from agents.partition.partition import PartitionActors
from schemas.customer import UnreadableRecord, decode_customer
from streams.clock import Clock, SteadyClock, SystemClock
from streams.connect.mappings.mapping_file import read_mappings
from streams.http.admin import AdminServer
from streams.http.ingest.intake import Intake
from streams.http.internal.owners import published, reached_at, remove_address, write_address
from streams.http.internal.server import InternalServer
from streams.http.internal.signing import RequestSigner
from streams.http.public.site import PublicSite
from streams.http.server.counts import DoorCounts
from streams.http.server.not_listening import why_not_listening
from streams.http.server.proxies import NamedProxies
from streams.log import Log, LogError
from streams.logging import get_logger
from streams.mail.inbound.sources import Inbound
from streams.mail.mail_hosts import MailHosts
from streams.mail.mailer import MailerRuntime
from streams.mail.relay import Relay, RelayUrlError, parse_relays
from streams.mail.smtp import SmtpPool
from streams.mail.smtp_transaction import SmtpLimits
from streams.mail.suppression_list import SuppressionList
from streams.mail.templates import load_renderer
from streams.mail.webhooks import Webhooks
from streams.operate.metrics import Metrics
from streams.operate.privacy.eraser import Eraser
from streams.operate.record_index import RecordIndex
from streams.operate.tracing import Tracing
from streams.outbound.counts import OutboundCounts
from streams.outbound.runtime import Outbound, OutboundFiles
from streams.partitioner import partition_of
from streams.runtime.app import App
from streams.runtime.background import Work, kept_up
from streams.runtime.bootstrap import prepare_topics, prepare_workflows
from streams.runtime.connected_shops import ConnectedShops
from streams.runtime.customers import CustomersRuntime, NotOwned
from streams.runtime.data_directory import drop_foreign, sole_worker
from streams.runtime.definitions import DefinitionLoader
from streams.runtime.factories import (
    consumer_group,
    coupon_key,
    deduplication_rules,
    link_key,
    log_from,
    lookups_of,
    notation,
    visitor_limits,
    warm_up,
)
from streams.runtime.failures import WorkerFailed
from streams.runtime.ingest_port import IngestPort
from streams.runtime.log_identity import LogIdentity
from streams.runtime.logs.embedded import EmbeddedLog
from streams.runtime.loop_delay import watch_loop
from streams.runtime.open_files import door_limits
from streams.runtime.partition_lag import PartitionLag
from streams.runtime.readiness import checks_of
from streams.runtime.rereading import Reader
from streams.runtime.standby import LEAVING_SECONDS, Standby
from streams.runtime.state.memory import open_memory
from streams.runtime.state.store import ClearLeftovers, StoreFactory
from streams.runtime.ticks import Ticks
from streams.runtime.time_guard import TimeGuard
from streams.runtime.topic_watch import TopicWatch
from streams.runtime.transports.batch import PartitionBatch, PartitionOwner, TopicPartition
from streams.runtime.transports.partition_manager import PartitionManager
from streams.runtime.waiting import first
from streams.runtime.worker_secrets import WorkerSecrets
from streams.settings import Settings
from streams.settings.operator_file import OperatorFileError
from streams.settings.values import Address
from streams.topology import (
    AGENTS,
    CUSTOMER_EVENTS,
    CUSTOMERS,
    MAILER,
    SEND_COMMANDS,
    AgentSpec,
    topics,
)

STOP_SECONDS = 10.0
"""A worker leaves within this time: Docker kills after ten seconds, Kubernetes after thirty."""

GRACE_SECONDS = 4.5
"""What mails on their way to the relay get of that; the rest is for handing over, and for writing
down what became of them. A mail that takes longer is in doubt, and its class decides at the next
start."""

_log = get_logger(__name__)


class Runtime(PartitionOwner, Protocol):
    """What runs an agent: owner of its partitions, and taker of its batches."""

    async def process(self, batch: PartitionBatch) -> None:
        """Take one batch through the commit protocol. Never raises."""

    def drop_unassigned(self, owned: Iterable[TopicPartition]) -> None:
        """Drop the state of partitions that did not come back."""


class Worker:
    """One worker in this process. `start`, then `wait_stopped`, then `stop`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        read: Reader | None = None,
        shares_ports: bool = False,
    ) -> None:
        """`read` reads the settings again, for secrets that are exchanged while it runs; without
        it they stay. `shares_ports`: the public and the ingest port, with other processes of this
        machine."""
        self.settings = settings
        self._read = read
        self._shares_ports = shares_ports
        self.clock = clock or SystemClock()
        self._has_own_clock = clock is not None
        self.metrics = Metrics(self.clock)
        self.metrics.process.watch_disk(settings.data_dir)
        self.door_counts = DoorCounts()
        self.metrics.watch_doors(self.door_counts)
        self.log: Log = log_from(settings, self.clock)
        self.partition_manager = PartitionManager()
        self.memory = CacheMemory(settings.cache_mb << 20)
        self._open_store, self._clear_leftovers = _stores(settings)
        self._app: App | None = None
        self._running = AsyncExitStack()
        self._stopping = False
        self._broken = asyncio.Event()
        self._why_broken = ""
        self.is_abandoned = False
        """Whether `stop` has left tasks and a thread behind that did not end in time."""

    async def start(self) -> None:
        """Start everything; returns once records are consumed.

        Raises WorkerFailed, LogError, StateError, AdminError, DefinitionError; nothing is left
        running then.
        """
        try:
            await self._start()
        except OSError as error:  # a full disk, or a directory that isn't ours
            await self._running.aclose()
            raise WorkerFailed(self._explain(error)) from error
        except BaseException:
            await self._running.aclose()
            raise
        _log.info("worker ready", broker=self.settings.broker_url, worker=self.settings.worker_id)

    def _explain(self, error: OSError) -> str:
        path = error.filename2 or error.filename
        if path is None:
            return f"The machine refuses what a worker needs to start: {error}"
        return (
            f"{path} can't be written: {error.strerror or error}. Make room or give the worker "
            f"the right to, or set RITORNO_DATA_DIR (now {self.settings.data_dir})."
        )

    async def wait_stopped(self) -> None:
        """Return once the worker is stopped. Raises WorkerFailed when it has broken down."""
        if self._app is None:
            return
        app = self._app
        await first(app.wait(), self._broken.wait())
        if self._why_broken:
            raise WorkerFailed(self._why_broken)
        if app.crashed:
            raise WorkerFailed(f"The worker has broken down: {app.crash_reason!r}")
        if not self._stopping:
            raise WorkerFailed("The worker has stopped consuming, and nobody told it to.")

    def give_up(self, why: str) -> None:
        """Have `wait_stopped` raise WorkerFailed: nothing that runs on can mend what is wrong."""
        _log.error("the worker gives up", reason=why)
        self._why_broken = self._why_broken or why
        self._broken.set()

    async def stop(self) -> None:
        """Finish what is in flight, commit, let go. Safe to call twice."""
        is_first, self._stopping = not self._stopping, True
        if is_first and self._app is not None and not self._app.should_stop:
            await self.standby.before_leaving()
        await self._running.aclose()

    # In the order in which a worker starts.

    async def _start(self) -> None:
        self._running.enter_context(sole_worker(self.settings))
        self._mapping_file = read_mappings(self.settings)
        self.secrets = WorkerSecrets(self.settings)  # before anything is written and signed
        if self.settings.accept_unsigned:
            _log.warning("whoever may write to the topics is believed (RITORNO_ACCEPT_UNSIGNED); "
                         "unset it when no worker of a release before 0.2 is left")  # fmt: skip
        if isinstance(self.log, EmbeddedLog):
            self.log.on_damage = self.give_up
        await self.log.start()
        self._running.push_async_callback(self.log.stop)
        await prepare_topics(self.log, self.settings)
        await drop_foreign(self.log, self.settings.data_dir)
        await prepare_workflows(self.log, self.settings)
        self._doors = door_limits(self.settings, await self.log.partitions(CUSTOMER_EVENTS))

        app = App(
            settings=self.settings, record_log=self.log, partition_manager=self.partition_manager
        )
        self.eraser = Eraser(self.log, self.clock, self._scrub, self.secrets.signer())
        self.tracing = self._tracing()
        self.customers = await self._customers()
        self._own(app, CUSTOMERS, self.customers)
        mail = self.secrets.mail_settings()
        await self._read_suppressions(mail)
        self.composer = composer = self._composer(mail)
        self.mailer = await self._mailer(app, composer)
        self._own(app, MAILER, self.mailer)
        self.standby = Standby(
            log=self.log,
            group=consumer_group(self.settings),
            worker_id=self.settings.worker_id,
            lookups=lookups_of(self.settings, self.log),
            runtimes=[self.customers, self.mailer],
        )
        await self._open_admin_port()
        self._measure()
        await self._open_inbound(mail)
        await self._open_public_port(mail, composer)
        await self._open_ingest_port()
        await self._open_insights()
        self._poll_shops()
        app.published = await self._open_internal_port(mail)
        await self._watch_topics()
        await self.standby.before_joining()
        await self._consume(app)
        self._fetch_feeds()
        self._map_foreign_streams()
        self._read_again()
        self.eraser.start()
        self._running.push_async_callback(self.eraser.stop)
        self._tell_others()

    def _tracing(self) -> Tracing | None:
        if not self.settings.tracing_url:
            return None
        tracing = Tracing(self.settings.tracing_url, self.settings.worker_id, self.clock)
        self._running.push_async_callback(tracing.stop)
        return tracing

    async def _customers(self) -> CustomersRuntime:
        definitions = Definitions(
            coupon_key=coupon_key(self.settings),
            link_key=link_key(self.settings),
            deduplication_rules=deduplication_rules(self.settings),
            limits=visitor_limits(self.settings),
            notation=notation(self.settings),
        )
        signer = self.secrets.signer()
        partitions = await self.log.partitions(CUSTOMER_EVENTS)
        interval = int(self.settings.tick_seconds * 1000)
        self.ticks = Ticks(self.log, CUSTOMER_EVENTS, self.clock, interval)
        # The embedded log is stamped by this machine's clock, which proves nothing of itself.
        is_told = self.settings.on_kafka or self._has_own_clock
        reader = self.clock if is_told else SteadyClock(self.clock)
        guard = TimeGuard(self.log, reader, signer, self.settings.clock_limit_ms)
        self.metrics.watch_ahead(guard.ahead)
        runtime = CustomersRuntime(
            log=self.log,
            time_guard=guard,
            identity=LogIdentity(self.log, signer),
            partition_manager=self.partition_manager,
            open_store=self._open_store,
            actors=partial(
                PartitionActors,
                definitions=definitions,
                home=lambda key: partition_of(key, partitions),
                signer=signer,
                memory=self.memory,
            ),
            loader=DefinitionLoader(self.log, definitions),
            ticks=self.ticks,
            limits=definitions.limits,
            observer=self.eraser.watching(
                self.metrics if self.tracing is None else self.tracing.watching(self.metrics)
            ),
            signer=signer,
            accept_unsigned=self.settings.accept_unsigned,
        )
        self.metrics.watch_partitions(self.partition_manager)
        self.metrics.watch_timers(runtime.timers_pending)
        self.metrics.watch_runs(runtime.runs_in_flight)
        self.metrics.process.watch_forgotten(runtime.forgotten)
        self.metrics.watch_held_back(runtime.held_back)
        self._running.callback(runtime.close)
        return runtime

    async def _read_suppressions(self, mail: MailSettings) -> None:
        hashes = AddressHashes(mail.signing_keys)
        self.suppressions = SuppressionList(self.log, hashes, self.metrics.returns)
        self._running.push_async_callback(self.suppressions.stop)
        await self.suppressions.start()

    def _composer(self, settings: MailSettings) -> Composer:
        try:
            renderer = load_renderer(self.settings.workflows_dir, settings.fallback_locale)
        except TemplateProblem as error:
            raise WorkerFailed(f"A mail template can't be used: {error}") from None
        return Composer(settings, renderer)

    async def _mailer(self, app: App, composer: Composer) -> MailerRuntime:
        try:
            relays = parse_relays(self.settings.smtp_url.get_secret_value())
        except RelayUrlError as error:
            raise WorkerFailed(f"RITORNO_SMTP_URL: {error}") from None
        self.pools = [self._pool(relay) for relay in relays]
        providers = Providers(self.settings.mail_providers)
        asks = self.settings.mail_provider_lookup
        runtime = MailerRuntime(
            log=self.log,
            partition_manager=self.partition_manager,
            open_store=self._open_store,
            check=app.check,
            relays=self.pools,
            webhooks=Webhooks(secrets=self.secrets.webhooks),
            compose=self.suppressions.guard(composer.compose),
            message_id=composer.message_id,
            suppress=self.suppressions.add,
            clock=self.clock,
            metrics=self.metrics.mail,
            providers=providers,
            mail_hosts=MailHosts(providers, self.clock) if asks else None,
            reputation=Reputation(
                partitions=await self.log.partitions(SEND_COMMANDS),
                warm_up=warm_up(self.settings),
            ),
            signer=self.secrets.signer(),
            accept_unsigned=self.settings.accept_unsigned,
            tracing=self.tracing,
            grace=GRACE_SECONDS,
            log_time=self.customers.log_time,
            identity=LogIdentity(self.log, self.secrets.signer()),
        )
        self._running.push_async_callback(runtime.close)
        return runtime

    def _pool(self, relay: Relay) -> SmtpPool:
        limits = SmtpLimits(connections=self.settings.smtp_connections)
        return SmtpPool(relay, clock=self.clock, metrics=self.metrics.mail, limits=limits)

    def _own(self, app: App, agent: AgentSpec, runtime: Runtime) -> None:
        self.partition_manager.own(agent.reads, runtime)
        app.read(agent, runtime.process)
        app.on_assignment(agent.reads, partial(self._drop_unassigned, agent, runtime))

    def _drop_unassigned(
        self, agent: AgentSpec, runtime: Runtime, owned: Iterable[TopicPartition]
    ) -> None:
        owned = list(owned)
        # First: it closes the stores whose directories are removed next.
        runtime.drop_unassigned(owned)
        self._clear_leftovers(agent.keeps, owned)

    async def _scrub(self, partition: int, customers: list[bytes]) -> None:
        await self.customers.scrub(partition, customers)
        await self.mailer.scrub(partition)

    async def _open_admin_port(self) -> None:
        checks, roles = checks_of(
            self.settings, self.log, self.partition_manager, self.mailer.failing
        )
        self.admin = AdminServer(
            bind=self.settings.admin_bind,
            registry=self.metrics.registry,
            checks=checks,
            roles=roles,
            limits=self._doors.admin,
            counts=self.door_counts,
        )
        self._running.push_async_callback(self.admin.stop)
        await self.admin.start()

    def _measure(self) -> None:
        """Look now and then at what nobody tells."""
        lag = PartitionLag(self.log, self.partition_manager, [each.reads for each in AGENTS])
        self.metrics.watch_lag(lag)
        self.metrics.watch_state(lambda: {**self.customers.stores(), **self.mailer.stores()})
        loop = partial(watch_loop, self.metrics.process.loop_delayed)
        self._keep_up("lag", lag.watch)
        self._keep_up("loop", loop)

    async def _open_public_port(self, mail: MailSettings, composer: Composer) -> None:
        site = PublicSite(
            log=self.log,
            settings=mail,
            read_own=self.customers.read_customer,
            lookups=lookups_of(self.settings, self.log, self.secrets.keys),
            view=composer.view,
            clock=self.clock,
            metrics=self.metrics.public,
            keep_ip=self.settings.consent_evidence_ip,
            proxies=NamedProxies(self.settings.public_proxies),
            limits=self._doors.public,
            counts=self.door_counts,
        )
        self._running.push_async_callback(site.stop)
        bind = self.settings.public_bind
        try:
            address = await site.start(bind, shared=self._shares_ports)
        except OSError as error:
            raise WorkerFailed(why_not_listening("RITORNO_PUBLIC_BIND", bind, error)) from None
        self.public_port = address.port

    async def _open_ingest_port(self) -> None:
        self._ingest_port: IngestPort | None = None
        bind = self.settings.ingest_bind
        if bind is None:
            return
        port = IngestPort(
            self.settings,
            log=self.log,
            clock=self.clock,
            metrics=self.metrics.ingest,
            limits=self._doors.ingest,
            counts=self.door_counts,
        )
        self._running.push_async_callback(port.stop)
        self.ingest_address = await port.start(bind, shared=self._shares_ports)
        self._ingest_port = port

    async def _open_insights(self) -> None:
        """Keep the facts and answer questions, in a small shop; on Kafka a process of its own does
        (`ritorno insights`), one for all workers."""
        self.insights_address: Address | None = None
        if self.settings.insights_bind is None or self.settings.on_kafka:
            return
        from streams.insights.process import open_port  # noqa: PLC0415  # DuckDB takes 50 MB

        self.insights, self.insights_address = await open_port(
            self._running, self.settings, self.log, clock=self.clock,
            metrics=self.metrics.insights, counts=self.door_counts,
        )  # fmt: skip

    def _poll_shops(self) -> None:
        """Ask connected shops now and then; of all workers the one that has the first partition."""
        if self._ingest_port is not None:
            shops = self._ingest_port.shops
        else:
            intake = Intake(self.log)
            shops = ConnectedShops(self.settings, log=self.log, clock=self.clock, intake=intake)
            self._running.push_async_callback(intake.stop)
            self._running.push_async_callback(shops.close)
        if not shops:
            return
        self.metrics.watch_shops(shops.counts)
        first = TopicPartition(CUSTOMER_EVENTS, 0)
        polling = shops.polling(lambda: first in self.partition_manager.open())
        self._keep_up("polling", polling.run)

    async def _open_internal_port(self, mail: MailSettings) -> bytes:
        """Let others ask what this worker keeps, and return what tells them where."""
        record_index = RecordIndex(self.log, self.settings.data_dir / "places.sqlite")
        self._running.push_async_callback(record_index.close)
        door = InternalServer(
            log=self.log,
            signer=RequestSigner(mail.signing_keys),
            clock=SystemClock(),
            customer=self.customers.read_record,
            record_index=record_index,
            health=self.partition_manager.health,
            prepare=self.standby.prepare,
            limits=self._doors.internal,
            counts=self.door_counts,
        )
        self._running.push_async_callback(door.stop)
        listening = await door.start(self.settings.internal_bind)
        address = reached_at(self.settings, listening)
        if not self.settings.on_kafka:
            write_address(self.settings.data_dir, address)
            self._running.callback(remove_address, self.settings.data_dir)
        return published(address)

    async def _open_inbound(self, mail: MailSettings) -> None:
        self.inbound = Inbound(
            self.settings, mail, log=self.log, clock=self.clock, metrics=self.metrics.returns
        )
        self._running.push_async_callback(self.inbound.stop)
        await self.inbound.start()

    async def _watch_topics(self) -> None:
        watch = TopicWatch(self.log, self.clock, [spec.name for spec in topics(1)], self.give_up)
        await watch.begin()
        self._keep_up("topics", watch.watch)

    def _keep_up(self, name: Work, work: Callable[[], Awaitable[None]]) -> None:
        """Have it done beside the log until the worker stops."""
        task = asyncio.create_task(kept_up(name, work), name=name)
        self._running.push_async_callback(_cancel, task)

    def _map_foreign_streams(self) -> None:
        """Map topics that others own, where a file says which."""
        if self._mapping_file is None:
            return
        from streams.connect.mappings.foreign_streams import (  # noqa: PLC0415  # few shops have any
            ForeignStreams,
            kafka_topics,
        )

        self.foreign_streams = ForeignStreams(
            self._mapping_file,
            log=self.log,
            signer=self.secrets.signer(),
            clock=self.clock,
            open_topic=kafka_topics(self.settings),
            notation=notation(self.settings),
        )
        self.metrics.watch_mappings(self.foreign_streams.counts)
        self._running.push_async_callback(self.foreign_streams.stop)
        self.foreign_streams.start()

    def _read_again(self) -> None:
        """Take over certificates, keys and secrets that are exchanged from now on."""
        self.metrics.watch_secrets(self.secrets.counts)
        if self._read is None:
            return
        self.rereader = self.secrets.rereader(
            self._read, log=self.log, pools=self.pools, inbound=self.inbound
        )
        self.rereader.start()
        self._running.push_async_callback(self.rereader.stop)

    def _tell_others(self) -> None:
        """Deliver signals and mail outcomes to other systems."""
        counts = OutboundCounts()
        self.metrics.watch_outbound(counts)
        self.outbound = Outbound(
            log=self.log,
            group=consumer_group(self.settings),
            files=OutboundFiles(self.settings.webhooks_file, self.settings.crm_file),
            data_dir=self.settings.data_dir,
            signer=self.secrets.signer(),
            clock=self.clock,
            owned=self._own_partitions,
            counts=counts,
            address_of=self._address_of,
        )
        try:
            self.outbound.start()
        except OperatorFileError as error:
            raise WorkerFailed(str(error)) from None
        self._running.push_async_callback(self.outbound.stop)

    def _fetch_feeds(self) -> None:
        if not self.settings.feeds:
            return
        from streams.feeds.schedule import FeedSchedule  # noqa: PLC0415  # few workers need it

        first_partition = TopicPartition(CUSTOMER_EVENTS, 0)
        schedule = FeedSchedule(
            self.settings.feeds,
            log=self.log,
            clock=self.clock,
            signer=self.secrets.signer(),
            notation=notation(self.settings),
            directory=self.settings.data_dir / "feeds",
            is_ours=lambda: first_partition in self.partition_manager.open(),
            loopback=self.settings.fetch_loopback,
        )
        self.metrics.watch_feeds(schedule.counts)
        self._keep_up("feeds", schedule.watch)

    def _own_partitions(self) -> set[int]:
        """Return the partitions whose customers this worker has."""
        opened = self.partition_manager.open()
        return {tp.partition for tp in opened if tp.topic == CUSTOMER_EVENTS}

    async def _address_of(self, customer: str) -> str:
        """Return a customer's address, empty where there is none. Raises LogError."""
        partitions = await self.log.partitions(CUSTOMER_EVENTS)
        try:
            stored = self.customers.read_customer(customer.encode(), partitions)
            return "" if stored is None else decode_customer(customer, stored).profile.email
        except NotOwned as error:
            raise LogError(f"another worker has the customers: {error}") from None
        except UnreadableRecord:
            return ""

    async def _consume(self, app: App) -> None:
        self._app = app
        self._running.push_async_callback(self._stop_app, app)
        await app.start()
        if app.crashed:
            raise WorkerFailed(f"Consumption can't be started: {app.crash_reason!r}")

    async def _stop_app(self, app: App) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS - LEAVING_SECONDS):
                await app.stop()
        except TimeoutError:
            # Nothing is lost: what is not committed is read again from the recovered state.
            self.is_abandoned = True
            _log.error("consumption did not stop in time, leaving without it")


def _stores(settings: Settings) -> tuple[StoreFactory, ClearLeftovers]:
    if settings.store == "memory":
        return open_memory, lambda _topic, _owned: None
    from streams.runtime.state.rocks import RocksStores  # noqa: PLC0415  # 20 MB that memory doesn't need

    stores = RocksStores(settings.data_dir)
    return stores, stores.clear


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
