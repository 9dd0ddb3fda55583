"""Messages that no mail server writes: half a megabyte each, made to keep a parser busy."""

from __future__ import annotations

from agents.mail.bounces.limits import LARGEST

_HEAD = b"From: MAILER-DAEMON@relay.example\nSubject: failure notice\n"
_REPORT = _HEAD + b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: "


def _full(piece: bytes, before: bytes = b"") -> bytes:
    return (before + piece * (LARGEST // len(piece) + 1))[:LARGEST]


def _nested(count: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(count)
    )


def _numbered(line: bytes) -> bytes:
    return b"".join(line % n for n in range(LARGEST // len(line)))


HOSTILE = {
    "parameters": _full(b"a=b;", b"Content-Type: text/plain; "),
    "quoted parameters": _full(b'a="\\";', b"Content-Type: text/plain; "),
    "split parameters": b"Content-Type: text/plain" + _numbered(b";\n a*%d*=''x") + b"\n\nx",
    "headers": _full(b"a: b\n"),
    "one header": _full(b"=?utf-8?q?a?= ", b"Subject: "),
    "folded header": _full(b"a\n ", b"Subject: "),
    "lines": _full(b"\n", _HEAD + b"\n"),
    "one line": _full(b"a", _HEAD + b"\n"),
    "parts": _full(b"--x\n\na\n", b"Content-Type: multipart/mixed; boundary=x\n\n"),
    "parts in parts": _nested(3_000),
    "as deep as allowed": _full(b"--b\n", _nested(95)),
    "groups": _REPORT
    + b"message/delivery-status\n\n"
    + _numbered(b"Final-Recipient: rfc822; a%d@b.example\nAction: failed\n\n"),
    "groups as text": _HEAD
    + b"\n"
    + _numbered(b"Final-Recipient: rfc822; a%d@b.example\nAction: failed\n\n"),
    "headers as text": _full(b"A: b\n", _REPORT + b"text/rfc822-headers\n\n"),
    "addresses": _HEAD + b"\n" + _numbered(b"<a%d@b.example>: user unknown\n"),
    "signs": _full(b"a@", _HEAD + b"\n"),
    "tags": _full(b"<a <a ", _HEAD + b"Content-Type: text/html\n\n"),
    "base64": _full(b"QUFB", _HEAD + b"Content-Transfer-Encoding: base64\n\n"),
    "punycode": _full(b"a-b", _HEAD + b"Content-Type: text/plain; charset=punycode\n\n"),
    "domains": _full("a@città.example ".encode(), _HEAD + b"\n"),
    "phrases": _full(b"user unknown to host quota over ", _HEAD + b"\n"),
    "json": _full(b'{"a":', b"X-Amz-Sns-Message-Id: 1\n\n"),
}
