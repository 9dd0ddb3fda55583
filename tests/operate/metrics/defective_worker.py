"""A worker with a defect: its actors fail at reviews. `python -m` this is `ritorno worker`."""

from __future__ import annotations

import sys
from typing import Any

from agents.customer import actor
from streams.tools.cli import main


def _fail(*_: Any) -> Any:
    raise ZeroDivisionError("a defect that was put in")


if __name__ == "__main__":
    actor._HANDLERS["product.reviewed"] = _fail  # type: ignore[index]  # a Mapping for everybody else
    sys.argv[:] = ["ritorno", "worker"]
    main()
