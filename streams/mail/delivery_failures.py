"""How the deliveries of one partition have failed, for who begins them again and who asks whether
the mailer is ready."""

from __future__ import annotations

from streams.runtime.backoff import Backoff

BACKOFF = Backoff(0.1, 30.0)
"""Seconds before a partition that keeps failing is opened again: 0.1, 0.2, 0.4 … 30."""

TWICE = 2
"""Failures in a row after which a partition is in trouble: one may be the broker's."""


class DeliveryFailures:
    """Those of one partition, in a row."""

    def __init__(self, now: int) -> None:
        """Deliveries begin; `now` in ms since the epoch, as below."""
        self.failures = 0
        self.reason = ""
        """Of the last one."""
        self._since: int | None = now
        """When they went on; None: they don't."""

    def stopped(self, error: BaseException, now: int) -> None:
        """They went on, and have failed."""
        if self.is_over(now):
            self.failures = 0
        self.note(error)

    def note(self, error: BaseException) -> None:
        """They have failed, or could not be begun again."""
        self.failures += 1
        self.reason = str(error) or type(error).__name__
        self._since = None

    def go_on(self, now: int) -> None:
        """They are begun again."""
        self._since = now

    def is_over(self, now: int) -> bool:
        """Whether they have gone on for longer than the longest pause."""
        return self._since is not None and now - self._since > BACKOFF.longest * 1000
