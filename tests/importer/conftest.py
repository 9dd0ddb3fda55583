"""Fixtures of the importer's tests."""

from tests.cli.conftest import Ritorno, ritorno

__all__ = ["Ritorno", "ritorno"]
