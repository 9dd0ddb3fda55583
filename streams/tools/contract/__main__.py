"""`python -m streams.tools.contract DOCS [--release]`: writes the contract's page, and with
`--release` what the next ones are compared with."""

from __future__ import annotations

import sys
from pathlib import Path

from streams.tools.contract import openapi
from streams.tools.contract.asyncapi import document
from streams.tools.contract.page import RELEASED, RELEASED_CALLS, page, released

if __name__ == "__main__":
    docs, made = Path(sys.argv[1]), document()
    (docs / "contract.md").write_text(page(made), encoding="utf-8")
    if "--release" in sys.argv[2:]:
        (docs / "contract").mkdir(exist_ok=True)
        for name, each in ((RELEASED, made), (RELEASED_CALLS, openapi.document())):
            (docs / "contract" / name).write_text(released(each), encoding="utf-8")
