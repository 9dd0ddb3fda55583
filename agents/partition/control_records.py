"""Control records: what is live, what the feed has brought, what is to be tried again.

They have no key, and are for the partition. What many customers have to be told of waits
(`agents/partition/broadcasts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agents.authentication import OBEYED, Trust
from agents.commerce import coupons
from agents.context import Context
from agents.definitions.published import UnknownVersion
from agents.partition.broadcasts import TOO_MANY_CHANGES, Broadcasts
from agents.partition.budget import NO_BUDGET, Budget, WorkLayout
from agents.partition.due_work import DueWork
from agents.partition.failure_handling import FailureHandling
from agents.partition.state import PartitionState
from agents.products.catalogue import mentioned
from agents.refusals import EventRefused
from schemas.events import CONTROL_TYPES, PRODUCTS, RETRY, WORKFLOWS
from schemas.pending_work import Broadcast, CatalogueChange
from schemas.products import Product
from schemas.records import Record
from schemas.retry import Retry
from schemas.validation import Unreadable, first_error


class Feed(BaseModel):
    """Value of a `ritorno.products` control record: products that are new or have changed."""

    products: list[Product]


class Activation(BaseModel):
    """Value of a `ritorno.workflows` control record: which versions new runs begin with."""

    live: dict[str, str]


Said = TypeVar("Said", Feed, Activation)


def kind_of(record: Record) -> str:
    """Return the type of a control record; empty for any other record."""
    if record.key is not None:
        return ""
    kind = (record.header("ce_type") or b"").decode("utf-8", "replace")
    return kind if kind in CONTROL_TYPES else ""


class ControlRecords:
    """Obeys those of one partition."""

    def __init__(
        self,
        state: PartitionState,
        trust: Trust,
        broadcasts: Broadcasts,
        layout: WorkLayout,
        due: DueWork,
        failures: FailureHandling,
    ) -> None:
        """`trust` tells who is believed; `due` and `failures` are the parts that go on then."""
        self._state = state
        self._trust = trust
        self._broadcasts = broadcasts
        self._layout = layout
        self._due = due
        self._failures = failures

    def obey(self, kind: str, record: Record, budget: Budget, context: Context) -> Iterator[bool]:
        """Do what a record of this kind says, if its sender is believed; pauses now and then."""
        if kind in OBEYED and not self._is_believed(kind, record):
            return
        try:
            broadcast = self._read(kind, record, context)
        except EventRefused as error:
            self._state.refuse(record, error.reason, error.detail)
            return
        if broadcast is None or not self._begins_to_wait(broadcast):
            return
        for _ in self._state.customers.look_through(record.offset):
            yield False
        if budget is NO_BUDGET:
            budget = self._layout.budget(record.offset)
        yield from self._due.go_on_broadcasting(record.offset, budget, context)

    def pass_over(self, record: Record) -> None:
        """A record that is not obeyed, since that fails, uses up its number all the same."""
        if (kind := kind_of(record)) in OBEYED:
            self._trust.pass_over(kind, record)

    def _is_believed(self, kind: str, record: Record) -> bool:
        try:
            self._trust.check_control(kind, record)
        except Unreadable as error:
            self._state.refuse(record, error.reason, error.detail)
            return False
        return True

    def _read(self, kind: str, record: Record, context: Context) -> Broadcast | None:
        """Obey a control record; return what customers are to be told of. Raises EventRefused."""
        if kind == WORKFLOWS:
            return self._activate(record, context)
        if kind == PRODUCTS:
            return self._update_products(record, context)
        if kind == RETRY:
            return self._failures.try_again(record, context)
        return None  # a tick has done its work by its time; the others have, in the progress

    def _activate(self, record: Record, context: Context) -> Broadcast:
        state = self._state
        versions = _content(record, Activation).live
        for key in versions.items():
            if key in state.definitions.unreadable:
                raise UnknownVersion(*key)  # it was published, by a newer release
        unknown = [key for key in versions.items() if key not in state.definitions]
        if unknown:
            names = ", ".join("@".join(key) for key in unknown)
            raise EventRefused("unknown_version", f"live: not published: {names}")
        if versions.get("coupons", "") != context.live.coupons:
            self._migrate_pools(record.offset, context)
        before = state.versions
        state.make_live(versions, context)
        changed = {id_ for id_, version in versions.items() if before.get(id_) != version}
        followed = sorted(changed & state.followed)
        state.note_followed()
        return Broadcast(record.offset, state.now, workflows=followed)

    def _migrate_pools(self, offset: int, context: Context) -> None:
        """Let the pools of this partition know what their lists were up to now."""
        state = self._state
        for campaign in context.live.campaigns.values():
            key = (coupons.POOL_PREFIX + campaign.id).encode()
            if not campaign.pool or key in state.held_back.customers or state.load(key) is None:
                continue
            pool = state.customers.get(key)
            if pool.applied < offset and coupons.migrate(pool, campaign.id, context.live.coupons):
                pool.weight = 0  # it is weighed again
                state.note_change(key, pool, offset)

    def _update_products(self, record: Record, context: Context) -> Broadcast:
        state = self._state
        changes: list[CatalogueChange] = []
        for product in _content(record, Feed).products:
            changes += state.catalogue.update(product, record.offset)
            state.changed_products[product.id] = None
        live = context.live.by_trigger
        wanted = [each for each in changes if f"product:{each.kind}" in live and mentioned(each)]
        return Broadcast(record.offset, state.now, changes=wanted)

    def _begins_to_wait(self, broadcast: Broadcast) -> bool:
        """Let customers be told of it by and by; return False when there is nothing to tell, or no
        room for it."""
        broadcast = self._broadcasts.recall(broadcast)
        if not (broadcast.changes or broadcast.workflows):
            return False
        if not self._broadcasts.are_too_many:
            self._broadcasts.add(broadcast)
            return True
        self._broadcasts.pass_over(broadcast)
        missed = Retry(news=broadcast.changes, workflows=broadcast.workflows)
        text, why = "customers were not told of a change", "too much is told already"
        self._state.report(broadcast.offset, text, why, missed, TOO_MANY_CHANGES)
        return False


def _content(record: Record, model: type[Said]) -> Said:
    try:
        return model.model_validate_json(record.value or b"")
    except ValidationError as error:
        raise EventRefused("invalid_event", first_error(error)) from None
