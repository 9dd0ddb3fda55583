"""A real Prometheus for tests, where Debian's package is installed."""

import os
import shutil

import pytest

MISSING = shutil.which("promtool") is None or shutil.which("prometheus") is None

if MISSING and os.environ.get("RITORNO_REQUIRE_PROMETHEUS"):
    raise RuntimeError("RITORNO_REQUIRE_PROMETHEUS is set, but promtool or prometheus is missing")

needs_prometheus = pytest.mark.skipif(
    MISSING, reason="NO PROMETHEUS: promtool and prometheus are missing (apt install prometheus)"
)
