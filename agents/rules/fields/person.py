"""Fields that say who the customer is, what was agreed, and what scores, tags and mails there
are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from agents.rules import decay
from agents.rules.evaluation import EvaluationContext
from agents.rules.fields.field import Field, Read
from agents.rules.local_time import instant_of, local_day, zone_of
from schemas.days import Day, parse_day
from schemas.instant import to_datetime
from schemas.languages import MAIL_LANGUAGES
from schemas.stored import NEVER

_TEXTS = {
    "email": "address; empty when none is known",
    "name": "full name",
    "first_name": "first name",
    "last_name": "last name",
    "phone": "telephone number",
    "locale": "as the shop sent it: it-IT, en",
    "zone": "time zone: Europe/Rome",
    "country": "as the shop sends it: IT",
    "city": "as the shop sends it",
}


def fields() -> Iterator[Field]:
    """Yield the fields of this module that every shop has."""
    for name, about in _TEXTS.items():
        yield Field(f"profile.{name}", "text", "profile", _profile(name), about)
    yield Field(
        "profile.language",
        "text",
        "profile",
        lambda s: s.customer.profile.language,
        "language of the mails",
        values=frozenset(MAIL_LANGUAGES),
    )
    yield Field("profile.birthday", "date", "profile", _birthday, "with or without a year")
    yield Field("profile.birthday_month", "number", "profile", _birthday_month, "1 to 12")
    yield Field(
        "profile.age",
        "number",
        "profile",
        _age,
        "years, when the birthday has one",
        changes=_next_birthday,
    )
    for purpose in ("marketing", "profiling", "tracking"):
        yield Field(
            f"consents.{purpose}",
            "flag",
            "consents",
            _consent(purpose),
            f"whether the last word on {purpose} was yes",
        )
    yield Field("lists", "texts", "lists", _lists, "lists that the customer is on")
    yield Field(
        "lists.pending",
        "texts",
        "lists",
        _pending,
        "lists whose subscription waits to be confirmed",
    )
    yield Field(
        "lists.joined",
        "instant",
        "lists",
        _joined,
        "when the customer subscribed to the first list that was joined",
    )
    yield Field(
        "lists.left",
        "instant",
        "lists",
        lambda s: s.customer.left_list or None,
        "when a list was left last",
    )
    yield Field("tags", "texts", "tags", _tags, "tags, without those that have expired")
    yield Field(
        "segments",
        "texts",
        "segments",
        lambda s: s.customer.segments,
        "segments that the customer is in",
    )
    yield from _memberships()
    yield from _activity()
    yield from _mails()


def score_fields(name: str) -> Iterator[Field]:
    """Yield the fields of one score."""
    yield Field(
        f"scores.{name}",
        "number",
        "scores",
        partial(_score, name),
        "worth of the score at the moment",
        changes=partial(_score_changes, name),
        flows=True,
    )
    yield Field(
        f"bands.{name}",
        "text",
        "scores",
        partial(_band, name),
        "band in which the score is at the moment",
        changes=partial(_band_changes, name),
    )


def occurred_fields(name: str) -> Iterator[Field]:
    """Yield the fields of an event of the shop's own that is counted."""
    yield Field(
        f"occurred.{name}",
        "number",
        "events",
        partial(_occurred, name),
        "how often it has occurred",
    )
    yield Field(
        f"last_occurred.{name}",
        "instant",
        "events",
        partial(_last_occurred, name),
        "when it occurred last",
    )


def _occurred(name: str, evaluation: EvaluationContext) -> int:
    counted = evaluation.customer.occurred.get(name)
    return 0 if counted is None else counted.times


def _last_occurred(name: str, evaluation: EvaluationContext) -> int | None:
    counted = evaluation.customer.occurred.get(name)
    return None if counted is None else counted.last


def _memberships() -> Iterator[Field]:
    yield Field("tier", "text", "tier", lambda s: s.customer.tier, "loyalty tier")
    yield Field(
        "points",
        "number",
        "points",
        lambda s: s.customer.points_balance,
        "loyalty points that count for the tier",
    )
    yield Field(
        "coupons.open",
        "texts",
        "coupons",
        _open_coupons,
        "campaigns of which the customer has a code that can still be used",
        changes=_coupons_change,
    )
    yield Field(
        "coupons.issued",
        "number",
        "coupons",
        lambda s: len(s.customer.coupons),
        "codes issued, of the latest 50",
    )
    yield Field(
        "coupons.redeemed",
        "number",
        "coupons",
        lambda s: sum(1 for coupon in s.customer.coupons if coupon.redeemed),
        "codes redeemed, of the latest 50",
    )


def _activity() -> Iterator[Field]:
    yield Field(
        "acquired.time",
        "instant",
        "acquired",
        lambda s: s.customer.first_seen or None,
        "when the customer did anything first",
    )
    yield Field("acquired.month", "text", "acquired", _acquired_month, "the month of that: 2026-03")
    yield Field(
        "acquired.source",
        "text",
        "acquired",
        lambda s: s.customer.source,
        "campaign, site or place of subscription that the customer came from",
    )
    yield Field(
        "last_active",
        "instant",
        "activity",
        lambda s: s.customer.last_active or None,
        "when the customer last did anything in the shop, or clicked in a mail",
    )
    yield Field("views", "number", "activity", lambda s: s.customer.views, "pages looked at")
    yield Field(
        "visits",
        "number",
        "activity",
        lambda s: s.customer.visits,
        "visits to the shop; half an hour of silence ends one",
    )
    yield Field(
        "ignored",
        "number",
        "activity",
        lambda s: s.customer.ignored,
        "marketing mails since the customer last did anything",
    )


def _mails() -> Iterator[Field]:
    yield Field(
        "mails.last_sent",
        "instant",
        "mails",
        lambda s: s.customer.mail.sent or None,
        "when the last mail was sent",
    )
    yield Field(
        "mails.last_opened",
        "instant",
        "mails",
        lambda s: s.customer.mail.opened or None,
        "when a mail was opened last, where that may be known",
    )
    yield Field(
        "mails.last_clicked",
        "instant",
        "mails",
        lambda s: s.customer.mail.clicked or None,
        "when a mail was clicked in last",
    )
    yield Field(
        "mails.last_interaction",
        "instant",
        "mails",
        lambda s: max(s.customer.mail.opened, s.customer.mail.clicked) or None,
        "the later of both",
    )
    yield Field("mails.opens", "number", "mails", lambda s: s.customer.mail.opens, "how often")
    yield Field("mails.clicks", "number", "mails", lambda s: s.customer.mail.clicks, "how often")
    yield Field(
        "mails.offer_clicks",
        "number",
        "mails",
        lambda s: s.customer.mail.offer_clicks,
        "clicks in promotional mails",
    )
    yield Field(
        "mails.suppressed",
        "flag",
        "mails",
        lambda s: bool(s.customer.suppressed),
        "whether nothing may be sent to the address",
    )


def _profile(name: str) -> Read:
    return lambda evaluation: getattr(evaluation.customer.profile, name)


def _birthday(evaluation: EvaluationContext) -> Day | None:
    text = evaluation.customer.profile.birthday
    return parse_day(text) if text else None


def _birthday_month(evaluation: EvaluationContext) -> int | None:
    birthday = _birthday(evaluation)
    return None if birthday is None else birthday.month


def _age(evaluation: EvaluationContext) -> int | None:
    birthday = _birthday(evaluation)
    if birthday is None or birthday.year is None:
        return None
    today = local_day(evaluation.now, evaluation.customer.profile.zone)
    this_year = birthday.in_year(today.year or 0)
    had_it = (this_year.month, this_year.day) <= (today.month, today.day)
    return max(0, (today.year or 0) - birthday.year - (not had_it))


def _next_birthday(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    birthday = _birthday(evaluation)
    if birthday is None or birthday.year is None:
        return NEVER
    zone = evaluation.customer.profile.zone
    year = max(local_day(evaluation.now, zone).year or 0, birthday.year)
    return next(
        instant
        for each in (year, year + 1)
        if (instant := instant_of(birthday.in_year(each), "00:00", zone)) > evaluation.now
    )


def _consent(purpose: str) -> Read:
    return lambda evaluation: evaluation.customer.consented(purpose)


def _lists(evaluation: EvaluationContext) -> list[str]:
    lists = evaluation.customer.lists.items()
    return [name for name, known in lists if known.subscribed and not known.pending]


def _pending(evaluation: EvaluationContext) -> list[str]:
    lists = evaluation.customer.lists.items()
    return [name for name, known in lists if known.subscribed and known.pending]


def _joined(evaluation: EvaluationContext) -> int | None:
    times = [known.time for known in evaluation.customer.lists.values() if known.joined]
    return min(times, default=None)


def _tags(evaluation: EvaluationContext) -> list[str]:
    return [name for name, tag in evaluation.customer.tags.items() if tag.expires > evaluation.now]


def _score(name: str, evaluation: EvaluationContext) -> float | None:
    scoring = evaluation.rules.scorings.get(name)
    if scoring is None:
        return None
    return decay.value(decay.kept(evaluation.customer, name), scoring, evaluation.now)


def _band(name: str, evaluation: EvaluationContext) -> str:
    scoring = evaluation.rules.scorings.get(name)
    if scoring is None:
        return ""
    return scoring.band(decay.value(decay.kept(evaluation.customer, name), scoring, evaluation.now))


def _score_changes(name: str, evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    scoring = evaluation.rules.scorings.get(name)
    if scoring is None:
        return NEVER
    return decay.passes(decay.kept(evaluation.customer, name), scoring, evaluation.now, thresholds)


def _band_changes(name: str, evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    scoring = evaluation.rules.scorings.get(name)
    floors = [] if scoring is None else [band.at_least for band in scoring.bands]
    return _score_changes(name, evaluation, floors)


def _open_coupons(evaluation: EvaluationContext) -> list[str]:
    return [
        coupon.campaign
        for coupon in evaluation.customer.coupons
        if not coupon.redeemed and coupon.expires > evaluation.now
    ]


def _coupons_change(evaluation: EvaluationContext, thresholds: Sequence[float]) -> int:
    ends = (coupon.expires for coupon in evaluation.customer.coupons if not coupon.redeemed)
    return min((end for end in ends if end > evaluation.now), default=NEVER)


def _acquired_month(evaluation: EvaluationContext) -> str:
    first = evaluation.customer.first_seen
    if not first:
        return ""
    return f"{to_datetime(first).astimezone(zone_of(evaluation.customer.profile.zone)):%Y-%m}"
