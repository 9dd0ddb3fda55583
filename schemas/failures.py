"""Base classes of expected failures: whatever else is raised is a defect of ours.

Each part has its own exceptions below these two, so that the command line tells them apart without
importing the part: a broker, a worker and pydantic's models take a second together.
"""

from __future__ import annotations


class InputError(Exception):
    """Only the user can mend it, by asking differently; the text says how. Exit code 2."""


class Failure(Exception):
    """It could not be done; the text says why and what to do, for a shopkeeper. Exit code 1."""
