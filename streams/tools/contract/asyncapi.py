"""The published contract: AsyncAPI 3 of every topic and of the webhooks, made from the models.

Each message has its payload by reference to `components.schemas`, where every model stands once.
What only our own release reads (changelogs) is named with its topic and not described.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter

from agents.outbound.messages import MAILS, SIGNALS
from schemas.commands import Command
from schemas.decisions import Decision
from schemas.events import INTERNAL_TYPES, PAYLOADS
from schemas.events.custom import CustomProperties
from schemas.facts import HEADER, KINDS
from schemas.outcomes import OUTCOMES
from schemas.products import Product
from schemas.signals import Signal
from schemas.suppressions import Suppression
from schemas.tracking import Hit
from streams import topology

BINDING = "0.5.0"
"""Version of the Kafka bindings."""

REFERENCE = "#/components/schemas/{model}"

JSON = "application/json"
OCTETS = "application/octet-stream"

TITLES: Mapping[str, str] = {
    topology.CUSTOMER_EVENTS: "What customers do and what shops say of them. Key: customer id.",
    topology.SEND_COMMANDS: "What the customers' actors ask of the mailer. Signed by Ritorno.",
    topology.CUSTOMER_SIGNALS: "What has changed about a customer, for systems downstream.",
    topology.FACTS: "What happened to the business, key: pseudonym; each decision, key: workflow.",
    topology.WORKFLOWS: "Published definitions. Key: ID@VERSION.",
    topology.PRODUCTS: "The product feed. Key: SKU.",
    topology.DEAD_LETTERS: "Records that were refused, as they were; headers dl_* say why.",
    topology.SUPPRESSIONS: "Addresses that get no mail. Key: a keyed hash of the address.",
    topology.CUSTOMERS_CHANGELOG: "State of the customers, for Ritorno alone.",
    topology.MAILER_CHANGELOG: "State of the mailer, for Ritorno alone.",
    topology.MAPPING_OFFSETS: "How far foreign topics are read, for Ritorno alone.",
}
"""Every topic, by what stands in it; a new one needs its line here."""

READ_BY_RITORNO = frozenset({topology.CUSTOMER_EVENTS})
"""What others write."""

_RITORNOS_ALONE = (
    topology.CUSTOMERS_CHANGELOG,
    topology.MAILER_CHANGELOG,
    topology.MAPPING_OFFSETS,
)
"""What only our own release reads."""

_SHOWN_CONFIGURATION = ("retention.ms", "max.message.bytes")


def document(topics: Iterable[Any] | None = None) -> dict[str, Any]:
    """Return the AsyncAPI document; `topics` as the machine needs them."""
    specs = list(topology.topics(topology.KAFKA_PARTITIONS) if topics is None else topics)
    models = _models()
    found, definitions = TypeAdapter.json_schemas(
        [(name, "serialization" if _is_told(name) else "validation", adapter)
         for name, adapter in models.items()],
        ref_template=REFERENCE,
    )  # fmt: skip
    schemas = {**definitions.get("$defs", {})}
    for (name, _), schema in found.items():
        schemas.setdefault(name, schema)
    messages = _messages()
    channels = {spec.name: _channel(spec, messages) for spec in specs}
    channels["webhooks"] = _webhooks()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ritorno",
            "version": version("ritorno"),
            "description": "Customer automation for shops: what it takes, decides and tells.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "kafka": {"host": "kafka.example.it:9092", "protocol": "kafka"},
            "receiver": {
                "host": "gestionale.example.it",
                "protocol": "https",
                "description": "Whoever webhooks.yaml names.",
            },
        },
        "channels": channels,
        "operations": {name: _operation(name) for name in channels},
        "components": {
            "messages": {each["name"]: each for group in messages.values() for each in group}
            | {each["name"]: each for each in _webhook_messages()},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _is_told(name: str) -> bool:
    """Whether a schema is of what Ritorno writes and others read."""
    return name.startswith(("signal.", "command.", "fact.")) or name in ("decision", "hit")


def _models() -> dict[str, TypeAdapter[Any]]:
    events = {f"event.{type_}": TypeAdapter(PAYLOADS[type_]) for type_ in _public_types()} | {
        "event.custom": TypeAdapter(CustomProperties)
    }
    signals = {f"signal.{_tag(each, 'signal')}": TypeAdapter(each) for each in _union(Signal)}
    commands = {f"command.{_tag(each, 'action')}": TypeAdapter(each) for each in _union(Command)}
    return {
        **events,
        **signals,
        **commands,
        **{f"fact.{kind}": TypeAdapter(model) for kind, model in KINDS.items()},
        "decision": TypeAdapter(Decision),
        "hit": TypeAdapter(Hit),
        "product": TypeAdapter(Product),
        "suppression": TypeAdapter(Suppression),
    }


def _public_types() -> list[str]:
    return sorted(PAYLOADS.keys() - INTERNAL_TYPES)


def _union(annotated: Any) -> list[Any]:
    """Return the models of a union, however it is nested."""
    if get_origin(annotated) is Annotated:
        return _union(get_args(annotated)[0])
    members = get_args(annotated)
    return [each for member in members for each in _union(member)] if members else [annotated]


def _tag(model: Any, field: str) -> str:
    return str(model.model_fields[field].default)


def _messages() -> dict[str, list[dict[str, Any]]]:
    """Return the messages of each topic."""
    plain = _headers({"content-type": {"const": JSON}})
    events = [_event(type_) for type_ in _public_types()] + [_event("custom")]
    return {
        topology.CUSTOMER_EVENTS: events,
        topology.SEND_COMMANDS: [
            _message(f"command.{_tag(each, 'action')}", plain) for each in _union(Command)
        ],
        topology.CUSTOMER_SIGNALS: [
            _message(f"signal.{_tag(each, 'signal')}", plain) for each in _union(Signal)
        ],
        topology.FACTS: [
            *(_message(f"fact.{kind}", _of_fact(kind)) for kind in KINDS),
            _message("decision", plain),
            _message("hit", plain),
        ],
        topology.WORKFLOWS: [_definition()],
        topology.PRODUCTS: [_message("product")],
        topology.SUPPRESSIONS: [_message("suppression")],
        topology.DEAD_LETTERS: [_letter()],
        **{name: [_opaque(name)] for name in _RITORNOS_ALONE},
    }


def _event(type_: str) -> dict[str, Any]:
    """CloudEvents in binary mode."""
    kind = {"pattern": r"^custom\."} if type_ == "custom" else {"const": type_}
    headers = _headers(
        {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {"description": "Known by its source and id."},
            "ce_source": {},
            "ce_type": kind,
            "ce_time": {"format": "date-time"},
            "ce_subject": {"description": "A customer's id."},
            "ce_anonymousid": {"description": "A visitor's id."},
            "ce_backfill": {"enum": ["true", "false"]},
            "content-type": {"const": JSON},
        },
        required=["ce_id", "ce_source", "ce_type"],
    )
    key = {"type": "string", "description": "customer id, or a visitor's anonymous id"}
    return {
        **_message(f"event.{type_}", headers),
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
        "correlationId": {"location": "$message.header#/ce_id"},
    }


def _of_fact(kind: str) -> dict[str, Any]:
    return _headers({HEADER: {"const": kind}, "content-type": {"const": JSON}}, required=[HEADER])


def _letter() -> dict[str, Any]:
    names = ("dl_reason", "dl_detail", "dl_topic", "dl_partition", "dl_offset", "dl_time")
    headers = _headers({name: {} for name in names})
    return {
        "name": "dead-letter",
        "contentType": OCTETS,
        "headers": headers,
        "payload": {"description": "The refused record's value, untouched."},
    }


def _definition() -> dict[str, Any]:
    return {
        "name": "definition",
        "contentType": JSON,
        "payload": {"type": "object", "description": "As workflow.schema.json says."},
    }


def _opaque(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "contentType": OCTETS,
        "payload": {"description": "Of this release's own making; no contract."},
    }


def _message(name: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found = {"name": name, "contentType": JSON, "payload": {"$ref": _reference(name)}}
    return found if headers is None else {**found, "headers": headers}


def _headers(properties: Mapping[str, Any], required: Iterable[str] = ()) -> dict[str, Any]:
    typed = {name: {"type": "string", **schema} for name, schema in properties.items()}
    found: dict[str, Any] = {"type": "object", "properties": typed}
    needed = list(required)
    return {**found, "required": needed} if needed else found


def _reference(name: str) -> str:
    return REFERENCE.format(model=name)


def _channel(spec: Any, messages: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        name: int(spec.config[name]) for name in _SHOWN_CONFIGURATION if name in spec.config
    }
    if "cleanup.policy" in spec.config:
        configuration["cleanup.policy"] = [spec.config["cleanup.policy"]]
    return {
        "address": spec.name,
        "title": TITLES[spec.name],
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": _references(messages[spec.name]),
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "replicas": spec.replication,
                "topicConfiguration": configuration,
                "bindingVersion": BINDING,
            }
        },
    }


def _references(messages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {each["name"]: {"$ref": f"#/components/messages/{each['name']}"} for each in messages}


def _webhooks() -> dict[str, Any]:
    return {
        "address": "/",
        "title": "Signals and mail outcomes, posted as Standard Webhooks says.",
        "servers": [{"$ref": "#/servers/receiver"}],
        "messages": _references(_webhook_messages()),
    }


def _webhook_messages() -> list[dict[str, Any]]:
    headers = _headers(
        {
            "webhook-id": {"description": "The same for each repetition."},
            "webhook-timestamp": {"pattern": r"^\d+$"},
            "webhook-signature": {"description": "v1,BASE64 for each secret."},
        },
        required=["webhook-id", "webhook-timestamp", "webhook-signature"],
    )
    return [
        {
            "name": f"webhook.{type_}",
            "contentType": JSON,
            "headers": headers,
            "payload": {
                "type": "object",
                "required": ["type", "timestamp", "data"],
                "properties": {
                    "type": {"const": type_},
                    "timestamp": {"type": "string", "format": "date-time"},
                    "data": _webhook_data(type_),
                },
            },
        }
        for type_ in (*SIGNALS, *MAILS)
    ]


def _webhook_data(type_: str) -> dict[str, Any]:
    if type_ not in OUTCOMES:
        return {"$ref": _reference(f"signal.{type_}")}
    own = {
        "type": "object",
        "required": ["id", "time", "customer"],
        "properties": {
            "id": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "customer": {"type": "string"},
        },
    }
    return {"allOf": [own, {"$ref": _reference(f"event.{type_}")}]}


def _operation(channel: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "action": "receive" if channel in READ_BY_RITORNO else "send",
        "channel": {"$ref": f"#/channels/{channel}"},
    }
    if channel == "webhooks":
        found["bindings"] = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
    return found
