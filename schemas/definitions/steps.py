"""Steps of a workflow. Each names one verb; all may wait, be conditional and be stopped.

wait        when the step is due, counted as its file says; at once if it has none
if          otherwise the step is left out
stop_on     left out when one of these happens while it waits, or before in this run
late        what to do when nobody was there in time
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, model_validator

from schemas.commands import MailClass, MailKind, TrackingMode
from schemas.definitions.conditions import Condition, Scalar
from schemas.definitions.definition import Definition, Name
from schemas.definitions.triggers import Occurrence
from schemas.definitions.waits import Lateness, Waits
from schemas.durations import Duration


class StepCommon(Definition):
    """What every step may say."""

    id: Name
    wait: Waits = []
    """Alternatives: the first whose occurrence or date is known counts, so name the best first."""
    if_: Condition | None = Field(default=None, alias="if")
    stop_on: list[Occurrence] = []
    late: Lateness = Lateness(then="fire")

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_published(cls, value: Any) -> Any:
        """Versions from before there were conditions are still in use: `skip_if: [has_ordered]`."""
        if not isinstance(value, dict) or value.get("skip_if") != ["has_ordered"]:
            return value
        rest = {name: given for name, given in value.items() if name != "skip_if"}
        return rest | {"if": {"orders.count": 0}}


ProductSource = Literal["complements", "accessories", "upgrades", "trigger", "interests", "owned",
                        "running_out", "cart", "categories", "bestsellers",
                        "bestselling_categories"]  # fmt: skip


class Products(Definition):
    """A selection from the feed. Only what is in stock, never what was just bought.

    complements, accessories, upgrades: of what the run's order, product or the cart is about, as
    the shop has set them; nothing that is in the cart already. trigger: the product that the run
    is about, with `at_least: 1` only while it can be bought. interests: what the customer has
    looked at most. owned: what the run's order (or the last one) holds. running_out: the run's
    product and what was bought with it that runs out with it. cart: what lies in it. categories:
    the bestsellers of the categories that the customer buys and looks at. bestsellers: all.
    bestselling_categories: the bestseller of each category, of the one that sells most first.
    """

    source: ProductSource | Annotated[list[ProductSource], Field(min_length=1)] = Field(
        alias="from"
    )
    """Of several, what the first ones have comes first."""
    reviewed: bool = False
    """Only those of which the feed has reviews."""

    at_least: int = Field(default=0, ge=0)
    """With fewer the mail is left out."""
    at_most: int = Field(default=4, ge=1, le=12)

    @property
    def sources(self) -> list[ProductSource]:
        """All of them."""
        return self.source if isinstance(self.source, list) else [self.source]


def _source_alone(value: Any) -> Any:
    return {"from": value} if isinstance(value, str | list) else value


class SendStep(StepCommon):
    """Send one mail. Marketing passes the arbitration, which may hold it for a while."""

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


class WaitStep(StepCommon):
    """Only wait."""

    wait: Waits = Field(min_length=1)


class Arm(Definition):
    """One way of a branch. The first whose condition holds is gone; `else` has none."""

    if_: Condition | None = Field(default=None, alias="if")
    result: str = ""
    """Instead of a condition: the result of the step before (`event`, `timeout`, an arm's name)."""
    steps: list[Step] = []


class BranchStep(StepCommon):
    """Go one way or another."""

    branch: list[Arm] = Field(min_length=1)
    otherwise: list[Step] = Field(default=[], alias="else")


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

    split: list[Variant] = Field(min_length=2)
    experiment: Name
    runs_for: Duration = Field(default=28 * 86_400_000, ge=14 * 86_400_000, le=28 * 86_400_000)
    """Two to four weeks, by the house's rule R07; then the winner is stated."""
    measure: Occurrence = "order.completed"
    """What counts as success, within the workflow's goal window (7 days if it has none)."""

    @model_validator(mode="after")
    def _shares_are_a_whole(self) -> SplitStep:
        total = sum(variant.share for variant in self.split)
        if total != 100:
            raise ValueError(f"the shares of {self.experiment} add up to {total}, not 100")
        return self


class TagStep(StepCommon):
    """Put a tag on the customer."""

    tag: str = Field(min_length=1, max_length=60)
    """May name a field: `interest:{event.category}`."""
    lasts: Duration | None = None


class UntagStep(StepCommon):
    """Take a tag off; a trailing `*` takes all that begin so."""

    untag: str


class ListStep(StepCommon):
    """Put the customer on a list or take it off. Being on a list is no consent."""

    list_: Name = Field(alias="list")
    action: Literal["subscribe", "unsubscribe"]


class SetStep(StepCommon):
    """Set custom fields (declared in `fields.yaml`) or profile fields."""

    set: dict[str, Scalar | None]


class ScoreStep(StepCommon):
    """Add to a score."""

    score: Name
    add: float


class CouponStep(StepCommon):
    """Issue a coupon of a campaign; the mails after it carry the code. Result: `issued` or `none`
    when the pool is empty or the campaign is over."""

    coupon: Name


class PointsStep(StepCommon):
    """Give loyalty points."""

    points: int


class NotifyStep(StepCommon):
    """Tell the shop: a webhook, or a mail to the sales team."""

    notify: str = Field(pattern=r"^(https?://|mailto:).+|^sales$")
    """`https://…` gets a signed POST, `mailto:…` a mail; `sales` is the policy's address."""
    template: Name = "sales-alert"
    message: dict[str, str] = {}
    """Words to go along, by language; may name fields."""


class CallStep(StepCommon):
    """Begin another workflow for the same subject."""

    call: Name
    wait_for_end: bool = False


class GoalStep(StepCommon):
    """The run has reached what it was for and ends as converted."""

    goal: str = Field(min_length=1, max_length=60)


class ExitStep(StepCommon):
    """The run ends here."""

    exit: str = Field(min_length=1, max_length=60)
    """Why, in a few words."""


_VERBS = ("send", "branch", "split", "tag", "untag", "list", "set", "score", "coupon", "points",
          "notify", "call", "goal", "exit")  # fmt: skip


def verb(value: Any) -> str:
    """Return which kind of step this is, given as data or as a model."""
    if isinstance(value, dict):
        return next((name for name in _VERBS if name in value or f"{name}_" in value), "wait")
    return next((name for name in _VERBS if hasattr(value, name) or hasattr(value, f"{name}_")),
                "wait")  # fmt: skip


Step = Annotated[
    Annotated[SendStep, Tag("send")]
    | Annotated[BranchStep, Tag("branch")]
    | Annotated[SplitStep, Tag("split")]
    | Annotated[TagStep, Tag("tag")]
    | Annotated[UntagStep, Tag("untag")]
    | Annotated[ListStep, Tag("list")]
    | Annotated[SetStep, Tag("set")]
    | Annotated[ScoreStep, Tag("score")]
    | Annotated[CouponStep, Tag("coupon")]
    | Annotated[PointsStep, Tag("points")]
    | Annotated[NotifyStep, Tag("notify")]
    | Annotated[CallStep, Tag("call")]
    | Annotated[GoalStep, Tag("goal")]
    | Annotated[ExitStep, Tag("exit")]
    | Annotated[WaitStep, Tag("wait")],
    Discriminator(verb),
]


def walk(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield all steps, those inside branches and splits after the one that holds them."""
    return (step for _, step in places(steps))


def places(steps: Iterable[Step], path: str = "steps") -> Iterator[tuple[str, Step]]:
    """Yield all steps as `walk` does, each with its place in the file: `steps.2.else.0`."""
    for number, step in enumerate(steps):
        place = f"{path}.{number}"
        yield place, step
        if isinstance(step, BranchStep):
            for arm, way in enumerate(step.branch):
                yield from places(way.steps, f"{place}.branch.{arm}.steps")
            yield from places(step.otherwise, f"{place}.else")
        elif isinstance(step, SplitStep):
            for arm, variant in enumerate(step.split):
                yield from places(variant.steps, f"{place}.split.{arm}.steps")
