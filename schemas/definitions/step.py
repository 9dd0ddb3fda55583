"""What all steps have in common, and what is asked of every verb; the verbs are in `steps.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from schemas.definitions.conditions import Condition
from schemas.definitions.definition import Definition, Name
from schemas.definitions.triggers import Occurrence
from schemas.definitions.waits import Lateness, Waits

Drawn = Literal["informative", "promotional", "transactional", "wait", "way", "act", "notify",
                "call", "goal", "exit"]  # fmt: skip
"""How a step looks in a drawing. way: a branch or a split. act: changes the customer."""


class StepArm(NamedTuple):
    """A sequence of steps inside a step: an arm of a branch or a variant of a split."""

    name: str
    path: str
    """Where its steps stand in the file, from the step on: `branch.0.steps`."""
    steps: list[Any]
    """Of `Step`, the union of what is built on this."""
    given: Definition | None
    """What the file says of it, an `Arm` or a `Variant`; None of an `else`."""


class NamedDefinition(NamedTuple):
    """Another definition that a step names."""

    path: str
    """Where, from the step on: `coupon`."""
    kind: Literal["campaign", "score", "workflow"]
    name: str


class StepCommon(Definition):
    """What every step may say, and what is asked of every verb."""

    verb: ClassVar[str]
    idle: ClassVar[bool] = False
    """Whether it makes no sense without the marketing mails before or after it."""
    ends: ClassVar[bool] = False
    """Whether the run is over with it."""
    drawn: ClassVar[Drawn] = "act"
    withheld: ClassVar[bool] = False
    """Whether the control group of an experiment does not get it."""
    reward: ClassVar[bool] = False
    """Whether the customer gets something by it, which must not depend on a rating (R08)."""
    names_fields: ClassVar[bool] = False
    """Whether its texts may name fields; they are its `texts`."""

    id: Name
    wait: Waits = []
    """Alternatives: the first whose occurrence or date is known counts, so name the best first."""
    if_: Condition | None = Field(default=None, alias="if")
    stop_on: list[Occurrence] = []
    late: Lateness = Lateness(then="fire")

    def drawn_as(self) -> Drawn:
        """Return how it looks."""
        return self.drawn

    def is_withheld(self) -> bool:
        """Return whether the control group goes without it."""
        return self.withheld

    def gives_reward(self) -> bool:
        """Return whether the customer gets something by it."""
        return self.reward

    @property
    def mail(self) -> str:
        """The template of the mail that it sends; empty when it sends none."""
        return ""

    def arms(self) -> Iterator[StepArm]:
        """Yield its arms; none where there is but one way on."""
        yield from ()

    def results(self) -> Iterator[str]:
        """Yield what it may come to, besides what its wait does."""
        yield from ()

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the texts that may name fields, each behind its place in the step."""
        yield from ()

    def sets(self) -> Mapping[str, str]:
        """Return the fields that it sets, each with the type that it must be of; empty: any."""
        return {}

    def carries(self) -> Iterable[str]:
        """Return under which names it keeps something of what the customer said."""
        return ()

    def others(self) -> Iterator[NamedDefinition]:
        """Yield which other definitions it names."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_published(cls, value: Any) -> Any:
        """Versions from before there were conditions are still in use: `skip_if: [has_ordered]`."""
        if not isinstance(value, dict) or value.get("skip_if") != ["has_ordered"]:
            return value
        rest = {name: given for name, given in value.items() if name != "skip_if"}
        return rest | {"if": {"orders.count": 0}}
