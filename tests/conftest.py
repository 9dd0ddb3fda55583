"""Fixtures for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.broker import kafka_broker, kafka_jars

__all__ = ["kafka_broker", "kafka_jars"]

# The same examples in every run, and no clock of Hypothesis' own: a machine that is busy elsewhere
# must not make a test fail. `--hypothesis-profile=default` looks further than these.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
