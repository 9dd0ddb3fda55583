"""Fixtures of the tests of what comes back."""

from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["Ritorno", "ritorno"]
