"""The ways through workflows: those that go on, and what is remembered of the others."""

from __future__ import annotations

from typing import Any

import msgspec

ENTERED_KEPT = 200
"""Workflows and products of which the last entry is remembered; the oldest entries go first."""
COUNTED_KEPT = 50
"""Things that triggers with `times` count at once; the one that was seen longest ago gives way."""
FINISHED_KEPT = 20
REFUSED_KEPT = 100
"""Workflows of which it is remembered what was recorded last; a shop has fewer."""


class Run(msgspec.Struct, array_like=True):
    """One customer's way through one workflow. Its wait is its timer."""

    id: str
    """Derived from workflow and subject, so a run that is begun twice is the same run."""
    workflow: str
    version: str
    begun: int
    step: int
    """Index of the step that it waits for."""
    due: int
    """When that step is due; NEVER while its anchor is not known."""
    anchors: dict[str, int] = {}
    """When the things happened that waits count from, by occurrence."""
    order_id: str = ""
    cart: int = -1
    """Number of the cart that it is about, -1 when it is about none."""
    list: str = ""
    product: str = ""
    """The product that it is about."""
    results: dict[str, str] = {}
    """What steps came to, by step id: `event`, `timeout`, a variant's name, `issued`…"""
    entered: int = 0
    """When the run came to its current step: waits without an occurrence count from here."""
    coupon: str = ""
    """Code of the last coupon issued in it."""
    held: int = 0
    """Since when the mail of its current step is held; 0 when none is."""
    holdout: bool = False
    """In the control group of an experiment: goes its way, sends no marketing."""
    caller: str = ""
    """Id of the run whose `call` step began it."""
    event: dict[str, Any] = {}
    """Properties of the event that began it, as far as its definition names them."""
    held_for: str = ""
    """Why its current step is put off until `due`, as it was last decided; empty when it isn't."""


class Entered(msgspec.Struct, array_like=True):
    """The last time a workflow was entered, and for which cart or list."""

    subject: str
    time: int
