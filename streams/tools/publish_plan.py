"""What publishing would do: the definitions and the runs that the log holds, against files.

The changelog is the truth about the customers, also while workers run; it is read from end to end
into memory, as a worker's recovery does and by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.definitions.published import Definitions
from schemas.customer import UnreadableRecord, decode_customer
from schemas.definitions import DEFINITION, version_of
from schemas.stored import is_erased
from streams.log import Log, OnProgress
from streams.logging import get_logger
from streams.messages.translations import Language
from streams.runtime import definitions as publishing
from streams.runtime.state.recovery import recovered_stores
from streams.tools.reevaluation import NOBODY
from streams.tools.workflow_files.changes.comparing import DefinitionChange, Versioned, compare
from streams.tools.workflow_files.changes.in_flight import RunOutcome, RunsInFlight, outcomes
from streams.topology import CUSTOMERS_CHANGELOG

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPlan:
    """What publishing would do."""

    first: bool
    """Nothing has been published yet."""
    changes: list[DefinitionChange]
    unchanged: int
    in_flight: RunsInFlight = field(default_factory=RunsInFlight)
    outcomes: Mapping[str, list[RunOutcome]] = field(default_factory=dict)
    """Of the workflows that change or are withdrawn, what becomes of their runs."""


async def plan_publication(log: Log, files: Mapping[str, bytes], language: Language) -> PublishPlan:
    """Return what publishing canonical definitions by id would change, without the runs.

    Raises LogError.
    """
    published = await publishing.read(log)
    return _compared(published, files, language)


async def plan_publication_with_runs(
    log: Log, files: Mapping[str, bytes], language: Language, on_progress: OnProgress
) -> PublishPlan:
    """The same with the runs in flight. `on_progress` gets the records read so far and those to be
    read in all. Raises LogError."""
    published = await publishing.read(log)
    plan = _compared(published, files, language)
    in_flight = await _in_flight(log, on_progress)
    known = _known(published.definitions, files)
    coming = publishing.versions_of(files)
    return PublishPlan(
        first=plan.first,
        changes=plan.changes,
        unchanged=plan.unchanged,
        in_flight=in_flight,
        outcomes={
            change.id: list(outcomes(change.id, in_flight, known, coming.get(change.id), language))
            for change in plan.changes
            if in_flight.of(change.id)
        },
    )


def _compared(
    published: publishing.PublishedDefinitions, files: Mapping[str, bytes], language: Language
) -> PublishPlan:
    versions = (published.live or {}).items()
    live = {
        id_: _versioned(published.definitions.get((id_, version), b""), version)
        for id_, version in versions
    }
    coming = {id_: _versioned(content, version_of(content)) for id_, content in files.items()}
    changes = compare(live, coming, language)
    unchanged = sum(live[id_].version == coming[id_].version for id_ in live.keys() & coming)
    return PublishPlan(first=published.live is None, changes=changes, unchanged=unchanged)


def _versioned(content: bytes, version: str) -> Versioned:
    try:
        return Versioned(version, DEFINITION.validate_json(content))
    except ValueError:  # published by a newer Ritorno, or lost
        return Versioned(version, None)


def _known(
    published: Mapping[publishing.Version, bytes], files: Mapping[str, bytes]
) -> Definitions:
    """Return every version that there was or would be, without those that can't be read."""
    coming = {(id_, version_of(content)): content for id_, content in files.items()}
    known = Definitions()
    for (_, version), content in {**published, **coming}.items():
        try:
            known.add(version, content)
        except ValueError:  # a run that needs it is told of as one whose version nobody knows
            continue
    return known


async def _in_flight(log: Log, on_progress: OnProgress) -> RunsInFlight:
    in_flight = RunsInFlight()
    async for partition, store in recovered_stores(log, CUSTOMERS_CHANGELOG, on_progress):
        for key, stored in store.scan():
            if not key.startswith(NOBODY) and not is_erased(stored):
                try:
                    customer = decode_customer(key.decode(), stored)
                except (UnreadableRecord, UnicodeDecodeError) as error:
                    _log.warning("what is kept of a customer can't be read, passed over",
                                 partition=partition, error=str(error))  # fmt: skip
                else:
                    in_flight.count(customer)
    return in_flight
