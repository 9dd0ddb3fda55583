"""Fixtures for all tests."""

from __future__ import annotations

from tests.broker import kafka_broker, kafka_jars

__all__ = ["kafka_broker", "kafka_jars"]
