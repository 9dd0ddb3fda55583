"""Asks the store of facts for a command: the process that has it, else the file itself.

Without `RITORNO_INSIGHTS_BIND` no process is expected to have it: the command opens the file, reads
what is new in the log, answers, and lets go of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.clock import SystemClock
from streams.log import OnProgress, no_progress
from streams.settings import Settings


async def ask(
    settings: Settings,
    name: str,
    arguments: Mapping[str, Any],
    on_progress: OnProgress = no_progress,
) -> Mapping[str, Any]:
    """Return the answer. Raises QuestionError, InsightsError, LogError, SettingsError."""
    clock = SystemClock()
    if settings.insights_bind is not None:
        from streams.http.internal.signing import RequestSigner  # noqa: PLC0415  # as they are needed
        from streams.insights import client  # noqa: PLC0415  # as above
        from streams.runtime.factories import signing_keys  # noqa: PLC0415  # as above

        signer = RequestSigner(signing_keys(settings))
        return client.ask(settings.insights_bind, signer, clock, name, arguments)
    from streams.insights.service import Insights  # noqa: PLC0415  # DuckDB takes a moment
    from streams.runtime.bootstrap import provide_topics  # noqa: PLC0415  # as above
    from streams.runtime.factories import log_from  # noqa: PLC0415  # as above

    log = log_from(settings, clock)
    await log.start()
    try:
        await provide_topics(log, settings)
        insights = Insights(settings, log, clock)
        try:
            await insights.start()
            await insights.catch_up(on_progress)
            return await insights.ask(name, arguments)
        finally:
            await insights.stop()
    finally:
        await log.stop()


async def snapshots_after_erasure(
    settings: Settings, on_progress: OnProgress = no_progress
) -> list[str]:
    """Have the store take in who was erased, where there is one, and return its snapshots, which
    may hold them still. A process that has the store does the former by itself. Raises
    InsightsError, LogError, SettingsError."""
    from streams.insights.store import FILE  # noqa: PLC0415  # DuckDB takes a moment

    if settings.insights_bind is None and not (settings.data_dir / "insights" / FILE).exists():
        return []
    return list((await ask(settings, "snapshots", {}, on_progress))["paths"])


async def begin_anew(settings: Settings, on_progress: OnProgress = no_progress) -> int:
    """Read all that the log has of facts anew; return how many. Raises InsightsError, LogError."""
    from streams.insights.service import Insights  # noqa: PLC0415  # as above
    from streams.runtime.factories import log_from  # noqa: PLC0415  # as above

    clock = SystemClock()
    log = log_from(settings, clock)
    await log.start()
    try:
        insights = Insights(settings, log, clock)
        try:
            await insights.start()
            await insights.begin_anew()
            await insights.catch_up(on_progress)
            return insights.counts.facts
        finally:
            await insights.stop()
    finally:
        await log.stop()
