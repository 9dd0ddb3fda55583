"""The definitions that actors decide by: all published versions, and the ones that are live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from agents.definitions import event_plans, triggers
from agents.definitions.coupon_pools import Pool, Pools
from agents.definitions.custom_events import DeclaredEvent, declared_events
from agents.definitions.derived_state import DerivedState
from agents.definitions.event_plans import EventPlan
from agents.definitions.program import Program, compile_program
from agents.definitions.settings import NO_LIMITS, DeduplicationRules, VisitorLimits
from agents.definitions.time_triggers import compile_time_triggers
from agents.digests import derived_id
from agents.rules import scores
from agents.rules.fields import FieldRegistry
from agents.rules.scores import Scored
from agents.rules.segments import NO_SEGMENTS, Segmentation, compile_segments
from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.custom_events import CustomEvents
from schemas.definitions.rates import Rates
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import (
    Campaign,
    Coupons,
    CustomField,
    Fields,
    Loyalty,
    Policy,
    Segments,
)
from schemas.definitions.triggers import OnDate, OnInactivity, OnScore
from schemas.definitions.workflow import Workflow
from schemas.events import ACTIVE, PAYLOADS
from schemas.events.custom import is_custom
from schemas.notation import DEFAULT_NOTATION, Notation


class UnknownVersion(LookupError):
    """A version is named that nobody has published here."""

    def __init__(self, definition: str, version: str) -> None:
        super().__init__(f"{definition}@{version}")
        self.definition = definition
        self.version = version


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """A version of a workflow, laid out."""

    workflow: Workflow
    version: str
    program: Program


class Definitions:
    """All published versions. Grows while it is in use: a version never changes and never goes."""

    def __init__(
        self,
        *,
        coupon_key: bytes = b"",
        link_key: bytes = b"",
        deduplication_rules: DeduplicationRules | None = None,
        limits: VisitorLimits = NO_LIMITS,
        notation: Notation = DEFAULT_NOTATION,
    ) -> None:
        """`coupon_key` makes generated codes unguessable, `link_key` the names of links,
        `deduplication_rules` says how an event that comes again is known, `limits` are those of
        visitors, `notation` is how the shop's systems write; every worker has the same."""
        self.coupon_key = coupon_key
        self.link_key = link_key
        self.notation = notation
        self.limits = limits
        self.deduplication_rules = deduplication_rules or DeduplicationRules()
        self.listens_to: set[str] = set()
        """Occurrences that a run of any version has to be told of, and types that lead to them."""
        self.checks_conditions = False
        """Whether any change of a customer may move a run of any version."""
        self.longest_growth = 0
        """Bytes by which a run of any version may grow at most."""
        self.unreadable: set[tuple[str, str]] = set()
        """Published versions that this release can't read."""
        self._all: dict[tuple[str, str], AnyDefinition] = {}
        self._workflows: dict[tuple[str, str], WorkflowVersion] = {}
        self._segmentations: dict[tuple[str, str], Segmentation] = {}
        self._scored: dict[tuple[str, str], Mapping[str, Scored]] = {}
        self._pools: defaultdict[str, dict[str, Pool]] = defaultdict(dict)

    def add(self, version: str, content: bytes) -> AnyDefinition:
        """Add one version from its published JSON. Raises ValueError naming what is wrong.

        Its conditions may name any custom field: those that a shop has change with time, and a run
        goes on with what it began with. Whoever publishes checks them:
        `agents/definitions/validation.py`.
        """
        definition = DEFINITION.validate_json(content)
        key = (definition.id, version)
        if isinstance(definition, Workflow):
            program = compile_program(definition, FieldRegistry())
            self._workflows[key] = WorkflowVersion(definition, version, program)
            self.listens_to |= _types(program.listens_to) | program.listens_to
            self.checks_conditions |= program.checks_conditions
            self.longest_growth = max(self.longest_growth, program.growth)
        elif isinstance(definition, Segments):
            self._segmentations[key] = compile_segments(definition, FieldRegistry())
        elif isinstance(definition, Scoring):
            self._scored[key] = scores.compile_scoring(definition, FieldRegistry())
        elif isinstance(definition, Coupons):
            for campaign in definition.campaigns:
                if campaign.pool:
                    self._pools[campaign.id][version] = Pool(campaign.pool)
        self._all[key] = definition
        return definition

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._all

    def workflow(self, id_: str, version: str) -> WorkflowVersion:
        """Return one version of a workflow. Raises UnknownVersion."""
        try:
            return self._workflows[id_, version]
        except KeyError:
            raise UnknownVersion(id_, version) from None

    def find(self, id_: str, version: str) -> WorkflowVersion | None:
        """Return one version of a workflow, None when it isn't known."""
        return self._workflows.get((id_, version))

    def follows(self, id_: str, version: str) -> bool:
        """Whether runs of this version of a workflow go by the live one."""
        published = self._workflows.get((id_, version))
        return published is not None and published.workflow.versions == "live"

    def culprit(self, versions: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the version because of which `live` fails, the first by id; None if it doesn't."""
        tried: dict[str, str] = {}
        for id_, version in sorted(versions.items()):
            tried[id_] = version
            try:
                self.live(tried)
            except Exception:  # of whatever kind: that it fails is the answer
                return id_, version
        return None

    def pools(self, campaign: str) -> Pools:
        """Return the lists of codes that a campaign has, or had."""
        return Pools(self._pools[campaign])

    def live(self, versions: Mapping[str, str]) -> Live:
        """Return the view on the versions that are live. Raises UnknownVersion."""
        for key in versions.items():
            if key not in self:
                raise UnknownVersion(*key)
        keys = sorted(versions.items())
        workflows = [self._workflows[key] for key in keys if key in self._workflows]
        by_trigger, derived_state = _by_trigger(workflows), self._derived_state(keys)
        scored = scores.by_event(self._scored[key] for key in keys if key in self._scored)
        declared = _declared_events(self._all[key] for key in keys)
        hears = _types(by_trigger.keys())
        if "customer.active" in by_trigger:
            hears |= {each.type for each in declared.values() if each.active}
        live = Live(
            definitions=self,
            coupons=versions.get("coupons", ""),
            plans=event_plans.plans(derived_state, hears, scored, declared.values()),
            custom_events=declared,
            by_trigger=by_trigger,
            thresholds=_thresholds(workflows),
            workflows={published.workflow.id: published for published in workflows},
            derived_state=derived_state,
        )
        for key in keys:
            _add_setting(live, self._all[key])
        return live

    def _derived_state(self, keys: Sequence[tuple[str, str]]) -> DerivedState:
        if not any(_stands(self._all[key]) for key in keys):
            return DerivedState()
        kinds = Scoring | Loyalty | Rates  # what fields are read by
        concerned = [
            key for key in keys if _stands(self._all[key]) or isinstance(self._all[key], kinds)
        ]
        found = [self._segmentations[key] for key in keys if key in self._segmentations]
        workflows = [self._workflows[key].workflow for key in keys if key in self._workflows]
        return DerivedState(
            version=derived_id(*("@".join(key) for key in concerned))[:DERIVED_STATE_DIGITS],
            segmentation=found[0] if found else NO_SEGMENTS,
            time_triggers=compile_time_triggers(workflows),
        )


@dataclass(slots=True)
class Live:
    """What new runs begin with, arranged for the hot path."""

    definitions: Definitions
    plans: Mapping[str, EventPlan] = field(
        default_factory=lambda: event_plans.plans(DerivedState(), frozenset(), {})
    )
    """By event type."""
    custom_events: Mapping[str, DeclaredEvent] = field(default_factory=dict)
    """The shop's own, by every name under which they come."""
    ignored_calls: frozenset[str] = frozenset()
    """Segment's calls that the shop does without: `screen`, `group`."""
    by_trigger: Mapping[str, list[WorkflowVersion]] = field(default_factory=dict)
    """What may begin a run (see `trigger_key`) → the workflows, in the order in which they may."""
    workflows: Mapping[str, WorkflowVersion] = field(default_factory=dict)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Score → thresholds at which it may begin a run, upwards or downwards."""
    scorings: dict[str, Scoring] = field(default_factory=dict)
    """Of every score, by name."""
    policy: Policy | None = None
    fields: dict[str, CustomField] = field(default_factory=dict)
    derived_state: DerivedState = field(default_factory=DerivedState)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    coupons: str = ""
    """Version of the definition with the campaigns."""
    loyalty: Loyalty | None = None
    rates: Rates | None = None


def _by_trigger(workflows: Iterable[WorkflowVersion]) -> dict[str, list[WorkflowVersion]]:
    """Of those that something triggers at once the one with the highest priority comes first."""
    by_trigger: defaultdict[str, list[WorkflowVersion]] = defaultdict(list)
    for published in workflows:
        by_trigger[triggers.trigger_key(published.workflow)].append(published)
    for several in by_trigger.values():
        several.sort(key=lambda published: (-published.workflow.priority, published.workflow.id))
    return dict(by_trigger)


def _declared_events(definitions: Iterable[AnyDefinition]) -> Mapping[str, DeclaredEvent]:
    found = (each for each in definitions if isinstance(each, CustomEvents))
    return next((declared_events(each) for each in found), {})


def _thresholds(workflows: Iterable[WorkflowVersion]) -> dict[str, tuple[float, ...]]:
    found: defaultdict[str, set[float]] = defaultdict(set)
    for published in workflows:
        trigger = published.workflow.trigger
        if isinstance(trigger, OnScore):
            found[trigger.score] |= {
                each for each in (trigger.above, trigger.below) if each is not None
            }
    return {name: tuple(sorted(thresholds)) for name, thresholds in found.items()}


def _types(names: Set[str]) -> frozenset[str]:
    """Return the event types among names of occurrences, or that lead to one of them."""
    types = frozenset(names).intersection(PAYLOADS)  # with `&` and keys() it would be a set
    types |= {name for name in names if is_custom(name)}
    return types | ACTIVE if "customer.active" in names else types


DERIVED_STATE_DIGITS = 8
"""Of the version that a record is right by: it only has to differ from the one before."""


def _stands(definition: AnyDefinition) -> bool:
    """Whether it makes segments or time triggers."""
    if isinstance(definition, Workflow):
        trigger = definition.trigger
        fades = isinstance(trigger, OnScore) and trigger.below is not None
        return fades or isinstance(trigger, OnDate | OnInactivity)
    return isinstance(definition, Segments)


def _add_setting(live: Live, definition: AnyDefinition) -> None:
    match definition:
        case Scoring():
            live.scorings[definition.id] = definition
        case Policy():
            live.policy = definition
        case CustomEvents():
            calls = {"screen": definition.screens, "group": definition.groups}
            live.ignored_calls = frozenset(c for c, what in calls.items() if what == "ignored")
        case Fields():
            live.fields = {field.id: field for field in definition.fields}
        case Coupons():
            live.campaigns = {campaign.id: campaign for campaign in definition.campaigns}
        case Loyalty():
            live.loyalty = definition
        case Rates():
            live.rates = definition
