"""Fixtures of the importer's tests."""

from tests.tools.cli.conftest import Ritorno, ritorno

__all__ = ["Ritorno", "ritorno"]
