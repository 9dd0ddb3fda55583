"""The failure of a whole worker. On its own, so that catching it doesn't import a worker."""

from __future__ import annotations

from schemas.failures import Failure


class WorkerFailed(Failure):
    """A worker can't start or go on; the text says why and what to do, for a shopkeeper."""
