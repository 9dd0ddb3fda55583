"""Which commands there are, each imported when it is called.

`ritorno --help` shows the line that stands here, so that it needn't import twenty modules and all
that these need. To add a command: write its module with `register(app)`, and a line here; a test
compares the line with what the command says of itself.
"""

from __future__ import annotations

from importlib import import_module
from textwrap import shorten
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

MARGINS = 6
"""Columns left of the names, and between them and what is said of them."""


class Command(NamedTuple):
    """A command, or a group of them, of the first level."""

    module: str
    """In this package; its `register(app)` adds the command."""
    summary: str
    """The first line of its own help; `ritorno --help` shows of it what fits into a line."""


COMMANDS = {
    "demo": Command(
        "demo",
        "Play a shop's life through the whole machine, in one process, with time running fast.",
    ),
    "worker": Command(
        "worker",
        "Run a worker; more of them with the same broker share the work. Stops on SIGTERM.",
    ),
    "ingest": Command(
        "ingest",
        "Take what shops and pages send by HTTP, without a worker; stops on SIGTERM.",
    ),
    "topics": Command("topics", "The topics of the log."),
    "publish": Command(
        "publish",
        "Publish events: CloudEvents, Segment calls or recorded lines, one JSON object a line.",
    ),
    "events": Command(
        "events", "What a shop may send, what arrives, and which producer sends what wrongly."
    ),
    "connect": Command(
        "connect",
        "Connect a shop: set up its webhooks, check everything, read its history, say how it goes.",
    ),
    "products": Command("products", "The product feed."),
    "import": Command(
        "import_files", "Import a shop's orders or customers, as its systems export them."
    ),
    "replay": Command(
        "replay",
        "Replay a recorded log on virtual time: nothing is sent, every run gives the same bytes.",
    ),
    "explain": Command(
        "explain",
        "Tell what a customer did, what was decided and why, and what became of the mails.",
    ),
    "experiments": Command(
        "experiments",
        "Compare the variants of experiments: rates with their uncertainty, winner, holdout lift.",
    ),
    "hits": Command(
        "hits",
        "Count openings and clicks by step; nobody's name is in them, in whatever tracking mode.",
    ),
    "insights": Command(
        "insights",
        "Keep the facts in a store of their own and answer key figures; stops on SIGTERM.",
    ),
    "sql": Command("insights", "Ask the facts in SQL: one SELECT, which can only read."),
    "kpi": Command(
        "kpi",
        "Say the shop's key figures: orders, customers, mails, carts, workflows.",
    ),
    "cohorts": Command(
        "kpi",
        "Follow customers by the month (or source) of their first order: who came back, with what.",
    ),
    "attribution": Command(
        "kpi",
        "Say what orders are credited to which workflow: by its code, by a click, by being sent.",
    ),
    "roi": Command(
        "kpi",
        "Compare what workflows are credited with to what they cost: (revenue - cost) / cost.",
    ),
    "funnel": Command(
        "kpi", "Follow a workflow from entering through its mails to goals and orders."
    ),
    "carts": Command("kpi", "Abandoned carts."),
    "customer": Command("customer", "What is known about a customer."),
    "privacy": Command("privacy", "What customers have a right to: evidence, a copy, erasure."),
    "mappings": Command("mappings", "Topics that others own, mapped into events."),
    "mail": Command("mail", "The mails that were decided."),
    "workflows": Command("workflows", "Workflow files."),
    "templates": Command("templates", "Mail templates."),
    "dead-letters": Command("dead_letters", "Records that could not be read."),
    "webhooks": Command("webhooks", "Webhooks of signals and mail outcomes to other systems."),
    "crm": Command("crm", "CRMs that are told of customers and read."),
    "audience": Command("audience", "Segments for advertising platforms."),
    "bounces": Command("bounces", "Bounces, complaints, automatic answers."),
    "suppressions": Command("suppressions", "Addresses that get no mail."),
    "schemas": Command("schemas", "JSON Schemas."),
    "dkim": Command("dkim", "The keys that sign mails (DKIM)."),
    "clock": Command("clock", "Records whose append time has not come yet."),
    "backup": Command(
        "backup",
        "Copy the whole log into a directory, as it is at one moment; workers go on meanwhile.",
    ),
    "restore": Command(
        "backup", "Bring a backup back into the log that is set, which must hold nothing yet."
    ),
    "doctor": Command(
        "doctor", "Check the broker, topics, workflows, clock, relay and disk, and say what to do."
    ),
}


class Commands(TyperGroup):
    """The first level of the command line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which they are shown."""
        del ctx  # the same in any
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command and return it, None when there is none of that name."""
        del ctx  # the same in any
        return load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called; a wrong name is compared with what there is."""
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # only names are used
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands into the help."""
        del ctx  # the same in any
        room = formatter.width - max(map(len, COMMANDS)) - MARGINS
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, shorten(each.summary, room, placeholder="..."))
                    for name, each in COMMANDS.items()
                ]
            )


def load(name: str) -> Any:
    """Import the command `name` and return it."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.callback()(lambda: None)  # a single command stays one of a group
    import_module(f"streams.tools.cli.{COMMANDS[name].module}").register(app)
    return typer.main.get_group(app).commands[name]
