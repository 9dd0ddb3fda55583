"""Checks of foreign streams for `ritorno doctor`: the file, its topics, its schema registries."""

from __future__ import annotations

from schemas.mappings import Source
from streams.connect.mappings.mapping_file import read_mappings
from streams.log import LogError
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus
from streams.settings import Settings
from streams.settings.operator_file import OperatorFileError
from streams.settings.sources import SettingsError

NAME = "mappings"
SECONDS = 5.0
"""For which a broker that is away is waited for."""


async def check_mappings(settings: Settings) -> list[Check]:
    """Read the file, and ask whether each topic and registry is there; nothing without a file."""
    try:
        file = read_mappings(settings)
    except OperatorFileError as error:
        return [Check(NAME, CheckStatus.FAIL, str(error), "ritorno mappings test says the same.")]
    if file is None:
        return []
    found = [check for each in file.mappings for check in await _check(each.source, settings)]
    if found:
        return found
    count = several(len(file.mappings), "mapping")
    return [Check(NAME, CheckStatus.OK, f"{count}, and all topics are there")]


async def _check(source: Source, settings: Settings) -> list[Check]:
    """Return what is wrong with a source."""
    # Kafka's client takes a moment to import, and few shops have mappings.
    from streams.connect.mappings.foreign_streams import broker_of, registry_of  # noqa: PLC0415
    from streams.connect.mappings.foreign_topic import MAX_PARTITIONS  # noqa: PLC0415
    from streams.connect.mappings.schema_registry import RegistryUnavailable  # noqa: PLC0415
    from streams.runtime.logs.kafka import KafkaLog  # noqa: PLC0415

    checks = []
    try:
        servers, security = broker_of(settings, source)
        registry = registry_of(source)
    except SettingsError as error:
        return [_failed(source, str(error), "Set it where the worker runs.")]
    log = KafkaLog(servers, security=security, max_wait=SECONDS)
    try:
        identity = (await log.identities([source.topic])).get(source.topic)
        if identity is None:
            text = f"there is no topic {source.topic} at {', '.join(servers)}"
            checks.append(_failed(source, text, "Is its name right, and the broker the right one?"))
        elif identity.partitions > MAX_PARTITIONS:
            text = f"{source.topic} has {several(identity.partitions, 'partition')}"
            checks.append(_failed(source, text, f"At most {MAX_PARTITIONS} are mapped."))
    except LogError as error:
        checks.append(_failed(source, str(error), "It is waited for; nothing is lost meanwhile."))
    finally:
        await log.stop()
    if registry is None:
        return checks
    try:
        await registry.ping()
    except RegistryUnavailable as error:
        checks.append(_failed(source, str(error), "It is waited for; nothing is lost meanwhile."))
    finally:
        await registry.stop()
    return checks


def _failed(source: Source, text: str, remedy: str) -> Check:
    return Check(NAME, CheckStatus.FAIL, f"{source.name}: {text}", remedy)
