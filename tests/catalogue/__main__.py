"""Writes `docs/catalogue.md`: `python -m tests.catalogue`."""

from __future__ import annotations

from pathlib import Path

from streams.messages.triggers import ends, trigger
from tests.catalogue.rows import CONVERSATIONS, RULES, conversations, rules

FILE = Path(__file__).parents[2] / "docs" / "catalogue.md"

HEAD = """\
# The catalogue

Every conversation that is shipped, every rule, and the tests that show it. `make catalogue` writes
this page from the workflow files and the tests, and a test compares. The tests of conversations
are in their own files and run by `ritorno workflows test`.

Live out of the box: {live}. The others are on the shelf (`enabled: false`).
`ritorno workflows graph ID` draws one.

| row | workflow | begins when | ends at once when | shown by |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page as it has to be."""
    lines, live = [], []
    for row, shown in conversations().items():
        for workflow, tests in shown:
            if workflow.enabled and workflow.id[:3].upper() == row:
                live.append(f"`{workflow.id}`")
            begins = trigger(workflow.trigger, "en")
            over = "; ".join(ends(workflow, "en")) or "–"
            title = f"{row} {CONVERSATIONS[row]}"
            link = f"[`{workflow.id}`](../workflows/{workflow.id}.yaml)"
            lines.append(f"| {title} | {link} | {begins} | {over} | {'<br>'.join(tests)} |")
    head = HEAD.format(live=", ".join(live))
    rows = [f"| {row} {RULES[row]} | {'<br>'.join(tests)} |" for row, tests in rules().items()]
    return head + "\n".join([*lines, "", "| rule | shown by |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
    print(f"written to {FILE}")
