"""The languages of mails. Commands and pages speak more: `streams/messages/translations.py`."""

from __future__ import annotations

from typing import Literal, get_args

MailLanguage = Literal["it", "en"]
MAIL_LANGUAGES: tuple[MailLanguage, ...] = get_args(MailLanguage)
"""The first is that of whoever's locale says none of them."""
