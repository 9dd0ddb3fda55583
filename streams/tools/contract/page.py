"""The contract as a page, and as what is kept of a release to be compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from streams.messages.plurals import several

RELEASED, RELEASED_CALLS = "released.json", "released-openapi.json"
"""What is kept of the last release, in docs/contract."""

WORDS = frozenset({"title", "description", "examples", "default", "info"})
"""What says nothing of which values are allowed."""

LONGEST = 60
"""Characters of what is said of one field's values."""

HEAD = """\
# The contract

*Generated: `make contract`. Do not edit.*

`ritorno schemas export DIR` writes all of it: `asyncapi.json` (AsyncAPI 3, every topic and the
webhooks), `openapi.json` (OpenAPI 3.1, the ingest port) and a JSON Schema of each kind of
message. A field that is gone, needed or allows less than in the last release (`docs/contract/`)
fails CI; a release writes what is kept there anew (`make contract RELEASE=1`). Fields that are
needed are **bold**. Readers pass over fields and values that they don't know.

"""


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an AsyncAPI document of ours, Markdown."""
    return HEAD + "\n".join([*_topics(document), "", *_messages(document)]) + "\n"


def released(document: Mapping[str, Any]) -> str:
    """Return what is kept of a document, JSON without words."""
    return json.dumps(_without_words(document), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _without_words(value: Any, *, names: bool = False) -> Any:
    """`names`: the keys are names of fields, and none of them is a word of the schema."""
    if isinstance(value, list):
        return [_without_words(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: _without_words(each, names=not names and key in ("properties", "schemas"))
        for key, each in value.items()
        if names or key not in WORDS
    }


def _topics(document: Mapping[str, Any]) -> Iterator[str]:
    yield "## Topics and webhooks"
    yield ""
    yield "| | partitions | kept | Ritorno | |"
    yield "|---|---|---|---|---|"
    for name, channel in document["channels"].items():
        kafka = channel.get("bindings", {}).get("kafka", {})
        configuration = kafka.get("topicConfiguration", {})
        days = configuration.get("retention.ms", 0) // 86_400_000
        kept = several(days, "day") if days else "last of each key" if configuration else "-"
        reads = document["operations"][name]["action"] == "receive"
        yield (
            f"| `{name}` | {kafka.get('partitions', '-')} | {kept} | "
            f"{'reads' if reads else 'writes'} | {channel['title']} |"
        )


def _messages(document: Mapping[str, Any]) -> Iterator[str]:
    heads = {"event.": "Events", "signal.": "Signals", "command.": "Commands",
             "decision": "Decisions"}  # fmt: skip
    schemas = document["components"]["schemas"]
    for prefix, head in heads.items():
        yield f"## {head}"
        yield ""
        yield "| | fields |"
        yield "|---|---|"
        for name, message in document["components"]["messages"].items():
            if name.startswith(prefix):
                schema = _followed(schemas, message["payload"])
                yield f"| `{name.removeprefix(prefix) or name}` | {_fields(schemas, schema)} |"
        yield ""
    yield "## Webhooks"
    yield ""
    yield "`{type, timestamp, data}`; `data` is a signal, or an event of a mail with `id`, `time`"
    yield "and `customer`: see [webhooks.md](webhooks.md)."


def _fields(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    return (
        ", ".join(
            (f"**{name}**" if name in needed else name) + _kind(schemas, each)
            for name, each in schema.get("properties", {}).items()
        )
        or "any"
    )


def _kind(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return what a field holds, where it is no plain text."""
    schema = _followed(schemas, schema)
    for alternative in schema.get("anyOf", ()):
        if alternative.get("type") != "null":
            return _kind(schemas, alternative)
    if "enum" in schema:
        text = " \\| ".join(map(str, schema["enum"]))
        return f" ({text[:LONGEST]}{'…' if len(text) > LONGEST else ''})"
    kind = schema.get("format") or schema.get("type", "")
    if "const" in schema or kind in ("string", ""):
        return ""
    return f" ({kind})"


def _followed(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema
