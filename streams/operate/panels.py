"""What the dashboard shows of a metric: said with the metric, in one row.

`streams/tools/dashboard.py` makes Grafana's file of it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Section = Literal[
    "At a glance",
    "Events",
    "Decisions",
    "Mail",
    "Ingest",
    "Workers",
    "Partitions",
    "What comes back",
    "Tracking and consent",
    "Delivery",
    "Suppression",
    "Arbitration",
    "Segments, fields, conditions",
    "Set aside",
    "Connected shops",
    "Foreign streams",
    "Insights",
    "Processes of a worker",
]
"""In the order in which they are shown."""

Aggregation = Literal["sum", "max", "min"]
MetricKind = Literal["counter", "gauge", "histogram"]

SELECTED = 'job="$job",instance=~"$instance"'
"""Of which workers a panel tells: the dashboard's variables."""

EVER = "ever"
"""`over` of a counter that is shown as it stands."""


class Panel(NamedTuple):
    """A panel; of several metrics' lines that are on the same one, it is said once."""

    section: Section
    title: str
    about: str
    """A sentence or two for whoever looks at it."""
    form: Literal["timeseries", "stat", "table"] = "timeseries"
    unit: str = ""
    """Grafana's; empty: what the metric's type and name say."""
    stacked: bool = False
    is_wide: bool = False
    """It has the whole width of the page."""

    def line(
        self,
        *by: str,
        legend: str = "",
        where: str = "",
        over: str = "",
        how: Aggregation = "sum",
        within: str = "{}",
    ) -> Line:
        """Return a metric's lines on this panel, one for each value of the labels `by`.

        `legend` is written beside them; by default the labels' values. `where` are more labels to
        select by. Of a counter its rate is shown, or how much it has increased `over` a span. Of a
        histogram the 95th percentile, or how many there were `over` a span. `within` is what the
        query stands in: `time() - {}`.
        """
        return Line(self, by, legend, where, over, how, within)


class Line(NamedTuple):
    """How a metric is asked for on a panel; see `Panel.line`."""

    panel: Panel
    by: tuple[str, ...]
    legend: str
    where: str
    over: str
    how: Aggregation
    within: str


class NotShown(NamedTuple):
    """Why a metric is on no panel."""

    because: str


class Shown(NamedTuple):
    """A metric's lines on a panel."""

    name: str
    """The metric's whole name, without the suffix of its type."""
    kind: MetricKind
    line: Line

    def query(self) -> str:
        """Return it in PromQL; the dashboard's variables `$job` and `$instance` say whose."""
        line = self.line
        selected = f"{SELECTED},{line.where}" if line.where else SELECTED
        if self.kind == "histogram" and line.over:
            times = f"{line.how} by ({', '.join(line.by)}) " if line.by else line.how
            return line.within.format(
                f"{times}(increase({self.name}_count{{{selected}}}[{line.over}]))"
            )
        if self.kind == "histogram":
            rate = f"rate({self.name}_bucket{{{selected}}}[$__rate_interval])"
            by = ", ".join(("le", *line.by))
            return line.within.format(f"histogram_quantile(0.95, sum by ({by}) ({rate}))")
        if self.kind == "gauge":
            asked = f"{self.name}{{{selected}}}"
        elif line.over == EVER:
            asked = f"{self.name}_total{{{selected}}}"
        elif line.over:
            asked = f"increase({self.name}_total{{{selected}}}[{line.over}])"
        else:
            asked = f"rate({self.name}_total{{{selected}}}[$__rate_interval])"
        by = f" by ({', '.join(line.by)}) " if line.by else ""
        return line.within.format(f"{line.how}{by}({asked})")

    def legend(self) -> str:
        """Return what is written beside the lines."""
        return self.line.legend or " ".join(f"{{{{{label}}}}}" for label in self.line.by)

    def unit(self) -> str:
        """Return the unit of the panel, as Grafana calls it."""
        if self.line.panel.unit:
            return self.line.panel.unit
        if self.line.over:
            return "short"
        if self.kind == "counter":
            return "ops"
        return next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), "short")


_UNITS = {"_seconds": "s", "_bytes": "bytes"}
