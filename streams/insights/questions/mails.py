"""Mails and what became of them: K01 and K11 of the catalogue, unique per mail.

Openings and clicks are those of people who have agreed to be tracked, so their share of all
deliveries is the least that it can be; what is counted of everybody, without saying who, is beside
it (`mail.hits…`), and there one person may stand behind several. People, programs that may have
acted because a person did, and machines are told apart, never added.
"""

from __future__ import annotations

from typing import Any

from schemas.figures import Figure
from streams.insights.questions.inquiry import Inquiry, group_of, share

WHO = {"person": "people", "perhaps": "perhaps", "machine": "machines"}
VERDICTS = {"human": "people", "unknown": "perhaps", "machine": "machines"}


def mails(ask: Inquiry) -> list[Figure]:
    """Rates by mail; of the mails that left in the span and of what was heard in it."""
    by = ask.scope.by or ""
    key = group_of(by)
    if key is None:
        return []
    where = f"{ask.within()} AND {ask.of_workflow()}"
    counted = ", ".join(
        f"count(*) FILTER (fate = '{engagement}' AND who = '{who}')"
        for engagement in ("opened", "clicked")
        for who in WHO
    )
    rows = ask.rows(
        f"""SELECT {key} AS key, count(*) FILTER (fate = 'sent'),
            count(*) FILTER (fate = 'bounced'),
            count(*) FILTER (fate = 'bounced' AND mail IN
                (SELECT mail FROM mails WHERE fate = 'sent' AND is_first
                 AND mail IN (SELECT mail FROM mails WHERE fate = 'bounced'))),
            count(*) FILTER (fate = 'complained'), count(*) FILTER (fate = 'unsubscribed'),
            {counted}
        FROM mails WHERE is_first AND {where} GROUP BY 1 ORDER BY 1"""
    )
    figures: list[Figure] = []
    for key_, sent, bounced, came_back, complained, left, *engaged in rows:
        tried = sent + bounced - came_back
        delivered = sent - came_back
        if not tried:
            continue
        about: dict[str, Any] = {**ask.span, "by": by, "key": key_}
        figures += [
            Figure(kpi="mail.sent", value=sent, unit="mails", **about),
            Figure(kpi="mail.delivered", value=delivered, unit="mails", **about),
            share(
                "mail.bounce_rate", bounced, tried, of="mails that left or were refused", **about
            ),
            share("mail.complaint_rate", complained, delivered, of="delivered", **about),
            share("mail.unsubscribe_rate", left, delivered, of="delivered", **about),
        ]
        opened = dict(zip(WHO.values(), engaged[:3], strict=True))
        clicked = dict(zip(WHO.values(), engaged[3:], strict=True))
        for who in WHO.values():
            figures += [
                share(f"mail.open_rate.{who}", opened[who], delivered, of="delivered", **about),
                share(f"mail.click_rate.{who}", clicked[who], delivered, of="delivered", **about),
            ]
        figures.append(
            share("mail.click_to_open.people", clicked["people"], opened["people"],
                  of="opened by people", **about)
        )  # fmt: skip
    return [*figures, *_hits(ask, by)]


def _hits(ask: Inquiry, by: str) -> list[Figure]:
    """What is counted of everybody: hits, not mails."""
    key = group_of(by)
    rows = ask.rows(
        f"""SELECT {key} AS key, hit, verdict, sum(hits)::BIGINT FROM hits
        WHERE {ask.within()} AND {ask.of_workflow()} GROUP BY ALL ORDER BY ALL"""
    )
    return [
        Figure(kpi=f"mail.hits.{hit}.{VERDICTS[verdict]}", value=int(count), unit="hits",
               **ask.span, by=by, key=key_)
        for key_, hit, verdict, count in rows if verdict in VERDICTS
    ]  # fmt: skip
