"""`ritorno topics create`: make the topics as the machine needs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from streams.log import Log, TopicDescription
from streams.messages.plurals import several
from streams.runtime.bootstrap import prepare_workflows
from streams.settings import Settings
from streams.tools.cli.console import (
    JsonFlag,
    Options,
    UserError,
    open_log,
    print_json,
    run,
    say,
    settings_of,
    stdout,
)
from streams.topology import EMBEDDED_PARTITIONS, KAFKA_PARTITIONS, topics

WIDTH = 22
"""Of the names, at least; with a prefix they are longer."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="The topics of the log.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_topics)
    group.command("copy")(copy)
    app.add_typer(group, name="topics")


def create(
    context: typer.Context,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Of the per-customer topics; can never be changed."),
    ] = None,
    replication: Annotated[int | None, typer.Option(min=1, max=16, help="Copies on Kafka.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Create the topics that do not exist yet; the others stay as they are.

    The workflow files are published with them, so that the log's first event already finds them.
    Where `customer-events` was made anew or comes from an older copy, it is filled up with empty
    records, so that the customers who are kept hear what comes.
    `ritorno doctor` says whether the topics that exist are as they must be.
    """
    # `topics list` starts without.
    from streams.operate.dead_letters import ResendReport  # noqa: PLC0415
    from streams.operate.short_logs import fill_up, follow_up  # noqa: PLC0415
    from streams.runtime.factories import record_signer  # noqa: PLC0415
    from streams.runtime.transports.batch import TopicPartition  # noqa: PLC0415

    settings = settings_of(context)
    specs = topics(partitions or partition_count(settings), replication or settings.replication)

    async def create_all() -> tuple[
        dict[str, bool], dict[str, int], dict[TopicPartition, int], ResendReport
    ]:
        async with open_log(settings) as log:
            made = await log.create_topics(specs)
            created = {log.named(spec.name): spec.name in made for spec in specs}
            counts = {log.named(spec.name): await log.partitions(spec.name) for spec in specs}
            await prepare_workflows(log, settings)
            filled = await fill_up(log, lambda: record_signer(settings))
            followed = await follow_up(log, lambda: record_signer(settings))
            return created, counts, filled, followed

    created, counts, filled, followed = run(create_all())
    if as_json:
        print_json({name: "created" if new else "exists" for name, new in created.items()})
        return
    out = stdout()
    width = max(WIDTH, *map(len, created))
    for name, new in created.items():
        state = "created" if new else "exists already"
        out.print(f"{name:{width}} {several(counts[name], 'partition'):>14}   {state}")
    for tp, count in sorted(filled.items()):
        out.print(f"{tp.topic}/{tp.partition}: filled up to where it was read; "
                  f"{several(count, 'record')} had come meanwhile")  # fmt: skip
    if followed.resent:
        resent = several(followed.resent, "record")
        out.print(f"published again: {resent} that had come meanwhile")
    for letter, why in followed.kept:
        say(f"dead letter {letter.id}: {why}")


def copy(
    context: typer.Context,
    source: Annotated[
        str, typer.Option("--from", help="The old broker: kafka://HOST:PORT or embedded://PATH.")
    ],
    replication: Annotated[int | None, typer.Option(min=1, max=16, help="Copies on Kafka.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Copy what Ritorno keeps from another broker to the one that is set, which must be empty.

    Stop the workers first; nothing is changed at the old broker. Customers and mails go on where
    they were, and events that nobody has read yet follow. docs/moving.md has the steps.
    """
    # `topics list` starts without.
    from streams.operate import moving  # noqa: PLC0415
    from streams.runtime.factories import consumer_group, record_signer  # noqa: PLC0415

    settings = settings_of(context)
    options = context.find_object(Options) or Options()
    old = replace(options, broker=source).settings()
    if old.broker_url == settings.broker_url:
        raise UserError(f"--from {source}: that is the broker to which it would be copied")

    async def copy_all() -> moving.CopyReport:
        async with open_log(old) as log, open_log(settings) as target:
            await _alone(log)
            copies = replication or settings.replication
            return await moving.copy(
                log, target, record_signer(settings), replication=copies, group=consumer_group(old)
            )

    report = run(copy_all())
    if as_json:
        print_json({"partitions": report.partitions, "kept": report.kept, "unread": report.unread,
                    "control_records_left_out": report.left_out})  # fmt: skip
        return
    out = stdout()
    for name, number in {**report.kept, **report.unread}.items():
        unread = " that nobody has read yet" if name in report.unread else ""
        out.print(f"{name:22} {several(number, 'record'):>20}{unread}")
    if report.left_out:
        left = several(report.left_out, "control record")
        out.print(f"not copied: {left}; ritorno workflows publish and ritorno products publish "
                  "say it anew")  # fmt: skip


async def _alone(log: Log) -> None:
    """See that no worker reads an embedded log. Raises LogError."""
    from streams.runtime.logs.embedded import EmbeddedLog  # noqa: PLC0415  # only where it is used

    if isinstance(log, EmbeddedLog):
        await log.claim()


def list_topics(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Show the topics as the broker has them."""
    settings = settings_of(context)
    names = [spec.name for spec in topics(1)]

    async def describe_all() -> list[tuple[str, TopicDescription | None, int]]:
        async with open_log(settings) as log:
            found = []
            for name in names:
                description = await log.describe(name)
                spans = await log.offsets(name) if description else {}
                records = sum(span.end - span.start for span in spans.values())
                found.append((log.named(name), description, records))
            return found

    out = stdout()
    described = run(describe_all())
    width = max(WIDTH, *(len(name) for name, _, _ in described))
    for name, description, records in described:
        count = 0 if description is None else description.partitions
        if as_json:
            print_json({"topic": name, "partitions": count or None, "records": records})
        elif description is None:
            out.print(f"{name:{width}} missing: ritorno topics create")
        else:
            out.print(
                f"{name:{width}} {several(count, 'partition'):>14} {several(records, 'record'):>20}"
            )


def partition_count(settings: Settings) -> int:
    """Return how many partitions the per-customer topics get."""
    return settings.partitions or (KAFKA_PARTITIONS if settings.on_kafka else EMBEDDED_PARTITIONS)
