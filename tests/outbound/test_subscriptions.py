"""webhooks.yaml: what it may say, and what is said of a mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.outbound.messages import Message
from streams.outbound.subscriptions import MOST, read_subscriptions
from streams.outbound.webhooks import topics_of, wanted_by
from streams.settings.operator_file import OperatorFileError

HEAD = """\
webhooks:
  - name: gestionale
    url: https://gestionale.example.it/ritorno?key=segreto
    types: [segment.changed, "mail.*"]
    secrets: ["env:GESTIONALE_SECRET", "file:/run/secrets/old"]
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "webhooks.yaml"
    path.write_text(text)
    return read_subscriptions(path)


def test_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.yaml"
    path.write_text(HEAD + '    when: data.segment == "vip" && data.points > 10.0\n')
    (found,) = read_subscriptions(path)
    assert found.give_up_after == 86_400_000
    assert found.shown_url == "https://gestionale.example.it/ritorno"
    assert [found.takes(each) for each in ("segment.changed", "mail.sent", "score.changed")] == [
        True, True, False,
    ]  # fmt: skip
    assert topics_of(found.takes) == ("customer-signals", "customer-events")
    wants = wanted_by(found)
    assert wants(Message("1", "segment.changed", 0, "a", {"segment": "vip", "points": 11}))
    assert not wants(Message("1", "segment.changed", 0, "a", {"segment": "vip", "points": 9}))
    assert not wants(Message("1", "segment.changed", 0, "a", {"segment": "vip"}))
    assert not wants(Message("1", "segment.changed", 0, "a", {"segment": 1, "points": "x"}))
    assert not wants(Message("1", "score.changed", 0, "a", {"segment": "vip", "points": 11}))


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_subscriptions(tmp_path / "webhooks.yaml") == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            ("types: [segment.changed", "types: [segment.chaged"),
            r"yaml:4: webhooks\.0\.types\.0: no such type .got 'segment.chaged'.; did you mean "
            r"segment.changed\?",
        ),
        (("https://gest", "http://gest"), "private: true"),
        (("https://gest", "ftp://gest"), "expected https"),
        (("https://gest", "https://a:b@gest"), "no user and password"),
        (("name: gestionale", "name: Gestionale!"), "yaml:2: .*name"),
        (("types:", "tipi:"), "tipi: no such field; there are .* types"),
        (("secrets: [", "secrets: [env:A, "), "secrets"),
        (("webhooks:\n", "webhooks: [\n"), "yaml:[0-9]+: "),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changed: tuple[str, str], expected: str) -> None:
    with pytest.raises(OperatorFileError, match=f"(?s){expected}"):
        read(tmp_path, HEAD.replace(*changed, 1))


@pytest.mark.parametrize(
    "line",
    ["when: data.segment = 1", "when: segment == 'vip'", "when: nonsense(data.a)",
     "give_up_after: 90d", "give_up_after: soon"],
)  # fmt: skip
def test_what_can_never_work_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(OperatorFileError, match=line.partition(":")[0]):
        read(tmp_path, HEAD + f"    {line}\n")


def test_a_secret_in_place_of_its_reference_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(OperatorFileError) as told:
        read(tmp_path, HEAD.replace("env:GESTIONALE_SECRET", "whsec_geheim"))
    assert "env:NAME" in str(told.value)
    assert "geheim" not in str(told.value)


def test_names_are_told_apart_and_there_is_an_end(tmp_path: Path) -> None:
    one = HEAD.removeprefix("webhooks:\n")
    with pytest.raises(OperatorFileError, match=r"webhooks\.1\.name: one before it has"):
        read(tmp_path, HEAD + one)
    many = "webhooks:\n" + "".join(
        one.replace("gestionale", f"g{number}", 1) for number in range(MOST + 1)
    )
    with pytest.raises(OperatorFileError, match="webhooks"):
        read(tmp_path, many)
