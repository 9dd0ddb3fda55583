"""`mappings.yaml`: what the topics that others own say in our words.

Texts are expressions in CEL over the record, unless a docstring says otherwise; numbers and truth
values stand for themselves, and `{constant: TEXT}` for a text. What may be named in an expression
is in `agents/mappings/scope.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)
from typing_extensions import TypeAliasType

from schemas.definitions.definition import Name
from schemas.instant import Instant
from schemas.secret_reference import SecretReference
from schemas.written_form import Form

MAX_SOURCES = 50
MAX_EVENTS = 100
"""Of one source; each is looked at for each record."""
MAX_EXAMPLES = 1_000
MAX_PROPERTIES = 200

Expression = Annotated[str, Field(min_length=1)]
Format = Literal["json", "avro", "protobuf"]
KeyFormat = Literal["text", "json", "avro", "protobuf", "none"]
Envelope = Literal["none", "debezium", "outbox", "cloudevents"]
Operation = Literal["create", "update", "read", "delete"]


class MappingPart(BaseModel):
    """Common to all parts of the file. Unknown fields are errors: a typo must not be silent."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)


class Registry(MappingPart):
    """A schema registry that speaks Confluent's interface."""

    url: Annotated[
        str,
        Form(
            r"https?://[^/@\s]+(/\S*)?",
            "https://HOST[:PORT][/PATH], and no user and password in it",
        ),
    ]
    username: str = ""
    password: SecretReference | None = None


class Security(MappingPart):
    """How a broker that isn't our own is reached; as the settings `kafka_…` of ours."""

    protocol: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password: SecretReference | None = None
    ca_file: Path | None = None


class Constant(MappingPart):
    """A value that is the same for all records."""

    constant: JsonValue


class Each(MappingPart):
    """A list of objects, one for each item of a list; `item` and `index` say which."""

    each: Expression
    when: Expression | None = None
    fields: dict[str, Property]


def _kind(value: Any) -> str:
    """Return which of the alternatives a part is meant as, so that a mistake is told of that."""
    if isinstance(value, Constant) or (isinstance(value, dict) and "constant" in value):
        return "<constant>"
    if isinstance(value, Each) or (isinstance(value, dict) and {"each", "fields"} <= value.keys()):
        return "<list>"
    return "<object>" if isinstance(value, dict) else "<value>"


if TYPE_CHECKING:
    Property = Constant | Each | dict[str, Any] | str | bool | int | float  # mypy knows no cycles
else:
    Property = TypeAliasType(
        "Property",
        Annotated[
            Annotated[Constant, Tag("<constant>")]
            | Annotated[Each, Tag("<list>")]
            | Annotated[dict[str, "Property"], Tag("<object>")]
            | Annotated[str | bool | int | float, Tag("<value>")],
            Discriminator(_kind),
        ],
    )
"""What is told of a property: an expression, a number or a truth value, a constant, an object or a
list of such."""


class EventMapping(MappingPart):
    """One kind of event that is made of a record. What is left out here the source says."""

    type: str
    """No expression: one of `ritorno events types`, or `custom.NAME`."""
    when: Expression | None = None
    on: list[Operation] = ["create", "update", "read"]
    """In which operations, of an envelope that has some."""
    each: Expression | None = None
    """A list of which each item is an event of its own."""
    customer: Expression | None = None
    visitor: Expression | None = None
    """The anonymous id, where the record has one."""
    id: Expression | None = None
    """Names the fact, the same on whichever way it comes; by default the record's place."""
    time: Expression | None = None
    history: Expression | bool | None = None
    """Whether it is history, which starts no workflow; a snapshot's records are, by default."""
    properties: Annotated[dict[str, Property], Field(max_length=MAX_PROPERTIES)] = {}


class Given(MappingPart):
    """The record of an example, as it is once its format is read."""

    value: JsonValue = None
    key: JsonValue = None
    headers: dict[str, str] = {}
    time: Instant | None = None
    """The record's own time."""


class ExpectedEvent(MappingPart):
    """An event that is to come out; what isn't named here isn't compared."""

    type: str
    customer: str | None = None
    visitor: str | None = None
    id: str | None = None
    source: str | None = None
    time: Instant | None = None
    history: bool | None = None
    properties: dict[str, JsonValue] = {}


class Example(MappingPart):
    """What is to become of a record."""

    name: str
    given: Given
    expect: list[ExpectedEvent] | Literal["dropped"] | None = None
    """The events in order; `dropped`: the record is left out on purpose."""
    refused: str | None = None
    """A part of why the record is refused."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Example:
        if (self.expect is None) == (self.refused is None):
            raise ValueError("expect: one of expect and refused is needed")
        return self


class Source(MappingPart):
    """One topic, and what its records mean."""

    name: Name
    """Of its progress and of its consumer group: under another name it is read anew."""
    topic: Annotated[
        str, Form("[A-Za-z0-9._-]{1,249}", "a topic's name: letters, digits, dots and dashes")
    ]
    broker: Annotated[str, Form("kafka://.+", "kafka://HOST:PORT[,HOST:PORT]")] | None = None
    """None: our own Kafka."""
    security: Security = Security()
    """Of `broker`."""
    format: Format = "json"
    key_format: KeyFormat = "text"
    registry: Registry | None = None
    """None: the file's."""
    envelope: Envelope = "none"
    start: Literal["earliest", "latest"] = "earliest"
    """Where it is begun, the first time."""
    history_before: Instant | None = None
    """What happened earlier is history."""
    source: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """No expression: `ce_source` of the events. None: `mapping:NAME`."""
    drop: list[Expression] = []
    """Records for which one of these holds are left out."""
    customer: Expression | None = None
    visitor: Expression | None = None
    time: Expression | None = None
    events: Annotated[list[EventMapping], Field(max_length=MAX_EVENTS)] = []
    """None, with CloudEvents: they are ours already, and are taken as they are."""
    examples: Annotated[list[Example], Field(max_length=MAX_EXAMPLES)] = []

    @property
    def event_source(self) -> str:
        """`ce_source` of its events."""
        return self.source or f"mapping:{self.name}"


class Mappings(MappingPart):
    """The file."""

    registry: Registry | None = None
    mappings: Annotated[list[Source], Field(max_length=MAX_SOURCES)] = []


for _part in (Each, EventMapping, Source, Mappings):
    _part.model_rebuild()
