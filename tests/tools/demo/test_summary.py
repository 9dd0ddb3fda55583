"""What the demo's summary says is right in number, and says nothing of what there was none of."""

import copy
from io import StringIO
from typing import Any

from rich.console import Console

from streams.tools.demo.summary import table

WORKFLOW = {"entered": 2, "waiting": 0, "completed": 1, "converted": 0, "exited": {}, "mails": 1}
SUMMARY: dict[str, Any] = {
    "from": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z", "events": {"total": 1},
    "customers": 1, "workflows": {"w05": WORKFLOW}, "decisions": {"total": 0, "by_reason": {}},
    "mails": {
        "commanded": 1, "delayed_by_the_relay": 0, "sent": 1, "bounced": 0, "skipped": 0,
        "rejected": 0, "failed": 0, "waiting": 0, "bounced_by_kind": {}, "skipped_by_reason": {},
    },
    "refused": {}, "by_http": {},
}  # fmt: skip


def said(summary: dict[str, Any]) -> str:
    out = StringIO()
    Console(file=out, width=200).print(table(summary))
    return out.getvalue()


def test_one_mail_is_one_mail() -> None:
    assert "1 mail, 1 complete" in said(SUMMARY)
    more = copy.deepcopy(SUMMARY)
    more["workflows"]["w05"]["mails"] = 2
    assert "2 mails, 1 complete" in said(more)


def test_a_relay_that_was_never_away_is_not_spoken_of() -> None:
    assert "relay" not in said(SUMMARY)
    more = copy.deepcopy(SUMMARY)
    more["mails"]["delayed_by_the_relay"] = 3
    assert "3 of them after the relay was back" in said(more)
