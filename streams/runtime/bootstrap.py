"""What has to be there before records are consumed: the topics, and the first workflows."""

from __future__ import annotations

from streams.log import Log
from streams.logging import get_logger
from streams.runtime.control_numbers import last_publication, untold_partitions
from streams.runtime.factories import record_signer
from streams.runtime.failures import WorkerFailed
from streams.settings import Settings
from streams.topology import EMBEDDED_PARTITIONS, topics
from streams.topology import WORKFLOWS as WORKFLOW_TOPIC

_log = get_logger(__name__)


async def provide_topics(log: Log, settings: Settings) -> None:
    """Create what an embedded log lacks: one process, one file, so nobody else will.

    On Kafka the number of partitions and of copies is for somebody to decide.
    """
    if not settings.on_kafka:
        await log.create_topics(topics(settings.partitions or EMBEDDED_PARTITIONS))


async def prepare_topics(log: Log, settings: Settings) -> None:
    """Make sure that the topics are as they must be. Raises WorkerFailed saying what to do."""
    from streams.operate.check import CheckStatus  # noqa: PLC0415  # publishing asks no doctor
    from streams.operate.topic_checks import check_topics  # noqa: PLC0415  # as above

    await provide_topics(log, settings)
    failures = [c for c in await check_topics(log, settings) if c.status is CheckStatus.FAIL]
    if failures:
        lines = "\n".join(f"- {check.text}\n  {check.remedy}" for check in failures)
        raise WorkerFailed(f"The topics are not as they must be:\n{lines}")


async def prepare_workflows(log: Log, settings: Settings) -> None:
    """Publish the workflow files when none have been published yet, otherwise compare them.

    Never more than that: of two workers during a deployment, the one with the older files must not
    bring those back. Raises LogError, DefinitionError, SettingsError.
    """
    from streams.runtime.definitions import (  # noqa: PLC0415  # and reads no workflow files
        DefinitionError,
        publish,
        read,
        read_files,
        versions_of,
    )

    live = (await read(log)).live
    if live is None:
        definitions = read_files(settings.workflows_dir)
        report = await publish(log, definitions, record_signer(settings))
        _log.info("workflows published for the first time", live=dict(report.live))
        return
    await _warn_of_untold(log, settings)
    try:
        files = versions_of(read_files(settings.workflows_dir))
    except DefinitionError as error:
        _log.warning("workflow files can't be read; what is published stays live", error=str(error))
        return
    if files != live:
        changed = sorted(id_ for id_ in {*files, *live} if files.get(id_) != live.get(id_))
        _log.warning("workflow files differ from what is live; `ritorno workflows publish` makes "
                     "them live", changed=changed)  # fmt: skip


async def _warn_of_untold(log: Log, settings: Settings) -> None:
    """Say when partitions hold nothing, signed by a key that is listed, of what is live."""
    from schemas.events import WORKFLOWS  # noqa: PLC0415  # `topics list` needs no models

    signer = record_signer(settings)
    untold = await untold_partitions(log, WORKFLOWS, await last_publication(log, WORKFLOW_TOPIC),
                                     signer)  # fmt: skip
    if untold:
        _log.warning(
            "partitions of customer-events hold no record, signed with a key that is listed, of "
            "the workflows that are live: the topic was made anew, or the key was replaced (in "
            "RITORNO_TOKEN_KEYS, or data_dir/signing-key was deleted). With another key links in "
            "sent mails don't work, suppressed addresses of erased people aren't known, and a "
            "replay refuses what the old one has signed: put it back if you have it. "
            "`ritorno workflows publish` tells the partitions",
            partitions=untold,
        )
