"""The facts' store, for `ritorno doctor`: does it answer, and how far is it behind?"""

from __future__ import annotations

import asyncio

from schemas.failures import Failure
from streams.clock import SystemClock
from streams.http.internal.signing import RequestSigner
from streams.insights import client
from streams.messages.plurals import several
from streams.operate.check import Check, CheckStatus
from streams.runtime.factories import signing_keys
from streams.settings import Settings

NAME = "insights"

BEHIND = 10_000
"""Records that may wait."""


async def check_insights(settings: Settings) -> list[Check]:
    """Ask it; nothing where no port is set."""
    bind = settings.insights_bind
    if bind is None:
        return []
    signer = RequestSigner(signing_keys(settings))
    question = {"statement": "SELECT count(*) FROM facts"}
    try:
        answer = await asyncio.to_thread(client.ask, bind, signer, SystemClock(), "sql", question)
    except Failure as error:
        return [Check(NAME, CheckStatus.WARN, str(error), "ritorno insights, one for a shop")]
    count, behind = answer["rows"][0][0], answer["behind"]
    text = f"{several(count, 'fact')}, {several(behind, 'record')} behind"
    status = CheckStatus.OK if behind < BEHIND else CheckStatus.WARN
    return [Check(NAME, status, text, "" if behind < BEHIND else "It catches up by itself.")]
