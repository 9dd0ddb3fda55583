"""Names of triggers: the keys under which live workflows are found for a domain event."""

from __future__ import annotations

from schemas.definitions.triggers import (
    OnCall,
    OnDate,
    OnEvent,
    OnInactivity,
    OnPoints,
    OnProduct,
    OnScore,
    OnSegment,
    OnTag,
    OnTier,
    Trigger,
)
from schemas.definitions.workflow import Workflow


def trigger_key(workflow: Workflow) -> str:
    """Return under which name the occurrences that may begin a workflow are told.

    `cart.changed`, `segment:vip:entered`, `score:engagement`, `tag:vip:added`,
    `product:price_drop`, `tier:up`, `points`, `called:ID`, and `watch:ID` for dates and inactivity.
    """
    match workflow.trigger:
        case OnEvent(on=name):
            key = name
        case OnSegment(segment=name, when=when):
            key = f"segment:{name}:{when}"
        case OnScore(score=name):
            key = f"score:{name}"
        case OnTag(tag=name, when=when):
            key = f"tag:{name}:{when}"
        case OnProduct(product=change):
            key = f"product:{change}"
        case OnTier(tier=direction):
            key = f"tier:{direction}"
        case OnPoints():
            key = "points"
        case OnCall():
            key = f"called:{workflow.id}"
        case OnDate() | OnInactivity():
            key = f"watch:{workflow.id}"
    return key


def cause(trigger: Trigger) -> str:
    """Return what a workflow begins with, in a word or two: why somebody gets its mails."""
    match trigger:
        case OnEvent(on=name):
            words = name
        case OnSegment(when=when):
            words = f"segment.{when}"
        case OnScore():
            words = "score.crossed"
        case OnTag(when=when):
            words = f"tag.{when}"
        case OnProduct(product=change):
            words = f"product.{change}"
        case OnTier(tier=direction):
            words = f"tier.{direction}"
        case OnPoints():
            words = "points.reached"
        case OnCall():
            words = "workflow.called"
        case OnDate():
            words = "date"
        case OnInactivity():
            words = "inactivity"
    return words
