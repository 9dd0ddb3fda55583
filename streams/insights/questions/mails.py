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
    """Rates by mail: of the mails that left, or were refused, in the span, with all that became of
    them since."""
    by = ask.scope.by or ""
    key = group_of(by)
    if key is None:
        return []
    outcomes = {"complained": "fate = 'complained'", "unsubscribed": "fate = 'unsubscribed'"} | {
        f"{heard}_{who}": f"fate = '{heard}' AND who = '{who}'"
        for heard in ("opened", "clicked")
        for who in WHO
    }
    became = ", ".join(f"bool_or({of}) AS {name}" for name, of in outcomes.items())
    counted = ", ".join(f"count(*) FILTER (delivered AND {name})" for name in outcomes)
    rows = ask.rows(
        f"""WITH begun AS (
            SELECT mail, bool_or(fate = 'sent') AS sent,
                arg_min(day, row(fate <> 'sent', happened)) AS day,
                arg_min({key}, row(fate <> 'sent', happened)) AS key
            FROM mails WHERE fate IN ('sent', 'bounced') AND mail IS NOT NULL
                AND {ask.of_workflow()}
            GROUP BY mail
        ), tried AS (SELECT * FROM begun WHERE {ask.within()}), became AS (
            SELECT mail, bool_or(fate = 'bounced') AS bounced, {became}
            FROM mails WHERE mail IN (SELECT mail FROM tried) GROUP BY mail
        )
        SELECT key, count(*), count(*) FILTER (sent), count(*) FILTER (bounced),
            count(*) FILTER (delivered), {counted},
            count(*) FILTER (delivered AND (opened_person OR clicked_person))
        FROM (SELECT t.key, t.sent, b.*, t.sent AND NOT b.bounced AS delivered
              FROM tried t JOIN became b ON b.mail = t.mail)
        GROUP BY 1 ORDER BY 1"""
    )
    figures: list[Figure] = []
    for key_, tried, sent, bounced, delivered, complained, left, *engaged, seen in rows:
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
        # Who clicked has opened, even where pictures are blocked and no opening was heard of.
        for who in WHO.values():
            figures += [
                share(f"mail.open_rate.{who}", opened[who], delivered, of="delivered", **about),
                share(f"mail.click_rate.{who}", clicked[who], delivered, of="delivered", **about),
            ]
        figures.append(
            share("mail.click_to_open.people", clicked["people"], seen,
                  of="opened or clicked by people", **about)
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
