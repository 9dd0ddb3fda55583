"""Runs through workflows: those that go on, and what is remembered of the others."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from schemas.bounds import InBytes, Key, Name, Word
from schemas.customer.consent import ListName
from schemas.customer.mail import RUN_ID_BYTES
from schemas.customer.shopping import CODE_BYTES
from schemas.trace import TRACEPARENT_BYTES

RUNS_TOTAL_BYTES = 56_000
"""Bytes of all runs that a customer is in, with what their steps may still add: two hundred of
the usual size. One that would not fit does not begin."""
EVENT_TOTAL_BYTES = 4_000
"""Bytes of the properties of its event that a run keeps; what does not fit is left out."""
FINISHED_TOTAL_BYTES = 16_000
"""Bytes of the runs that are over; the oldest give way."""
ENTERED_TOTAL_BYTES = 16_000
"""Bytes of the last entries; the oldest go first."""
ENTERED_KEPT = 200
"""Workflows and products of which the last entry is remembered; the oldest entries go first."""
COUNTED_KEPT = 50
"""Things that triggers with `times` count at once; the one that was seen longest ago gives way."""
FINISHED_KEPT = 20
REFUSED_KEPT = 100
"""Workflows of which it is remembered what was recorded last; a shop has fewer."""
SAID_BYTES = 48
"""Of what was recorded last; of a longer one its hash."""
COUNTED_ABOUT_BYTES = 48
"""Of what is counted, a product or a page; of a longer name its hash."""
COUNTED_BYTES = 63 + 1 + COUNTED_ABOUT_BYTES
COUNTED_TIMES = 20
"""As often as a trigger may count."""
TIME_TRIGGER_BYTES = 7 + 63
"""Of a watch's key: `:score:NAME`."""
TIME_TRIGGERS_KEPT = 60
"""Dates, silences and scores that are watched at once, besides our own five timers."""
DATED_KEPT = 40
"""Workflows that begin on a date, of which it is remembered when that was there last."""


class Run(msgspec.Struct, array_like=True, gc=False):
    """One customer's way through one workflow. Its wait is its timer. What writes it:
    `agents/workflows/lifecycle.py`."""

    id: Annotated[str, InBytes(RUN_ID_BYTES)]
    """Derived from workflow and subject, so a run that is begun twice is the same run."""
    workflow: Name
    version: Annotated[str, InBytes(64)]
    begun: int
    step: int
    """Index of the step that it waits for."""
    due: int
    """When that step is due; NEVER while its anchor is not known."""
    anchors: Annotated[dict[Name, int], InBytes(RUNS_TOTAL_BYTES)] = {}
    """When the things happened that waits count from, by occurrence."""
    order_id: Key = ""
    cart: int = -1
    """Number of the cart that it is about, -1 when it is about none."""
    list: ListName = ""
    product: Key = ""
    """The product that it is about."""
    results: Annotated[dict[Name, Name], InBytes(RUNS_TOTAL_BYTES)] = {}
    """What steps came to, by step id: `event`, `timeout`, a variant's name, `issued`…"""
    entered: int = 0
    """When the run came to its current step: waits without an occurrence count from here."""
    coupon: Annotated[str, InBytes(CODE_BYTES)] = ""
    """Code of the last coupon issued in it."""
    held: int = 0
    """Since when the mail of its current step is held; 0 when none is."""
    holdout: bool = False
    """In the control group of an experiment: goes its way, sends no marketing."""
    caller: Annotated[str, InBytes(RUN_ID_BYTES)] = ""
    """Id of the run whose `call` step began it."""
    event: Annotated[dict[str, Any], InBytes(EVENT_TOTAL_BYTES)] = {}
    """Properties of the event that began it, as far as its definition names them."""
    held_for: Word = ""
    """Why its current step is put off until `due`, as it was last decided; empty when it isn't."""
    shop: Name = ""
    """Whose order number `order_id` is; empty where there is but one shop, or was when it began."""
    traceparent: Annotated[str, InBytes(TRACEPARENT_BYTES)] = ""
    """Of the event that began it, for what it does later by itself."""


class Entered(msgspec.Struct, array_like=True, gc=False):
    """The last time a workflow was entered, and for which cart or list."""

    subject: Key
    time: int
