"""Loading the settings, and saying what is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.problem_words import problem_words
from streams.settings import Settings
from streams.settings.sources import (
    PREFIX,
    SECRETS,
    SettingsError,
    config_flag,
    read_file,
    refuse_unknown_variables,
)


def load_settings(*, config: Path | None = None, **flags: Any) -> Settings:
    """Return the settings; a flag that is None was not given. Raises SettingsError.

    `config` is the settings file, instead of the one that RITORNO_CONFIG names.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    refuse_unknown_variables(Settings.model_fields)
    token = config_flag.set(config)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error, given)) from None
    finally:
        config_flag.reset(token)
    _check_together(settings)
    return settings


@dataclass(frozen=True, slots=True)
class SettingsReader:
    """Reads the settings of a command again, as they are then; goes to other processes as well."""

    config: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Settings:
        """Return them. Raises SettingsError."""
        return load_settings(config=self.config, **self.flags)


def _check_together(settings: Settings) -> None:
    """Refuse what is right one by one and wrong together."""
    if settings.kafka_security.startswith("sasl"):
        _check_login(settings)
    if settings.kafka_key_file and not settings.kafka_cert_file:
        raise SettingsError(f"{PREFIX}KAFKA_KEY_FILE needs {PREFIX}KAFKA_CERT_FILE as well")
    selectors, keys = settings.mail_dkim_selector, settings.mail_dkim_key_file
    if len(selectors) != len(keys):
        raise SettingsError(
            f"{PREFIX}MAIL_DKIM_SELECTOR names {len(selectors)} and {PREFIX}MAIL_DKIM_KEY_FILE "
            f"{len(keys)}: each selector needs its key file, in the same order"
        )
    if settings.mail_dkim_domain and not keys:
        raise SettingsError(
            f"{PREFIX}MAIL_DKIM_DOMAIN is {settings.mail_dkim_domain}, so "
            f"{PREFIX}MAIL_DKIM_SELECTOR and {PREFIX}MAIL_DKIM_KEY_FILE must be set"
        )
    if settings.inbound_smtp_bind and not settings.mail_bounce_domain:
        raise SettingsError(f"{PREFIX}INBOUND_SMTP_BIND needs {PREFIX}MAIL_BOUNCE_DOMAIN as well")
    for name in (
        "kafka_ca_file",
        "kafka_cert_file",
        "kafka_key_file",
        "kafka_token_file",
        "inbound_imap_ca_file",
    ):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"{PREFIX}{name.upper()}: there is no file {path}")


def _check_login(settings: Settings) -> None:
    """Refuse to log in to Kafka with half of what that needs. Raises SettingsError."""
    named = settings.kafka_username and settings.kafka_password.get_secret_value()
    if settings.kafka_sasl_mechanism != "OAUTHBEARER":
        if not named:
            raise SettingsError(
                f"{PREFIX}KAFKA_SECURITY is {settings.kafka_security}, "
                f"so {PREFIX}KAFKA_USERNAME and {PREFIX}KAFKA_PASSWORD must be set"
            )
        return
    if bool(settings.kafka_token_url) == bool(settings.kafka_token_file):
        raise SettingsError(
            f"{PREFIX}KAFKA_SASL_MECHANISM is OAUTHBEARER, so either {PREFIX}KAFKA_TOKEN_URL or "
            f"{PREFIX}KAFKA_TOKEN_FILE must be set"
        )
    if settings.kafka_token_url and not named:
        raise SettingsError(
            f"{PREFIX}KAFKA_TOKEN_URL is set, so {PREFIX}KAFKA_USERNAME and {PREFIX}KAFKA_PASSWORD "
            "must be: the client's id and secret"
        )


def _explain(error: ValidationError, flags: Mapping[str, Any]) -> str:
    """Say one line per mistake: where it was set, its value, what is expected."""
    file_values, path = read_file(Settings.model_fields)
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        variable = PREFIX + name.upper()
        if name in flags:
            where = "--" + name.replace("_", "-")
        elif any(key.upper() == variable for key in os.environ):
            where = variable
        elif any(key.upper() == f"{variable}_FILE" for key in os.environ):
            where = f"{variable}_FILE"
        elif name in file_values:
            where = f"{path}: {name}"
        else:
            where = variable
        shown = re.sub(r"://.*@", "://(not shown)@", repr(problem["input"]))[:200]
        # URLs of feeds carry keys.
        value = "(not shown)" if name in (*SECRETS, "feeds") else shown
        lines.append(f"{where} = {value}: {problem_words(problem)}")
    return "\n".join(lines)
