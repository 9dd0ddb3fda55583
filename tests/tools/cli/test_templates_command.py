"""`ritorno templates`: list, lint, preview."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.tools.cli.conftest import Ritorno

SHIPPED = Path(__file__).resolve().parents[3] / "workflows"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The cart reminder and a workflow that sends it, to be spoiled."""
    kept = ("_*", "cart-reminder.*.j2")
    shutil.copytree(SHIPPED / "templates", tmp_path / "own" / "templates", ignore=_all_but(*kept))
    (tmp_path / "own" / "workflow.yaml").write_text(WORKFLOW)
    return tmp_path / "own"


def _all_but(*kept: str) -> Callable[[str, list[str]], set[str]]:
    def ignored(directory: str, names: list[str]) -> set[str]:
        if Path(directory).name != "templates":
            return set()
        return {name for name in names if not any(fnmatch(name, one) for one in kept)}

    return ignored


WORKFLOW = """
id: reminder
definition: workflow
title: {it: Promemoria, en: Reminder}
trigger: cart.changed
entry: {once_per: cart}
steps:
  - id: one
    wait: {for: 1h, since: cart.changed}
    send: cart-reminder
    class: marketing
    kind: informative
"""


def test_a_preview_shows_what_a_step_gives(ritorno: Ritorno, tmp_path: Path) -> None:
    for mail, words in (("milestone", "5 ordini insieme"), ("sales-alert", "Giulia Verdi"),
                        ("double-opt-in", "https://mail.shop.example/y/sample")):  # fmt: skip
        out = tmp_path / "mail.html"
        done = ritorno("templates", "preview", mail, "--out", str(out), "--text")
        assert done.code == 0
        assert words in done.out
        assert "{" not in done.out


def test_list_says_class_and_needs(ritorno: Ritorno) -> None:
    rows = ritorno("templates", "list", "--json").json
    by_name = {row["name"]: row for row in rows}
    assert by_name["cart-reminder"] == {
        "name": "cart-reminder",
        "languages": ["en", "it"],
        "classes": ["marketing"],
        "needs": ["cart"],
    }
    assert by_name["order-confirmation"]["classes"] == ["transactional"]
    assert "cart-reminder" in ritorno("templates", "list").out


def test_lint_is_content_with_what_is_shipped(ritorno: Ritorno) -> None:
    done = ritorno("templates", "lint")
    assert done.code == 0
    assert done.out.endswith("mails: all right.\n")
    assert ritorno("templates", "lint", "--json").json == []


def test_lint_names_what_is_wrong_and_fails(ritorno: Ritorno, own: Path) -> None:
    path = own / "templates" / "cart-reminder.it.j2"
    path.write_text(path.read_text().replace("Riprendi il carrello", "Acquista ora"))
    done = ritorno("templates", "lint", str(own))
    assert done.code == 1
    assert done.out == (
        "cart-reminder.it.j2: error: a cart mail's call to action presses: 'Acquista ora' (pushy)\n"
    )
    assert "1 error among 1 finding" in done.err
    found = ritorno("templates", "lint", str(own), "--json").json
    assert found[0]["rule"] == "pushy"


def test_a_warning_is_no_failure(ritorno: Ritorno, own: Path) -> None:
    (own / "templates" / "cart-reminder.en.j2").unlink()
    done = ritorno("templates", "lint", str(own))
    assert done.code == 0
    assert "cart-reminder.en.j2: warning: is not written in en" in done.out


def test_a_mistake_is_one_clear_line(ritorno: Ritorno, own: Path) -> None:
    (own / "templates" / "cart-reminder.it.j2").write_text("{% block subject %}")
    done = ritorno("templates", "lint", str(own))
    assert done.code == 2
    assert done.err.startswith("ritorno: cart-reminder.it.j2:1: Unexpected end of template")
    assert done.err.count("\n") == 1


def test_preview_writes_a_page_that_needs_no_network(ritorno: Ritorno, tmp_path: Path) -> None:
    done = ritorno("templates", "preview", "cart-reminder", "--text")
    assert done.code == 0
    assert done.out.startswith(
        "Abbiamo tenuto da parte il tuo carrello\ncart-reminder.it.html\n\nIl negozio\n"
    )
    html = (tmp_path / "cart-reminder.it.html").read_text()
    assert "Ciao Giulia" in html
    assert 'src="data:image/svg+xml;base64,' in html
    assert 'src="http' not in html


def test_preview_takes_language_data_and_file(ritorno: Ritorno, tmp_path: Path) -> None:
    Path("data.json").write_text(json.dumps({"customer": {"first_name": "Zoë"}}))
    out = str(tmp_path / "x.html")
    for data in ("data.json", '{"customer": {"first_name": "Zoë"}}'):
        done = ritorno(
            "templates", "preview", "cart-reminder", "--locale", "en", "--out", out, "--data", data
        )
        assert done.out == f"We kept your cart for you\n{out}\n"
        assert "Hello Zoë" in Path(out).read_text()


def test_preview_tells_a_program_where_the_page_is(ritorno: Ritorno) -> None:
    (told,) = ritorno("templates", "preview", "cart-reminder", "--lang", "en", "--json").json
    assert (told["language"], told["file"]) == ("en", "cart-reminder.en.html")
    assert told["subject"] == "We kept your cart for you"
    assert Path(told["file"]).exists()


def test_preview_opens_a_browser_when_asked(
    ritorno: Ritorno, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    ritorno("templates", "preview", "welcome-tips", "--open")
    assert opened == [(tmp_path / "welcome-tips.it.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: there is no such template in it"),
        (
            ["w01-confirmation"],
            "w01-confirmation: there is no such template in it; did you mean order-confirmation?",
        ),
        (["cart-reminder", "--data", "[1]"], "--data: [Errno 2] No such file"),
        (["cart-reminder", "--data", "{"], "--data: Expecting property name"),
        (["cart-reminder", "--data", '{"cart": ' + "[" * 99_999], "--data: nested too deeply"),
        (["cart-reminder", "--data", '{"cart": 7}'], "cart-reminder: its variables can't be read"),
        (["cart-reminder", "--data", '{"cart": null}'], "cart-reminder.it.j2:11: 'None' has no"),
    ],
)
def test_a_wrong_preview_is_one_clear_line(
    ritorno: Ritorno, arguments: list[str], message: str
) -> None:
    done = ritorno("templates", "preview", *arguments)
    assert done.code == 2
    assert done.err.startswith(f"ritorno: {message}")
    assert done.err.count("\n") == 1
