"""`ritorno dkim`: the keys that sign mails, and what the DNS must say of them."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from streams.runtime.factories import dkim_domain, dkim_keys
from streams.settings import Settings
from streams.settings.sources import PREFIX
from streams.settings.values import Selector
from streams.tools.cli.console import (
    OUTPUT,
    JsonFlag,
    UserError,
    print_json,
    say,
    settings_of,
    stdout,
)

if TYPE_CHECKING:
    from agents.mail.message.dkim import DkimKey, PrivateKey

HELP = """The keys that sign mails (DKIM).

To begin: `generate` a key, publish the record it prints, wait until it is there, set the two
variables it prints, restart the workers. All workers need the same file.

To change the key, once a year: the same again under a new selector. The old record stays a week
longer, for the mails that are on their way; then it can go, and the old file with it.

Two keys, each with its selector, sign every mail twice: RSA, which all can verify, and Ed25519,
which some prefer.
"""

RSA_BITS = 2048
"""What RFC 8301 recommends; 4096 takes six times as long and fits into few DNS entries."""

STRING = 255
"""Characters of one string in a TXT record; longer text is several strings."""


class Algorithm(StrEnum):
    """Of a new key."""

    RSA = "rsa"
    ED25519 = "ed25519"


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help=HELP, no_args_is_help=True)
    group.command("generate")(generate)
    group.command("show")(show)
    app.add_typer(group, name="dkim")


def generate(
    context: typer.Context,
    selector: Annotated[str, typer.Argument(help="Its name in the DNS, such as r2026.")],
    algorithm: Annotated[Algorithm, typer.Option(help="What all can verify is rsa.")] = (
        Algorithm.RSA
    ),
    out: Annotated[
        Path | None,
        typer.Option(*OUTPUT, help="The file to write; in the data directory by default."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a new key, write it to a file, and print the TXT record to be published."""
    from agents.mail.message.dkim import DkimKey  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    settings = settings_of(context)
    try:
        TypeAdapter(Selector).validate_python(selector)
    except ValidationError:
        raise UserError(
            f"SELECTOR = {selector!r}: expected letters, digits and dashes, such as r2026"
        ) from None
    path = out or settings.data_dir / f"dkim-{selector}.pem"
    key = DkimKey(dkim_domain(settings), selector, _new_key(algorithm))
    _write(path, key.key)
    _print([key], as_json, file=path)
    if not as_json:
        say(_what_next(settings, selector, path.resolve()))


def show(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Print the TXT record of each key that is set, as the DNS must hold it."""
    keys = dkim_keys(settings_of(context))
    if not keys:
        raise UserError(
            f"no key is set: {PREFIX}MAIL_DKIM_SELECTOR and {PREFIX}MAIL_DKIM_KEY_FILE "
            "(make one: ritorno dkim generate SELECTOR)"
        )
    _print(keys, as_json)


def _new_key(algorithm: Algorithm) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415  # see generate
        ed25519,
        rsa,
    )

    if algorithm is Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)


def _write(path: Path, key: PrivateKey) -> None:
    """Write a key that only its owner can read. A file that exists is never overwritten: it may
    hold a key that is in use."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  # see generate
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{path} exists already; take another selector, or --out FILE") from None
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)


def _print(keys: list[DkimKey] | tuple[DkimKey, ...], as_json: bool, **more: Path) -> None:
    out = stdout()
    for key in keys:
        if as_json:
            found = {"selector": key.selector, "domain": key.domain, "key": key.algorithm}
            record = {"name": key.record_name, "type": "TXT", "value": key.record}
            print_json({**found, **record, **more})
            continue
        strings = [key.record[at : at + STRING] for at in range(0, len(key.record), STRING)]
        quoted = " ".join(f'"{string}"' for string in strings)
        out.print(f"{key.record_name}. IN TXT {quoted}", soft_wrap=True)


def _what_next(settings: Settings, selector: str, path: Path) -> str:
    selectors = [*settings.mail_dkim_selector, selector]
    files = [*map(str, settings.mail_dkim_key_file), str(path)]
    lines = [
        f"The key is in {path}. Publish the record above; when it is there, set",
        f"  {PREFIX}MAIL_DKIM_SELECTOR={selector}",
        f"  {PREFIX}MAIL_DKIM_KEY_FILE={path}",
        "and restart the workers.",
    ]
    if len(selectors) > 1:
        lines.append(
            f"Or sign with both keys: {PREFIX}MAIL_DKIM_SELECTOR={','.join(selectors)} "
            f"{PREFIX}MAIL_DKIM_KEY_FILE={','.join(files)}"
        )
    return "\n".join(lines)
