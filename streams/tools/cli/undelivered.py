"""What other systems have not taken: listed alike for webhooks and for CRMs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from schemas.instant import to_rfc3339
from streams.tools.cli.console import open_log, print_json, printable, run, say, stdout
from streams.tools.cli.tables import listing

if TYPE_CHECKING:
    from schemas.dead_letters import DeadLetter
    from streams.log import Log
    from streams.settings import Settings


def list_undelivered(
    settings: Settings, system: str, reason: str, *, name: str | None, limit: int, as_json: bool
) -> None:
    """List the messages that a `system` (webhook, crm) has refused or did not answer for too long,
    those of all or of the one called `name`. `reason`: of their dead letters."""
    from streams.outbound.letters import first_failed, webhook_of  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    async def found() -> tuple[list[DeadLetter], bool]:
        async with open_log(settings) as log:
            return await first_failed(log, limit, name, reason=reason)

    letters, more = run(found())
    rows = [
        {"id": each.id, "time": to_rfc3339(each.time), system: webhook_of(each),
         "record": f"{each.origin.topic} {each.origin.partition}:{each.origin.offset}",
         "why": each.detail.partition(": ")[2]}
        for each in letters
    ]  # fmt: skip
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        stdout().print("Nothing has failed.")
        return
    cells = [[printable(each) for each in row.values()] for row in rows]
    stdout().print(listing(tuple(rows[0]), cells))
    if more:
        say(f"There are more; --limit shows more than {limit}.")


async def undelivered_counts(log: Log, reason: str) -> Counter[str]:
    """Return how many messages each system has not taken, by its name. Raises LogError."""
    from streams.outbound.letters import failed_letters, webhook_of  # noqa: PLC0415  # as above

    counts: Counter[str] = Counter()
    async for letter in failed_letters(log, reason=reason):
        counts[webhook_of(letter)] += 1
    return counts
