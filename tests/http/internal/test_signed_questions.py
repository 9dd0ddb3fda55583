"""Who may ask: requests and answers are signed, for their path, their time and each other."""

from __future__ import annotations

import pytest

from agents.mail.settings import SigningKey
from streams.http.internal.signing import WINDOW_MS, RequestSigner, Signature, Unsigned

NEW, OLD = SigningKey("new", "a secret of the tests, new"), SigningKey("old", "an older secret")
NOW = 1_772_355_600_000
PATH = "/customer?key=anna"

signer = RequestSigner([NEW, OLD])


@pytest.mark.parametrize("asker", [signer, RequestSigner([OLD])])
@pytest.mark.parametrize("later", [-WINDOW_MS, 0, WINDOW_MS])
def test_who_has_one_of_the_keys_may_ask(asker: RequestSigner, later: int) -> None:
    asked = asker.request(PATH, NOW)
    assert signer.check_request(str(asked), PATH, NOW + later) == asked


@pytest.mark.parametrize("later", [-WINDOW_MS - 1, WINDOW_MS + 1])
def test_a_request_can_be_repeated_for_a_minute_only(later: int) -> None:
    with pytest.raises(Unsigned, match="60 s from now"):
        signer.check_request(str(signer.request(PATH, NOW)), PATH, NOW + later)


@pytest.mark.parametrize("header", ["", "x", "new:1:", "new::ab", f"new:{NOW}:é", "new:-1:ab"])
def test_what_is_no_signature_is_refused(header: str) -> None:
    with pytest.raises(Unsigned):
        signer.check_request(header, PATH, NOW)


def test_a_signature_is_for_one_path_one_time_and_one_key() -> None:
    asked = signer.request(PATH, NOW)
    for forged, path in (
        (asked, "/customer?key=bruno"),
        (asked._replace(time=NOW + 1), PATH),
        (asked._replace(key="old"), PATH),
        (asked._replace(key="none"), PATH),
        (RequestSigner([SigningKey("new", "another secret, same id")]).request(PATH, NOW), PATH),
    ):
        with pytest.raises(Unsigned):
            signer.check_request(str(forged), path, NOW)


def test_an_answer_is_to_one_request_and_says_one_thing() -> None:
    asked, other = signer.request(PATH, NOW), signer.request("/customer?key=bruno", NOW)
    answer = signer.answer(asked, 200, b"record")
    signer.check_answer(str(answer), asked, 200, b"record")
    for to, status, body in (
        (other, 200, b"record"),
        (asked, 404, b"record"),
        (asked, 200, b"another"),
        (Signature("old", asked.time, asked.digest), 200, b"record"),
    ):
        with pytest.raises(Unsigned):
            signer.check_answer(str(answer), to, status, body)
