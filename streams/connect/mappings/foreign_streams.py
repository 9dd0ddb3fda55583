"""All mappings of a process: a mapper for each source, begun again whatever it fails at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from agents.mappings.mapping import SourceMapping
from schemas.mappings import Source
from schemas.notation import DEFAULT_NOTATION, Notation
from schemas.signing import RecordSigner
from streams.clock import Clock
from streams.connect.mappings.counts import MappingCounts, Pause
from streams.connect.mappings.decoding import Decoder
from streams.connect.mappings.foreign_topic import ForeignTopic, KafkaTopic
from streams.connect.mappings.mapper import Mapper, TopicChanged
from streams.connect.mappings.mapping_file import MappingFile
from streams.connect.mappings.offsets import MappingOffsets
from streams.connect.mappings.schema_registry import SchemaRegistry
from streams.log import Log, LogError, UnknownTopic
from streams.logging import get_logger
from streams.runtime.background import kept_up
from streams.runtime.backoff import Backoff
from streams.runtime.factories import consumer_group, kafka_security
from streams.runtime.logs.kafka.security import KafkaSecurity
from streams.settings import Settings
from streams.settings.secret_references import read_secret
from streams.settings.values import parse_address

BACKOFF = Backoff(1.0, 60.0)
"""Seconds until a topic that can't be read is tried again."""

OpenTopic = Callable[[Source], ForeignTopic]

_log = get_logger(__name__)


class ForeignStreams:
    """Maps all sources of a file."""

    def __init__(
        self,
        file: MappingFile,
        *,
        log: Log,
        signer: RecordSigner,
        clock: Clock,
        open_topic: OpenTopic,
        notation: Notation = DEFAULT_NOTATION,
    ) -> None:
        """`log` is our own."""
        self._file = file
        self._log = log
        self._signer = signer
        self._clock = clock
        self._open_topic = open_topic
        self._notation = notation
        self._tasks: list[asyncio.Task[None]] = []
        self.counts: Mapping[str, MappingCounts] = {
            each.source.name: MappingCounts() for each in file.mappings
        }

    def start(self) -> None:
        """Begin; what can't be read yet is tried again and again."""
        self._tasks = [
            asyncio.create_task(kept_up("mapping", partial(self._map, each)))
            for each in self._file.mappings
        ]

    async def stop(self) -> None:
        """Say how far each is, and leave the groups. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _map(self, mapping: SourceMapping) -> None:
        """Map for ever. Raises only by a defect of ours."""
        source, counts = mapping.source, self.counts[mapping.source.name]
        registry = registry_of(source)
        failures = 0
        try:
            while True:
                offsets = MappingOffsets(self._log, self._signer)
                done = counts.records.total()
                try:
                    await offsets.prepare()
                    await self._mapper(mapping, registry, offsets, counts).run()
                except LogError as error:
                    failures = 1 if counts.records.total() > done else failures + 1
                    if failures == 1 or counts.pause == "none":
                        _log.error("a mapping waits", mapping=source.name, reason=str(error))
                    counts.pause = _why(error)
                    pause = round(BACKOFF.after(failures) * 1_000)
                    await self._clock.wait_until(self._clock.now() + pause)
        except Exception:  # whatever it is: it is shown, and told by who keeps this up
            counts.pause = "defect"
            raise
        finally:
            if registry is not None:
                await registry.stop()

    def _mapper(
        self,
        mapping: SourceMapping,
        registry: SchemaRegistry | None,
        offsets: MappingOffsets,
        counts: MappingCounts,
    ) -> Mapper:
        return Mapper(
            mapping,
            topic=self._open_topic(mapping.source),
            log=self._log,
            offsets=offsets,
            decoder=Decoder(mapping.source, registry),
            signer=self._signer,
            clock=self._clock,
            counts=counts,
            notation=self._notation,
        )


def _why(error: LogError) -> Pause:
    return "topic" if isinstance(error, UnknownTopic | TopicChanged) else "log"


def kafka_topics(settings: Settings) -> OpenTopic:
    """Return who opens the topics of sources on Kafka."""

    def open_topic(source: Source) -> ForeignTopic:
        group = group_of(settings, source)
        servers, security = broker_of(settings, source)
        return KafkaTopic(
            source.topic,
            group,
            servers,
            security,
            session_seconds=settings.kafka_session_seconds,
        )

    return open_topic


def group_of(settings: Settings, source: Source) -> str:
    """Return the consumer group in which a source is read."""
    return f"{consumer_group(settings)}-mappings.{source.name}"


def broker_of(settings: Settings, source: Source) -> tuple[list[str], KafkaSecurity]:
    """Return HOST:PORT of the brokers that have a source's topic, and how they are reached. Raises
    SettingsError for a secret that can't be read."""
    if source.broker is None:
        return settings.bootstrap_servers, kafka_security(settings)
    addresses = source.broker.removeprefix("kafka://").split(",")
    servers = [str(parse_address(address, default_port=9092)) for address in addresses]
    given = source.security
    password = "" if given.password is None else read_secret(given.password).get_secret_value()
    return servers, KafkaSecurity(
        tls=given.protocol.endswith("tls"),
        ca_file=given.ca_file,
        mechanism=given.mechanism if given.protocol.startswith("sasl") else None,
        username=given.username,
        password=password,
    )


def registry_of(source: Source) -> SchemaRegistry | None:
    """Return the schema registry of a source that needs one. Raises SettingsError for a secret that
    can't be read."""
    given = source.registry
    if given is None or not {source.format, source.key_format} & {"avro", "protobuf"}:
        return None
    password = "" if given.password is None else read_secret(given.password).get_secret_value()
    return SchemaRegistry(given.url, username=given.username, password=password)
