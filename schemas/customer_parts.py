"""The parts of what is known of a customer.

Whatever changes a customer says which parts it may have changed: an event by its row
(`schemas/event_type.py`), a step by its (`agents/workflows/steps.py`). Only what reads one of them
is looked at again.
"""

from __future__ import annotations

from typing import Literal

CustomerPart = Literal["profile", "consents", "lists", "cart", "orders", "activity", "interests",
                       "mails", "scores", "tags", "fields", "segments", "tier", "points", "coupons",
                       "acquired", "events"]  # fmt: skip
