"""Grafana's dashboard, made of what each metric says of itself: `make dashboard`.

A metric of ours is shown because its row in `streams/operate/` says so. What stands here are the
page, its sections, and panels of what is none of ours: Prometheus' own `up`, the process, and what
the parent of several processes says in its own words (`streams/runtime/processes/board.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from streams.operate.metrics import Metrics
from streams.operate.panels import SELECTED, Panel, Section

COLUMNS: dict[Section, int] = {
    "At a glance": 6,
    "Workers": 4,
    "What comes back": 4,
    "Tracking and consent": 4,
    "Delivery": 4,
    "Suppression": 2,
    "Arbitration": 2,
    "Processes of a worker": 2,
}
"""How many panels stand side by side, where it isn't three."""

WIDTH = 24
"""Grafana's page."""
HEIGHTS = {"timeseries": 8, "stat": 4, "table": 5}
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Query(NamedTuple):
    """One line, or several, on a panel."""

    expression: str
    legend: str


class Drawn(NamedTuple):
    """A panel with all that it asks for."""

    panel: Panel
    unit: str
    queries: list[Query]


_WORKERS = Panel("At a glance", "Workers", "Workers that answer Prometheus.", form="stat")
_OTHERS = (
    Drawn(_WORKERS, "short", [Query(f"sum(up{{{SELECTED}}})", "up")]),
    Drawn(
        Panel("Workers", "Processor", "Cores used by each worker."),
        "short",
        [Query(f"rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval])", "{{instance}}")],
    ),
    Drawn(
        Panel("Workers", "Memory", "Resident memory of each worker."),
        "bytes",
        [Query(f"process_resident_memory_bytes{{{SELECTED}}}", "{{instance}}")],
    ),
    Drawn(
        Panel(
            "Processes of a worker",
            "Processes that run",
            "Of a worker that was started with --processes; one, and up or not, of any other.",
            stacked=True,
        ),
        "short",
        [
            Query(
                f"sum by (instance) (ritorno_process_up{{{SELECTED}}}) "
                f"or sum by (instance) (up{{{SELECTED}}})",
                "{{instance}}",
            )
        ],
    ),
    Drawn(
        Panel(
            "Processes of a worker",
            "Processes started again",
            "Times in an hour; the worker's log says how they died.",
        ),
        "short",
        [
            Query(
                f"increase(ritorno_process_restarts_total{{{SELECTED}}}[1h]) "
                f"or 0 * up{{{SELECTED}}}",
                "{{instance}} {{process}}",
            )
        ],
    ),
)


class Annotation(NamedTuple):
    """Instants that are marked on every panel."""

    name: str
    expression: str
    """Its values are the instants, ms since the epoch."""
    title: str
    colour: str


ANNOTATIONS = (
    Annotation(
        "Deployments",
        # Of `--processes N` each is one of its own; where there is no such label it is empty.
        f"1000 * ritorno_build_info{{{SELECTED}}} * on (job, instance, process) "
        f"group_left process_start_time_seconds{{{SELECTED}}}",
        "{{instance}} started, {{version}}",
        "blue",
    ),
    Annotation(
        "Publications",
        f"1000 * (max by (job) (ritorno_publication_timestamp_seconds{{{SELECTED}}}) > 0)",
        "Other workflows went live",
        "purple",
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana keeps it."""
    return {
        "uid": "ritorno",
        "title": "Ritorno",
        "description": "From a customer's event to a mail in an inbox.",
        "tags": ["ritorno"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_data_source(), _job(), _instance()]},
        "annotations": {"list": [_annotation(each) for each in ANNOTATIONS]},
        "panels": [{"id": number, **each} for number, each in enumerate(_panels(), start=1)],
    }


def text() -> str:
    """Return the file."""
    return json.dumps(dashboard(), ensure_ascii=False, indent=2) + "\n"


def _drawn() -> list[Drawn]:
    """Return all panels, each with the lines of all metrics that are on it, wide ones last."""
    drawn = {_WORKERS.title: _OTHERS[0]}
    for shown in Metrics().shown:
        panel = shown.line.panel
        known = drawn.setdefault(f"{panel.section}: {panel.title}", Drawn(panel, shown.unit(), []))
        if known.panel != panel:
            raise ValueError(f"{shown.name}: there are two panels {panel.title} in {panel.section}")
        known.queries.append(Query(shown.query(), shown.legend()))
    return sorted([*drawn.values(), *_OTHERS[1:]], key=lambda each: each.panel.is_wide)


def _panels() -> Iterator[dict[str, Any]]:
    """Yield the panels from the top left to the bottom right."""
    drawn, top = _drawn(), 0
    for section in get_args(Section):
        yield {
            "type": "row",
            "title": section,
            "collapsed": False,
            "gridPos": _position(0, top, WIDTH, 1),
            "panels": [],
        }
        here = [each for each in drawn if each.panel.section == section]
        top = yield from _section(here, WIDTH // COLUMNS.get(section, 3), top + 1)


def _section(drawn: Sequence[Drawn], width: int, top: int) -> Generator[dict[str, Any], None, int]:
    """Yield its panels side by side, then below; return where the next section begins."""
    left, bottom = 0, top
    for each in drawn:
        needed = WIDTH if each.panel.is_wide else width
        if left + needed > WIDTH:
            left, top = 0, bottom
        height = HEIGHTS[each.panel.form]
        yield _panel(each, _position(left, top, needed, height))
        left, bottom = left + needed, max(bottom, top + height)
    return bottom


def _position(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"h": height, "w": width, "x": left, "y": top}


def _panel(drawn: Drawn, position: dict[str, int]) -> dict[str, Any]:
    panel = drawn.panel
    custom = (
        {"custom": {"stacking": {"mode": "normal"}, "fillOpacity": 30}} if panel.stacked else {}
    )
    return {
        "type": panel.form,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": drawn.unit, "min": 0, **custom}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                **_AS[panel.form],
            }
            for number, query in enumerate(drawn.queries)
        ],
        **_OPTIONS[panel.form],
    }


_AS: dict[str, dict[str, Any]] = {
    "timeseries": {},
    "stat": {"instant": False},
    "table": {"format": "table", "instant": True},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    },
    "stat": {
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "colorMode": "value",
            "graphMode": "area",
        }
    },
    "table": {},
}


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "hide": 0,
    }


def _job() -> dict[str, Any]:
    query = "label_values(ritorno_build_info, job)"
    return {
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "job"},
        "definition": query,
        "refresh": 1,
        "current": {"text": "ritorno", "value": "ritorno"},
        "hide": 0,
    }


def _instance() -> dict[str, Any]:
    query = 'label_values(ritorno_build_info{job="$job"}, instance)'
    return {
        "name": "instance",
        "label": "Worker",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "instance"},
        "definition": query,
        "refresh": 2,  # whenever the time changes: workers come and go
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def _annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "name": annotation.name,
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": annotation.colour,
        "expr": annotation.expression,
        "step": "60s",
        "titleFormat": annotation.title,
        "useValueForTime": True,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
