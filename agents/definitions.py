"""The definitions that actors decide by: all published versions, and the ones that are live."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from agents import triggers
from agents.conditions import Check, compile_condition
from agents.vocabulary import Vocabulary
from agents.workflows.program import Program, compile_program
from schemas.definitions import DEFINITION, AnyDefinition
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Campaign, Coupons, Loyalty, Policy, Segments
from schemas.definitions.triggers import OnDate, OnInactivity, OnScore
from schemas.definitions.workflow import Workflow
from schemas.events import ACTIVE, PAYLOADS


class UnknownVersion(LookupError):
    """A version is named that nobody has published here."""

    def __init__(self, definition: str, version: str) -> None:
        super().__init__(f"{definition}@{version}")
        self.definition = definition
        self.version = version


@dataclass(frozen=True, slots=True)
class Published:
    """A version of a workflow, laid out."""

    workflow: Workflow
    version: str
    program: Program

    @property
    def cause(self) -> str:
        """What it begins with, in a word or two, for the recipient of a mail who asks why."""
        return triggers.cause(self.workflow.trigger)


class Definitions:
    """All published versions. Grows while it is in use: a version never changes and never goes."""

    def __init__(self, *, coupon_key: bytes = b"") -> None:
        """`coupon_key` makes generated codes unguessable; every worker has the same."""
        self.coupon_key = coupon_key
        self.listens_to: set[str] = set()
        """Occurrences that a run of any version has to be told of, and types that lead to them."""
        self.followed: set[str] = set()
        """Workflows of which some version lets its runs go by the live one."""
        self.reviews = False
        """Whether any change of a customer may move a run of any version."""
        self._all: dict[tuple[str, str], AnyDefinition] = {}
        self._workflows: dict[tuple[str, str], Published] = {}

    def add(self, version: str, content: bytes) -> AnyDefinition:
        """Add one version from its published JSON. Raises ValueError naming what is wrong.

        Its conditions may name any custom field: those that a shop has change with time, and a run
        goes on with what it began with. Whoever publishes checks them: `agents/checking.py`.
        """
        definition = DEFINITION.validate_json(content)
        key = (definition.id, version)
        if isinstance(definition, Workflow):
            program = compile_program(definition, Vocabulary())
            self._workflows[key] = Published(definition, version, program)
            self.listens_to |= _types(program.listens_to) | program.listens_to
            self.reviews |= program.reviews
            if definition.versions == "live":
                self.followed.add(definition.id)
        self._all[key] = definition
        return definition

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._all

    def workflow(self, id_: str, version: str) -> Published:
        """Return one version of a workflow. Raises UnknownVersion."""
        try:
            return self._workflows[id_, version]
        except KeyError:
            raise UnknownVersion(id_, version) from None

    def find(self, id_: str, version: str) -> Published | None:
        """Return one version of a workflow, None when it isn't known."""
        return self._workflows.get((id_, version))

    def live(self, versions: Mapping[str, str]) -> Live:
        """Return the view on the versions that are live. Raises UnknownVersion."""
        for key in versions.items():
            if key not in self:
                raise UnknownVersion(*key)
        keys = sorted(versions.items())
        workflows = [self._workflows[key] for key in keys if key in self._workflows]
        by_trigger = _by_trigger(workflows)
        live = Live(
            definitions=self,
            by_trigger=by_trigger,
            hears=_types(by_trigger.keys()),
            watched_scores=frozenset(
                published.workflow.trigger.score
                for published in workflows
                if isinstance(published.workflow.trigger, OnScore)
            ),
            workflows={published.workflow.id: published for published in workflows},
        )
        for key in keys:
            _settle_in(live, self._all[key])
        live.standing = _standing(keys, self._all, live.watched)
        return live


@dataclass(slots=True)
class Live:
    """What new runs begin with, arranged for the hot path."""

    definitions: Definitions
    by_trigger: Mapping[str, list[Published]] = field(default_factory=dict)
    """What may begin a run (see `trigger_key`) → the workflows, in the order in which they may."""
    hears: frozenset[str] = frozenset()
    """Event types that may begin a run."""
    workflows: Mapping[str, Published] = field(default_factory=dict)
    watched_scores: frozenset[str] = frozenset()
    """Scores that may begin a run when they cross a threshold."""
    scorings: dict[str, Scoring] = field(default_factory=dict)
    """Of every score, by name."""
    scored_by: dict[str, list[Scoring]] = field(default_factory=dict)
    """Event type → the scores that it may change."""
    score_checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    """(score, rule) → what else has to hold for the rule."""
    policy: Policy | None = None
    segment_checks: dict[str, Check] = field(default_factory=dict)
    """Segments by id, as conditions."""
    floors: dict[str, list[float]] = field(default_factory=dict)
    """Score → thresholds below which workflows begin, which time alone may pass."""
    watched: list[Published] = field(default_factory=list)
    """Workflows that begin on a date or a silence."""
    standing: str = ""
    """Names the versions of all that customers are looked at for again when it changes."""
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    loyalty: Loyalty | None = None


def _by_trigger(workflows: Iterable[Published]) -> dict[str, list[Published]]:
    """Of those that something triggers at once the one with the highest priority comes first."""
    by_trigger: defaultdict[str, list[Published]] = defaultdict(list)
    for published in workflows:
        by_trigger[triggers.trigger_key(published.workflow)].append(published)
    for several in by_trigger.values():
        several.sort(key=lambda published: (-published.workflow.priority, published.workflow.id))
    return dict(by_trigger)


def _types(names: Set[str]) -> frozenset[str]:
    """Return the event types among names of occurrences, or that lead to one of them."""
    types = frozenset(names) & PAYLOADS.keys()
    return types | ACTIVE if "customer.active" in names else types


def _standing(
    keys: Iterable[tuple[str, str]],
    definitions: Mapping[tuple[str, str], AnyDefinition],
    watched: Iterable[Published],
) -> str:
    ids = {published.workflow.id for published in watched}
    looked_at = [
        "@".join(key) for key in keys if key[0] in ids or isinstance(definitions[key], Segments)
    ]
    return hashlib.sha256(" ".join(looked_at).encode()).hexdigest()[:8] if looked_at else ""


def _settle_in(live: Live, definition: AnyDefinition) -> None:
    match definition:
        case Scoring():
            _settle_scoring(live, definition)
        case Policy():
            live.policy = definition
        case Segments():
            for segment in definition.segments:
                live.segment_checks[segment.id] = compile_condition(segment.condition, Vocabulary())
        case Coupons():
            live.campaigns = {campaign.id: campaign for campaign in definition.campaigns}
        case Loyalty():
            live.loyalty = definition
        case Workflow(trigger=OnDate() | OnInactivity()):
            live.watched.append(live.workflows[definition.id])
        case Workflow(trigger=OnScore(score=score, below=float(floor))):
            live.floors.setdefault(score, []).append(floor)


def _settle_scoring(live: Live, scoring: Scoring) -> None:
    live.scorings[scoring.id] = scoring
    for type_ in {*scoring.points, *(rule.on for rule in scoring.rules)}:
        live.scored_by.setdefault(type_, []).append(scoring)
    for rule in scoring.rules:
        if rule.where is not None:
            check = compile_condition(rule.where, Vocabulary(), about=rule.on)
            live.score_checks[scoring.id, rule.id] = check
