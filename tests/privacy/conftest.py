"""An erasure waits until the mailer has committed what it has read, and then looks again."""

import pytest


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit every 50 ms rather than every second, and look again as soon, not after five."""
    monkeypatch.setattr("streams.runtime.transports.consumer.COMMIT_INTERVAL", 0.05)
    monkeypatch.setattr("streams.operate.privacy.eraser.RETRY_MS", 50)
