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
    "Workers",
    "What comes back",
    "Tracking and consent",
    "Delivery",
    "Suppression",
    "Arbitration",
    "Segments, fields, conditions",
    "Set aside",
    "Processes of a worker",
]
"""In the order in which they are shown."""

Aggregation = Literal["sum", "max", "min"]
MetricKind = Literal["counter", "gauge", "histogram"]

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
        histogram the 95th percentile. `within` is what the query stands in: `time() - {}`.
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


class Shown(NamedTuple):
    """A metric's lines on a panel."""

    name: str
    """The metric's whole name, without the suffix of its type."""
    kind: MetricKind
    line: Line

    def query(self) -> str:
        """Return it in PromQL; the dashboard's variable `$job` says whose."""
        line = self.line
        selected = f'job="$job",{line.where}' if line.where else 'job="$job"'
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
        if self.kind == "counter":
            return "short" if self.line.over else "ops"
        return next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), "short")


_UNITS = {"_seconds": "s", "_bytes": "bytes"}
