"""What a broker refuses is said in words: which password, which permission."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownError,
)

from streams.log import LogError
from streams.runtime.logs.kafka.retry import RetryPolicy, explained, raise_for


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SaslAuthenticationFailed("no"), "wrong password, or no such user"),
        (
            TopicAuthorizationFailedError("customer-events"),
            "no permission for topic customer-events",
        ),
        (TopicAuthorizationFailedError({"b", "a"}), "no permission for topic a, b"),
        (GroupAuthorizationFailedError("ritorno"), "no permission for consumer group ritorno"),
        (ClusterAuthorizationFailedError(), "no permission for cluster"),
        (UnknownError("x"), "UnknownError"),
    ],
)
def test_in_words(error: KafkaError, said: str) -> None:
    assert said in explained(error)
    with (
        pytest.raises(LogError, match="Kafka at kafka-1:9092 refused: "),
        RetryPolicy(["kafka-1:9092"]).errors(),
    ):
        raise error


def test_what_was_asked_for_is_named() -> None:
    with pytest.raises(TopicAuthorizationFailedError, match="facts"):
        raise_for(TopicAuthorizationFailedError.errno, "facts")
    raise_for(0, "facts")
