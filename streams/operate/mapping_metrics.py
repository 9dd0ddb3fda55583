"""Metrics of foreign streams: what becomes of the records of topics that others own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from streams.connect.mappings.counts import PAUSES, MappingCounts
from streams.operate.instruments import Instruments
from streams.operate.panels import Panel

Counts = Mapping[str, MappingCounts]

_LAG = Panel(
    "Foreign streams",
    "Waiting to be mapped",
    "Records that lie in the foreign topic and aren't mapped yet.",
)
_RECORDS = Panel(
    "Foreign streams",
    "Foreign records",
    "What became of them: dropped on purpose, refused into the dead letters, repeated after a "
    "crash.",
)
_HELD_UP = Panel(
    "Foreign streams",
    "Mappings that are held up",
    "Mappings that wait, and for what; topics that were made anew, cut off or given other "
    "partitions; expressions that failed.",
)


class MappingMetrics:
    """Hands the counts over as they are at the moment."""

    def __init__(self, make: Instruments) -> None:
        self.records = make.reading(
            "mapping_records",
            "Foreign records by mapping and outcome: mapped, dropped, refused, repeated.",
            "mapping",
            "outcome",
            shown=[_RECORDS.line("mapping", "outcome")],
        )
        self.events = make.reading(
            "mapping_events",
            "Events that were made of foreign records, by mapping.",
            "mapping",
            shown=[_RECORDS.line("mapping", legend="{{mapping}} events")],
        )
        self.lag = make.reading(
            "mapping_lag_records",
            "Foreign records that aren't mapped yet, in the partitions of this process.",
            "mapping",
            kind="gauge",
            shown=[_LAG.line("mapping")],
        )
        self.partitions = make.reading(
            "mapping_partitions",
            "Foreign partitions that this process maps.",
            "mapping",
            kind="gauge",
            shown=[_LAG.line("mapping", legend="{{mapping}} partitions")],
        )
        self.paused = make.reading(
            "mapping_paused",
            "1 while a mapping waits for it: registry, topic, log (a broker), or a defect of ours.",
            "mapping",
            "reason",
            kind="gauge",
            shown=[_HELD_UP.line("mapping", "reason", how="max")],
        )
        self.changes = make.reading(
            "mapping_topic_changes",
            "What was done to a foreign topic: recreated, shrunk, gone (deleted before it was "
            "mapped), partitions.",
            "mapping",
            "change",
            shown=[_HELD_UP.line("mapping", "change", over="1h")],
        )
        self.lost = make.reading(
            "mapping_lost_records",
            "Offsets of foreign records that were deleted before they could be mapped.",
            "mapping",
            shown=[_HELD_UP.line("mapping", legend="{{mapping}} lost", over="1h")],
        )
        self.failed_expressions = make.reading(
            "mapping_failed_expressions",
            "Expressions of properties that failed; the property was left out.",
            "mapping",
            shown=[_HELD_UP.line("mapping", legend="{{mapping}} expressions", over="1h")],
        )

    def of(self, counts: Counts) -> None:
        """Show what these mappings do."""

        def each(read: Callable[[MappingCounts], float]) -> Callable[[], Iterator[_Sample]]:
            return lambda: (((name,), read(one)) for name, one in counts.items())

        self.records.of(
            lambda: [
                ((name, outcome), count)
                for name, one in counts.items()
                for outcome, count in one.records.items()
            ]
        )
        self.changes.of(
            lambda: [
                ((name, change), count)
                for name, one in counts.items()
                for change, count in one.changes.items()
            ]
        )
        self.paused.of(
            lambda: [
                ((name, reason), float(one.pause == reason))
                for name, one in counts.items()
                for reason in PAUSES
            ]
        )
        self.events.of(each(lambda one: one.events))
        self.lag.of(each(lambda one: one.lag))
        self.partitions.of(each(lambda one: one.partitions))
        self.lost.of(each(lambda one: one.lost))
        self.failed_expressions.of(each(lambda one: one.failed_expressions))


_Sample = tuple[tuple[str, ...], float]
