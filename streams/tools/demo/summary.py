"""What a demo comes to, as JSON data and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from schemas.instant import to_rfc3339
from streams.messages.decisions import kind, outcome, reason
from streams.messages.plurals import several
from streams.messages.translations import ENGLISH
from streams.tools.demo.calls import Sender
from streams.tools.demo.http_sender import HttpSender
from streams.tools.demo.ledger import FINAL, Ledger, counts
from streams.tools.demo.sink import Sink

Summary = dict[str, Any]


_SENT = {
    Sender.PAGES: "by pages under a public key",
    Sender.SERVER: "by the shop's server under a secret one",
    Sender.IMPORT: "of history",
    Sender.PLUGIN: "by a plug-in that makes mistakes",
}


async def summarize(
    ledger: Ledger,
    sink: Sink,
    sender: HttpSender | None = None,
    *,
    start: int,
    end: int,
    step: int,
) -> Summary:
    """Return everything in numbers; the same records give the same. Raises LogError."""
    mails = ledger.mails()
    # How many mails met a dead relay before it was known to be dead depends on luck.
    lasting = counts({kind: n for kind, n in ledger.events.items() if kind != "mail.deferred"})
    return {
        "from": to_rfc3339(start),
        "until": to_rfc3339(end),
        "step_seconds": step // 1000,
        "events": {
            "total": sum(lasting.values()),
            "by_type": lasting,
        },
        "customers": await ledger.customers(),
        "decisions": {
            "total": ledger.decisions.total(),
            "by_reason": counts(
                {f"{kind}: {why}": n for (kind, why), n in ledger.decisions.items()}
            ),
        },
        "workflows": {
            name: {
                "entered": workflow.entered,
                "waiting": workflow.waiting,
                "completed": workflow.completed,
                "converted": workflow.converted,
                "exited": counts(workflow.exited),
                "mails": workflow.sent,
            }
            for name, workflow in sorted(ledger.workflows.items())
        },
        "mails": {
            "commanded": len(ledger.commanded),
            "by_template": counts(ledger.templates),
            **{kind: mails[kind] for kind in (*FINAL, "waiting")},
            "skipped_by_reason": counts(ledger.skipped),
            "bounced_by_kind": counts(ledger.bounced),
            "delayed_by_the_relay": ledger.delayed(),
            "in_the_sink": len(sink.taken),
        },
        "refused": counts(ledger.refused),
        "by_http": _by_http(sender),
    }


def table(summary: Summary) -> Table:
    """Return the summary for a terminal or a file."""
    view = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    view.add_column()
    view.add_column(justify="right")
    view.add_column()
    for label, count, remark in _rows(summary):
        view.add_row(Text(label), Text(f"{count:,}"), Text(remark))
    return view


def where(index: Path, kept: Path | None) -> str:
    """Say where the mails can be read, and what was kept."""
    text = f"Read the mails: {index.resolve().as_uri()}"
    if kept is not None:
        text += (
            f"\nLog and state are kept in {kept}: try "
            f"ritorno --broker embedded://{kept / 'log'} customer show ID"
        )
    return text


def _by_http(sender: HttpSender | None) -> dict[str, Any]:
    if sender is None or not sender.requests:
        return {}
    return {
        "requests": sender.requests,
        "calls": counts(sender.calls),
        "refused": counts(sender.refused),
    }


def _rows(summary: Summary) -> Iterator[tuple[str, int, str]]:
    mails = summary["mails"]
    if sent := summary["by_http"]:
        yield "calls by HTTP", sum(sent["calls"].values()), _senders(sent)
    yield "events", summary["events"]["total"], f"{summary['from']} to {summary['until']}"
    yield "customers and visitors", summary["customers"], ""
    for name, workflow in summary["workflows"].items():
        if workflow["entered"]:
            yield f"runs of {name}", workflow["entered"], _outcomes(workflow)
    yield "decisions", summary["decisions"]["total"], ""
    for text, count in summary["decisions"]["by_reason"].items():
        decided, _, why = text.partition(": ")
        yield f"  {kind(decided, ENGLISH)}", count, reason(why, ENGLISH)
    delayed = mails["delayed_by_the_relay"]
    yield "mails decided", mails["commanded"], ""
    yield (
        "  sent",
        mails["sent"],
        f"{delayed:,} of them after the relay was back" if delayed else "",
    )
    yield "  bounced", mails["bounced"], _list(mails["bounced_by_kind"])
    skipped = {outcome(why, ENGLISH): n for why, n in mails["skipped_by_reason"].items()}
    yield "  skipped", mails["skipped"], _list(skipped)
    if mails["rejected"]:  # an address or a template that no mail can be made of
        yield "  rejected", mails["rejected"], ""
    yield "  failed", mails["failed"], ""
    yield "  still waiting", mails["waiting"], ""
    yield "records refused", sum(summary["refused"].values()), _list(summary["refused"])
    if sent and sent["refused"]:
        yield "requests refused", sum(sent["refused"].values()), _list(sent["refused"])


def _outcomes(workflow: Mapping[str, Any]) -> str:
    ended = {reason(why, ENGLISH): count for why, count in workflow["exited"].items()}
    first = max(ended, key=lambda why: ended[why], default="")
    parts = {
        "complete": workflow["completed"],
        "reached the goal": workflow["converted"],
        f"ended (mostly: {first})" if len(ended) > 1 else f"ended: {first}": sum(ended.values()),
        "still waiting": workflow["waiting"],
    }
    mails = [several(workflow["mails"], "mail")] if workflow["mails"] else []
    return ", ".join([*mails, *(f"{count:,} {what}" for what, count in parts.items() if count)])


def _senders(sent: Mapping[str, Any]) -> str:
    told = ", ".join(f"{sent['calls'][each]:,} {text}" for each, text in _SENT.items()
                     if each in sent["calls"])  # fmt: skip
    return f"in {several(sent['requests'], 'request')}: {told}"


def _list(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in parts.items())
