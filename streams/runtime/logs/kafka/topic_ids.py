"""The broker's ids of topics, which aiokafka doesn't ask for: a Metadata request of version 12.

A topic that is deleted and made anew has the old name and another id (KIP-516, brokers from 2.8
on).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from streams.log import TopicIdentity
from streams.runtime.logs.kafka.retry import raise_for

_KEY = 3
_VERSION = 12
_ID_BYTES = 16


class _Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(_ID_BYTES))


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = _KEY
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    FLEXIBLE_VERSION = True
    API_KEY = _KEY
    API_VERSION = _VERSION
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = _KEY

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> Any:
        """Return the request: the topics by name, and none is made by asking."""
        by_name: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [
            (uuid.UUID(int=0), name, {}) for name in self._topics
        ]
        return request_struct_class(by_name, False, False, {})


async def identities(
    admin: AIOKafkaAdminClient, topics: Sequence[str]
) -> Mapping[str, TopicIdentity]:
    """Return what the broker knows topics by, those that exist. An older one has no ids, and only
    the numbers of partitions are told. Raises KafkaError."""
    try:
        answer = (await admin._send_request(_MetadataRequest(topics))).to_object()
        found = answer["topics"]
    except (NotImplementedError, IncompatibleBrokerVersion):
        found = [{"name": each["topic"], **each} for each in await admin.describe_topics(topics)]
    known = {}
    for each in found:
        if for_code(each["error_code"]) is UnknownTopicOrPartitionError:
            continue
        raise_for(each["error_code"], each["name"])
        topic_id = each.get("topic_id")
        text = "" if topic_id is None else str(topic_id)
        known[each["name"]] = TopicIdentity(text, len(each["partitions"]))
    return known
