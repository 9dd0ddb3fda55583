"""Header lines of a mail, as bytes.

Ids and URLs are written as they are (`plain`). People's words (`unstructured`, `mailbox`) stay as
they are while they are ASCII, folded at spaces; anything else becomes base64 words of RFC 2047, all
of it, so that no space stands between an encoded word and a plain one.

The standard library's folding is not used, only its parser, as the judge of the tests. On Python
3.11 it turns a `List-Unsubscribe` of 78 characters and more into encoded words, and one-click ends
there; it loses the space between two encoded words and doubles others; and a long name with quotes
or `=?` in it is read as syntax: the mail arrives with an empty address, or with another name.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator

from agents.mail.addresses import EnvelopeRecipient

LINE = 76
"""Longest line with an encoded word in it (RFC 2047); where other lines are folded, too."""

MAX_LINE = 998
"""RFC 5322: a longer line is refused or cut somewhere on its way."""

_WORD = (b"=?utf-8?b?", b"?=")
_WORD_FRAME = sum(map(len, _WORD))

_ASCII = re.compile("[ -~]*")
# RFC 5322's atoms. No dots, which a phrase has only by an obsolete rule.
_ATOMS = re.compile("[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def plain(name: str, *values: str) -> bytes:
    """Return a header that is not to be touched: ids, URLs, tokens. ASCII.

    Several values are separated by commas, each on a line of its own.
    """
    return (f"{name}: " + ",\r\n ".join(values) + "\r\n").encode("ascii")


def unstructured(name: str, text: str) -> bytes:
    """Return a header of free text, such as the subject. `text` is one line without control
    characters (`addresses.clean`)."""
    lines = _encoded(text, len(name)) if _to_encode(text) else _folded(text, len(name))
    return f"{name}: ".encode() + b"\r\n ".join(lines) + b"\r\n"


def mailbox(name: str, who: EnvelopeRecipient) -> bytes:
    """Return a header of one address with its display name, which may be empty.

    An international local part stands there in UTF-8, for relays that take SMTPUTF8; the display
    name is encoded even then, which every mail program reads.
    """
    address = who.address.encode()
    if not who.name:
        return f"{name}: ".encode() + address + b"\r\n"
    lines = [*_phrase(who.name, len(name)), b"<" + address + b">"]
    if len(name) + 3 + len(lines[-2]) + len(lines[-1]) <= LINE:
        lines[-2:] = [lines[-2] + b" " + lines[-1]]
    return f"{name}: ".encode() + b"\r\n ".join(lines) + b"\r\n"


def _to_encode(text: str) -> bool:
    # Text that looks like an encoded word would be decoded by whoever reads it.
    return not _ASCII.fullmatch(text) or "=?" in text or len(text) > MAX_LINE // 2


def _phrase(text: str, used: int) -> list[bytes]:
    if _to_encode(text):
        return list(_encoded(text, used))
    if _ATOMS.fullmatch(text):
        return [text.encode()]
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{escaped}"'.encode()]


def _folded(text: str, used: int) -> Iterator[bytes]:
    """Cut at spaces into lines; `used` characters and ": " stand before the first one."""
    room = LINE - used - 2
    while len(text) > room and (space := _space(text, room)) > 0:
        yield text[:space].encode()
        text = text[space + 1 :]
        room = LINE - 1
    yield text.encode()


def _space(text: str, room: int) -> int:
    """The last space within `room`, else the next one: a word that is longer stays whole."""
    last = text.rfind(" ", 0, room + 1)
    return last if last > 0 else text.find(" ", room)


def _encoded(text: str, used: int) -> Iterator[bytes]:
    """Yield encoded words, each of whole characters, as RFC 2047 demands."""
    room = _capacity(LINE - used - 2)
    word = b""
    for character in text:
        more = character.encode()
        if len(word) + len(more) > room:
            yield _word(word)
            word, room = b"", _capacity(LINE - 1)
        word += more
    yield _word(word)


def _capacity(room: int) -> int:
    """Bytes of text that fit into an encoded word of `room` characters."""
    return (room - _WORD_FRAME) // 4 * 3


def _word(text: bytes) -> bytes:
    return _WORD[0] + b64encode(text) + _WORD[1]
