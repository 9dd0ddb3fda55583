"""The failure of a whole worker. On its own, so that catching it doesn't import a worker."""

from __future__ import annotations


class WorkerFailed(Exception):
    """A worker can't start or go on; the text says why and what to do, for a shopkeeper."""
