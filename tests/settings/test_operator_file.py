"""Operators' YAML files: every mistake is told at once, with its line, in plain words and without a
secret; whichever of the files it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.connect.connections import read_file_of_connections
from streams.connect.mappings.mapping_file import read_file
from streams.http.ingest.keys import read_keys
from streams.outbound.crm_file import read_crm
from streams.outbound.subscriptions import read_subscriptions
from streams.runtime.definition_files import read_directory
from streams.settings.operator_file import SHOWN, OperatorFileError

READERS: dict[str, Callable[[Path], Any]] = {
    "connections": read_file_of_connections,
    "keys": read_keys,
    "webhooks": read_subscriptions,
    "crm": read_crm,
    "mappings": read_file,
}


def told(directory: Path, name: str, text: str) -> list[str]:
    path = directory / f"{name}.yaml"
    path.write_text(text)
    with pytest.raises(OperatorFileError) as caught:
        READERS[name](path)
    lines = str(caught.value).splitlines()
    assert all(re.match(rf"{re.escape(str(path))}:\d+: ", each) for each in lines), lines
    return [each.removeprefix(f"{path}:") for each in lines]


def test_all_mistakes_of_a_file_are_told_in_their_order(tmp_path: Path) -> None:
    text = """\
webhooks:
  - name: Gestionale
    url: http://gestionale.example.it/x?key=segreto
    types: [segment.chaned, "mails.*"]
    when: data.segment = "vip"
    secrets: [corto]
    name: gestionale
  - name: due
    url: https://due.example.it
    type: ["*"]
    secrets: [env:DUE, env:TRE, env:DUE]
    private: forse
"""
    assert told(tmp_path, "webhooks", text) == [
        "4: webhooks.0.types.0: no such type (got 'segment.chaned'); did you mean segment.changed?",
        "4: webhooks.0.types.1: no such type (got 'mails.*'); did you mean mail.*?",
        "5: webhooks.0.when: = at character 14: CEL writes == (got 'data.segment = \"vip\"')",
        "6: webhooks.0.secrets.0: expected env:NAME or file:PATH, never the secret itself",
        "7: webhooks.0.name: there is one on line 2 already; which of them counts?",
        "8: webhooks.1.types: missing",
        "10: webhooks.1.type: no such field; did you mean types?",
        "11: webhooks.1.secrets: more than 2, which are the most that may be (not shown)",
        "12: webhooks.1.private: expected true or false (got 'forse')",
    ]


@pytest.mark.parametrize("name", READERS)
def test_every_file_is_read_so(tmp_path: Path, name: str) -> None:
    assert told(tmp_path, name, f"{name}s:\n  - hunter2\n")[0].startswith(
        f"1: {name}s: no such field; did you mean {name}?"
    )
    assert told(tmp_path, name, f"{name}:\n  - x: hunter2\n    x: 1\n")[-1].startswith("3: ")
    for text in (
        f"{name}: [", f"{name}:\n\t- hunter2\n", f"{name}: *hunter2", f"{name}: !hunter2 1",
        f'{name}: "hunter2', f"{name}: hunter2: 1", "- hunter2", "hunter2", "\xff\0",
    ):  # fmt: skip
        lines = told(tmp_path, name, text)
        assert len(lines) == 1 and "hunter2" not in lines[0], (text, lines)
        assert "token" not in lines[0] and "block" not in lines[0]


def test_secrets_are_shown_nowhere(tmp_path: Path) -> None:
    said = told(tmp_path, "connections", """\
connections:
  - {name: a, kind: shopify, shop: a.myshopify.com, secret: hunter2, token: [hunter2]}
  - {name: b, kind: magento, url: "https://user:hunter2@b.example.it", token: 5, pasword: hunter2}
  - {kind: prestashop, key: {hunter2: hunter2}}
""")  # fmt: skip
    assert len(said) == 8
    assert [each for each in said if "hunter2" in each] == []
    for url in (
        "https://u:hunter2@b.example.it", "https://u@h:hunter2/@b.it", "u:hunter2@b.example.it",
        "https://" + "u" * 300 + ":hunter2" + "x" * 300 + "@b.it", "ftp://u:hunter2 @b.it",
        "https://b.example.it/?consumer_secret=hunter2", "https://hunter2@b.example.it",
    ):  # fmt: skip
        said = told(tmp_path, "connections",
                    f"connections:\n  - {{name: b, kind: magento, url: '{url}'}}\n")  # fmt: skip
        [line] = [each for each in said if "connections.0.url" in each]
        assert "(got '" in line and "…" in line
        assert not any("hunter2" in each for each in said), said
    assert told(tmp_path, "keys", "keys:\n  - hunter2\n") == [
        "2: keys.0: expected an object (not shown)"
    ]
    assert "hunter2" not in "".join(told(tmp_path, "webhooks", "webhooks: hunter2\n"))
    said = told(tmp_path, "keys", "keys: [{id: a, kind: public, source: /a, values: [hunter2]}]")
    assert "hunter2" not in said[0]
    said = told(tmp_path, "webhooks",
                "webhooks: [{name: a, url: 'http://a.example.it/?key=hunter2', types: ['*'],"
                " secrets: [env:A]}]")  # fmt: skip
    assert said == [
        "1: webhooks.0.url: expected https://; http only with private: true (not shown)"
    ]


def test_a_name_that_stands_twice_is_a_mistake_of_a_workflow_file_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("id: w1\nname: uno\nname: due\n")
    found = [str(each) for each in read_directory(tmp_path).findings]
    assert (
        f"{tmp_path / 'a.yaml'}:3: name: there is one on line 2 already; which of them counts?"
        in found
    )
    (tmp_path / "a.yaml").write_text("id: w1\n\tname: uno\n")
    assert str(read_directory(tmp_path).findings[0]).endswith(
        "a.yaml:2: a tab: YAML is indented by blanks"
    )


def test_no_more_are_told_than_anybody_reads(tmp_path: Path) -> None:
    said = "keys:\n" + "  - {id: a}\n" * 40
    path = tmp_path / "keys.yaml"
    path.write_text(said)
    with pytest.raises(OperatorFileError) as caught:
        read_keys(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == SHOWN + 1 and lines[-1] == "… and 30 more"
