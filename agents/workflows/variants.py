"""Experiments: who gets which variant."""

from __future__ import annotations

import hashlib

from schemas.customer import Customer
from schemas.definitions.steps import SplitStep, Variant
from schemas.reference import id_of


def assign(customer: Customer, step: SplitStep) -> Variant:
    """Return the customer's variant: a hash of customer and experiment, the same for ever."""
    about = f"{id_of(customer.key)}\0{step.experiment}"
    drawn = hashlib.blake2b(about.encode(), digest_size=8).digest()
    point = int.from_bytes(drawn, "big") % 100
    for variant in step.split:
        point -= variant.share
        if point < 0:
            return variant
    return step.split[-1]
