"""An erasure waits until the mailer has committed what it has read, and then looks again."""

import pytest

from streams.runtime.backoff import Backoff


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit every 50 ms rather than every second, and look again as soon, not after five."""
    monkeypatch.setattr("streams.runtime.transports.consumer.COMMIT_INTERVAL", 0.05)
    monkeypatch.setattr("streams.operate.privacy.eraser.BACKOFF", Backoff(0.05, 300.0))
