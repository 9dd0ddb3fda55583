"""OpenAPI 3.1 of the ingest port: Segment's calls and CloudEvents over HTTP.

What a call may say stands in AsyncAPI, by type of event; here is what holds for all of them, as the
endpoints read it (`streams/http/ingest/endpoints.py`).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from streams.http.ingest.cloud_events import BATCH_EVENTS, BATCHED, STRUCTURED
from streams.http.ingest.endpoints import BATCHES, EVENTS, IMPORT
from streams.http.ingest.segment_calls import BATCH_BYTES, BATCH_CALLS, CALL_BYTES, PATHS

JSON = "application/json"

_NEEDS = {
    "track": ["event"],
    "identify": [],
    "page": [],
    "screen": [],
    "group": ["groupId"],
    "alias": ["userId", "previousId"],
}
"""What each call is about, besides whom."""


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the ingest port."""
    paths: dict[str, Any] = {
        f"/v1/{name}": {"post": _single(name, kind)} for name, kind in PATHS.items()
    }
    paths |= {path: {"post": _batch(path, "Many calls")} for path in BATCHES}
    paths[IMPORT] = {"post": _batch(IMPORT, "Many calls that are history: they start nothing")}
    paths[EVENTS] = {"post": _events()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ritorno: ingest",
            "version": version("ritorno"),
            "description": "Events of a shop by HTTP. 200 says that they are durably in the log.",
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The write key as the user, no password.",
                },
                "bearer": {"type": "http", "scheme": "bearer", "description": "The write key."},
            },
            "schemas": _schemas(),
            "responses": _responses(),
        },
    }


def _single(name: str, kind: str) -> dict[str, Any]:
    return {
        "operationId": f"post_{name}",
        "summary": f"One {kind} call, {CALL_BYTES:,} bytes at most",
        "requestBody": _body({kind: JSON}),
        "responses": _answers(),
    }


def _batch(path: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": "post" + path.replace("/", "_"),
        "summary": f"{summary}, {BATCH_BYTES:,} bytes at most",
        "requestBody": _body({"batch": JSON}),
        "responses": _answers(),
    }


def _events() -> dict[str, Any]:
    return {
        "operationId": "post_events",
        "summary": "CloudEvents 1.0: structured or batched, or binary with `ce-` headers",
        "requestBody": _body({"cloudEvent": STRUCTURED, "cloudEvents": BATCHED}),
        "responses": _answers(),
    }


def _body(kinds: dict[str, str]) -> dict[str, Any]:
    content = {
        media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}
        for name, media_type in kinds.items()
    }
    return {"required": True, "content": content}


def _answers() -> dict[str, Any]:
    return {"200": {"$ref": "#/components/responses/taken"}} | {
        str(status): {"$ref": f"#/components/responses/{name}"}
        for status, name in ((400, "unreadable"), (401, "unknownKey"), (403, "withheld"),
                             (408, "slow"), (413, "tooLarge"), (429, "tooMuch"), (503, "away"))
    }  # fmt: skip


def _responses() -> dict[str, Any]:
    refused = {JSON: {"schema": {"$ref": "#/components/schemas/refused"}}}
    later = {
        "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
    }
    taken = {JSON: {"schema": {"$ref": "#/components/schemas/taken"}}}
    return {
        "taken": {"description": "Durably in the log, but for what `refused` names.",
                  "content": taken},
        "unreadable": {"description": "`error` names field and value.", "content": refused},
        "unknownKey": {"description": "No key, an unknown or a revoked one.", "content": refused},
        "withheld": {"description": "Nothing that this key, or a page, may say.",
                     "content": refused},
        "slow": {"description": "The body did not come in time.", "content": refused},
        "tooLarge": {"description": "Too many bytes or calls.", "content": refused},
        "tooMuch": {"description": "Too much of this key or address.", "headers": later,
                    "content": refused},
        "away": {"description": "The log is away: send it again.", "headers": later,
                 "content": refused},
    }  # fmt: skip


def _schemas() -> dict[str, Any]:
    calls = {kind: _call(needs) for kind, needs in _NEEDS.items()}
    any_call = [
        {"allOf": [{"$ref": f"#/components/schemas/{kind}"},
                   {"properties": {"type": {"const": kind}}, "required": ["type"]}]}
        for kind in _NEEDS
    ]  # fmt: skip
    return calls | {
        "batch": {
            "type": "object",
            "required": ["batch"],
            "properties": {
                "batch": {"type": "array", "items": {"anyOf": any_call}, "maxItems": BATCH_CALLS},
                "context": {"$ref": "#/components/schemas/context"},
                "sentAt": {"$ref": "#/components/schemas/time"},
                "writeKey": {"type": "string"},
            },
        },
        "context": {
            "type": "object",
            "description": "Of a batch: for calls that say nothing else.",
            "properties": {
                "locale": {"type": "string"},
                "timezone": {"type": "string"},
                "campaign": {"type": "object"},
                "page": {"type": "object"},
                "traits": {"type": "object"},
                "userAgent": {"type": "string"},
                "userHash": {
                    "type": "string",
                    "description": "HMAC-SHA256 of `userId`, hex: a page's proof of who it is.",
                },
            },
        },
        "time": {"type": "string", "format": "date-time"},
        "cloudEvent": {
            "type": "object",
            "required": ["specversion", "id", "source", "type"],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "minLength": 1},
                "source": {"type": "string", "minLength": 1},
                "type": {"type": "string", "minLength": 1},
                "subject": {"type": "string", "description": "The customer."},
                "anonymousid": {"type": "string", "description": "The visitor."},
                "time": {"$ref": "#/components/schemas/time"},
                "data": {"type": "object"},
                "data_base64": {"type": "string", "contentEncoding": "base64"},
                "userhash": {"type": "string"},
            },
        },
        "cloudEvents": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/cloudEvent"},
            "maxItems": BATCH_EVENTS,
        },
        "taken": {
            "type": "object",
            "required": ["success"],
            "properties": {
                "success": {"const": True},
                "refused": {"type": "array", "items": {"type": "object"}},
                "refused_total": {"type": "integer", "minimum": 1},
                "bots": {"type": "integer", "minimum": 1},
                "hint": {"type": "string"},
            },
        },
        "refused": {
            "type": "object",
            "required": ["success", "error"],
            "properties": {
                "success": {"const": False},
                "reason": {"type": "string"},
                "error": {"type": "string"},
            },
        },
    }


def _call(needs: list[str]) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "required": needs,
        "anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}],
        "properties": {
            "userId": text,
            "anonymousId": text,
            "messageId": text,
            "event": text,
            "groupId": text,
            "previousId": text,
            "name": {"type": "string"},
            "properties": {"type": "object"},
            "traits": {"type": "object"},
            "context": {"$ref": "#/components/schemas/context"},
            "timestamp": {"$ref": "#/components/schemas/time"},
            "sentAt": {"$ref": "#/components/schemas/time"},
            "writeKey": {"type": "string"},
        },
    }
