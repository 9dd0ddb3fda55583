"""Definitions: what a marketer writes in `workflows/*.yaml`.

A definition is identified by its id and its version, the hash of its content. Published versions
are kept in the topic `workflows`; the log says which of them is live.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Tag, TypeAdapter

from schemas.definitions.custom_events import CustomEvents
from schemas.definitions.rates import Rates
from schemas.definitions.scoring import Scoring
from schemas.definitions.shop import Coupons, Fields, Loyalty, Policy, Segments
from schemas.definitions.workflow import Workflow

AnyDefinition = (
    Workflow | Scoring | Policy | Segments | Fields | CustomEvents | Coupons | Loyalty | Rates
)


def _kind(value: Any) -> str:
    given = value.get("definition") if isinstance(value, dict) else _of_model(value)
    return str(given or "workflow")


def _of_model(value: Any) -> Any:
    return getattr(value, "definition", None)


DEFINITION: TypeAdapter[AnyDefinition] = TypeAdapter(
    Annotated[
        Annotated[Workflow, Tag("workflow")]
        | Annotated[Scoring, Tag("scoring")]
        | Annotated[Policy, Tag("policy")]
        | Annotated[Segments, Tag("segments")]
        | Annotated[Fields, Tag("fields")]
        | Annotated[CustomEvents, Tag("events")]
        | Annotated[Coupons, Tag("coupons")]
        | Annotated[Loyalty, Tag("loyalty")]
        | Annotated[Rates, Tag("rates")],
        Discriminator(_kind),
    ],
    config=ConfigDict(defer_build=True),
)


def canonical(definition: AnyDefinition) -> bytes:
    """Return the bytes that are published: the same content gives the same bytes."""
    text = definition.model_dump_json(
        by_alias=True, exclude_none=True, exclude_defaults=True, exclude={"tests"}
    )
    return text.encode()


def version_of(content: bytes) -> str:
    """Return the version of a definition: the first 12 hex digits of its content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]
