"""Steps of a workflow. Each names one verb; all may wait, be conditional and be stopped.

What is known of a verb without running it stands in its model here; `schemas/definitions/step.py`
has what is asked of each. What it does is its row in `agents/workflows/steps.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, model_validator

from schemas.commands import MailClass, MailKind, TrackingMode
from schemas.definitions.conditions import Condition, Scalar
from schemas.definitions.definition import Definition, Name
from schemas.definitions.products import Products, ProductSource
from schemas.definitions.step import Drawn, NamedDefinition, StepArm, StepCommon
from schemas.definitions.triggers import Occurrence
from schemas.definitions.waits import Waits
from schemas.durations import Duration
from schemas.time_units import DAY_MS


def _source_alone(value: Any) -> Any:
    return {"from": value} if isinstance(value, str | list) else value


class SendStep(StepCommon):
    """Send one mail. Marketing passes the arbitration, which may hold it for a while."""

    verb = "send"
    names_fields = True

    send: Name
    """Name of the mail template."""
    mail_class: MailClass = Field(default="marketing", alias="class")
    kind: MailKind
    basis: Literal["consent", "soft_opt_in"] = "consent"
    """soft_opt_in: for products like those that the customer bought, also without consent, as far
    as the shop's policy allows it at all."""
    priority: int | None = Field(default=None, ge=0, le=100)
    """Among the mails that wait for a free place; the workflow's if it is not said."""
    expires: Duration | None = None
    """How long the mail may be held and wait at the mailer; by class when it is not said."""
    variables: dict[str, JsonValue] = Field(default={}, alias="with")
    products: Annotated[
        Products | None,
        BeforeValidator(
            _source_alone,
            json_schema_input_type=ProductSource | list[ProductSource] | Products | None,
        ),
    ] = None
    """Which products of the feed the template gets as `products`."""
    bulk: bool = False
    tracking: TrackingMode | None = None
    """At most so much may be noted of openings and clicks; as much as shop and person allow if it
    is not said."""

    @model_validator(mode="after")
    def _class_and_kind_agree(self) -> SendStep:
        if (self.mail_class == "transactional") != (self.kind == "transactional"):
            raise ValueError(
                f"class {self.mail_class} and kind {self.kind}: "
                "a transactional mail is both, a marketing mail is informative or promotional"
            )
        return self

    def drawn_as(self) -> Drawn:
        return self.kind

    def is_withheld(self) -> bool:
        return self.mail_class != "transactional"

    def gives_reward(self) -> bool:
        return "coupon" in self.variables

    @property
    def mail(self) -> str:
        return self.send

    def texts(self) -> Iterator[tuple[str, str]]:
        yield from _nested(self.variables, "with")


def _nested(value: JsonValue, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text of a variable, wherever it stands: all may name fields."""
    match value:
        case str():
            yield path, value
        case list():
            for number, each in enumerate(value):
                yield from _nested(each, f"{path}.{number}")
        case dict():
            for name, each in value.items():
                yield from _nested(each, f"{path}.{name}")


class WaitStep(StepCommon):
    """Only wait."""

    verb = "wait"
    drawn = "wait"
    idle = True

    wait: Waits = Field(min_length=1)


class Arm(Definition):
    """One arm of a branch. The first whose condition holds is gone; `else` has none."""

    if_: Condition | None = Field(default=None, alias="if")
    result: str = ""
    """Instead of a condition: the result of the step before (`event`, `timeout`, an arm's name)."""
    steps: list[Step] = []


class BranchStep(StepCommon):
    """Take one arm or another."""

    verb = "branch"
    drawn = "way"
    idle = True

    branch: list[Arm] = Field(min_length=1)
    otherwise: list[Step] = Field(default=[], alias="else")

    def arms(self) -> Iterator[StepArm]:
        for number, arm in enumerate(self.branch):
            name = f"branch.{number}"
            yield StepArm(arm.result or name, f"{name}.steps", arm.steps, arm)
        yield StepArm("else", "else", self.otherwise, None)


class Variant(Definition):
    """One arm of a split."""

    name: Name
    share: int = Field(gt=0, le=100)
    """Per cent of the customers."""
    holdout: bool = False
    """These get nothing of it, to see what it really adds: the run goes on without mails."""
    steps: list[Step] = []


class SplitStep(StepCommon):
    """An A/B/n test: who gets which variant is a hash of customer and experiment, for ever."""

    verb = "split"
    drawn = "way"
    idle = True

    split: list[Variant] = Field(min_length=2)
    experiment: Name
    runs_for: Duration = Field(default=28 * DAY_MS, ge=14 * DAY_MS, le=28 * DAY_MS)
    """Two to four weeks, by the house's rule R07; then the winner is stated."""
    measure: Occurrence = "order.completed"
    """What counts as success, within the workflow's goal window (7 days if it has none)."""

    @model_validator(mode="after")
    def _shares_are_a_whole(self) -> SplitStep:
        total = sum(variant.share for variant in self.split)
        if total != 100:
            raise ValueError(f"the shares of {self.experiment} add up to {total}, not 100")
        return self

    def arms(self) -> Iterator[StepArm]:
        for number, variant in enumerate(self.split):
            yield StepArm(variant.name, f"split.{number}.steps", variant.steps, variant)

    def results(self) -> Iterator[str]:
        yield from (variant.name for variant in self.split)


class TagStep(StepCommon):
    """Put a tag on the customer."""

    verb = "tag"
    names_fields = True

    tag: str = Field(min_length=1, max_length=60)
    """May name a field: `interest:{event.category}`."""
    lasts: Duration | None = None

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "tag", self.tag

    def carries(self) -> Iterable[str]:
        return [self.tag.partition("{")[0]]


class UntagStep(StepCommon):
    """Take a tag off; a trailing `*` takes all that begin so."""

    verb = "untag"
    names_fields = True

    untag: str

    def texts(self) -> Iterator[tuple[str, str]]:
        yield "untag", self.untag


class ListStep(StepCommon):
    """Put the customer on a list or take it off. Being on a list is no consent."""

    verb = "list"

    list_: Name = Field(alias="list")
    action: Literal["subscribe", "unsubscribe"]


class SetStep(StepCommon):
    """Set custom fields (declared in `fields.yaml`) or profile fields."""

    verb = "set"
    names_fields = True

    set: dict[str, Scalar | None]

    def texts(self) -> Iterator[tuple[str, str]]:
        yield from ((f"set.{name}", v) for name, v in self.set.items() if isinstance(v, str))

    def sets(self) -> Mapping[str, str]:
        return dict.fromkeys(self.set, "")

    def carries(self) -> Iterable[str]:
        return [name.removeprefix("fields.") for name in self.set]


class IncreaseStep(StepCommon):
    """Add to custom fields that are numbers, or take away; one that is not known counts from 0."""

    verb = "increase"

    increase: dict[str, Annotated[int | float, Field(ge=-1e9, le=1e9)]] = Field(min_length=1)

    def sets(self) -> Mapping[str, str]:
        return dict.fromkeys(self.increase, "number")

    def carries(self) -> Iterable[str]:
        return [name.removeprefix("fields.") for name in self.increase]


class ScoreStep(StepCommon):
    """Add to a score."""

    verb = "score"

    score: Name
    add: float

    def others(self) -> Iterator[NamedDefinition]:
        yield NamedDefinition("score", "score", self.score)


class CouponStep(StepCommon):
    """Issue a coupon of a campaign; the mails after it carry the code. Result: `issued` or `none`
    when the pool is empty or the campaign is over."""

    verb = "coupon"
    withheld = True
    idle = True
    reward = True

    coupon: Name

    def results(self) -> Iterator[str]:
        yield from ("issued", "none")

    def others(self) -> Iterator[NamedDefinition]:
        yield NamedDefinition("coupon", "campaign", self.coupon)


class PointsStep(StepCommon):
    """Give loyalty points."""

    verb = "points"
    withheld = True
    reward = True

    points: int


class NotifyStep(StepCommon):
    """Tell the shop: a webhook, or a mail to the sales team."""

    verb = "notify"
    drawn = "notify"
    withheld = True
    names_fields = True

    notify: str = Field(pattern=r"^(https?://|mailto:).+|^sales$")
    """`https://…` gets a signed POST, `mailto:…` a mail; `sales` is the policy's address."""
    template: Name = "sales-alert"
    message: dict[str, str] = {}
    """Words to go along, by language; may name fields."""

    @property
    def mail(self) -> str:
        return self.template

    def texts(self) -> Iterator[tuple[str, str]]:
        yield from ((f"message.{language}", text) for language, text in self.message.items())


class CallStep(StepCommon):
    """Begin another workflow for the same subject."""

    verb = "call"
    drawn = "call"

    call: Name
    wait_for_end: bool = False

    def results(self) -> Iterator[str]:
        yield from ("begun", "ended", "timeout", "none")

    def others(self) -> Iterator[NamedDefinition]:
        yield NamedDefinition("call", "workflow", self.call)


class GoalStep(StepCommon):
    """The run has reached what it was for and ends as converted."""

    verb = "goal"
    drawn = "goal"
    idle = True
    ends = True

    goal: str = Field(min_length=1, max_length=60)


class ExitStep(StepCommon):
    """The run ends here."""

    verb = "exit"
    drawn = "exit"
    idle = True
    ends = True

    exit: str = Field(min_length=1, max_length=60)
    """Why, in a few words."""


def verb(value: Any) -> str:
    """Return which kind of step this is, given as data or as a model."""
    if isinstance(value, dict):
        return next((name for name in VERBS if name in value or f"{name}_" in value), "wait")
    return str(getattr(value, "verb", "wait"))


Step = Annotated[
    Annotated[SendStep, Tag(SendStep.verb)]
    | Annotated[BranchStep, Tag(BranchStep.verb)]
    | Annotated[SplitStep, Tag(SplitStep.verb)]
    | Annotated[TagStep, Tag(TagStep.verb)]
    | Annotated[UntagStep, Tag(UntagStep.verb)]
    | Annotated[ListStep, Tag(ListStep.verb)]
    | Annotated[SetStep, Tag(SetStep.verb)]
    | Annotated[IncreaseStep, Tag(IncreaseStep.verb)]
    | Annotated[ScoreStep, Tag(ScoreStep.verb)]
    | Annotated[CouponStep, Tag(CouponStep.verb)]
    | Annotated[PointsStep, Tag(PointsStep.verb)]
    | Annotated[NotifyStep, Tag(NotifyStep.verb)]
    | Annotated[CallStep, Tag(CallStep.verb)]
    | Annotated[GoalStep, Tag(GoalStep.verb)]
    | Annotated[ExitStep, Tag(ExitStep.verb)]
    | Annotated[WaitStep, Tag(WaitStep.verb)],
    Discriminator(verb),
]

STEPS: tuple[type[StepCommon], ...] = tuple(
    get_args(each)[0] for each in get_args(get_args(Step)[0])
)
VERBS = tuple(each.verb for each in STEPS if each is not WaitStep)
"""What a step names; one that names none only waits."""


def walk(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield all steps, those inside branches and splits after the one that holds them."""
    return (step for _, step in steps_with_paths(steps))


def steps_with_paths(steps: Iterable[Step], path: str = "steps") -> Iterator[tuple[str, Step]]:
    """Yield all steps as `walk` does, each with its place in the file: `steps.2.else.0`."""
    for number, step in enumerate(steps):
        at_path = f"{path}.{number}"
        yield at_path, step
        for arm in step.arms():
            yield from steps_with_paths(arm.steps, f"{at_path}.{arm.path}")
