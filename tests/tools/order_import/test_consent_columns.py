"""What an import concludes of consent, what it leaves out, and what it says of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.connect.facts import Subject, guest_key
from streams.tools.customer_import.consent_words import are_answers, read_consent
from streams.tools.customer_import.customer_columns import guess
from streams.tools.customer_import.persons import Persons
from tests.tools.cli.conftest import Done
from tests.tools.order_import.conftest import Ritorno

HEAD = "Codice cliente;Email;Newsletter;Data iscrizione"
ANNA = "1;anna@example.it;sì;01/02/2026 10:00"
TWO_UNREAD = [
    HEAD, ANNA, "2;bruno@example.it;forse;02/02/2026", "3;carla@example.it;??;03/02/2026",
    "4;dario@example.it;no;",
]  # fmt: skip


def try_out(ritorno: Ritorno, lines: list[str], *options: str) -> Done:
    """Import customers, only to see what would become of them."""
    Path("clienti.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ritorno("import", "clienti.csv", "--what", "customers", "--dry-run", *options)


def told(ritorno: Ritorno, lines: list[str], *options: str) -> list[dict[str, Any]]:
    """Return the events of an import of customers that are about consent."""
    Path("clienti.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = ("import", "clienti.csv", "--what", "customers", "--out", "out.ndjson")
    done = ritorno(*command, *options)
    assert done.code == 0, done.err
    events = [json.loads(line) for line in Path("out.ndjson").read_text().splitlines()]
    return [event for event in events if event["type"].startswith("list.")]


def test_a_consent_that_cannot_be_read_is_counted_and_shown(ritorno: Ritorno) -> None:
    done = try_out(ritorno, TWO_UNREAD)
    assert "unread             2    neither yes nor no" in done.out
    assert "consent can't be read in 2 lines, nothing is concluded: 'forse' 1×, '??' 1×" in done.err
    assert "--yes-word WORD" in done.err
    report = try_out(ritorno, TWO_UNREAD, "--json").json[0]
    assert (report["agreed"], report["consent_unread"]) == (1, 2)
    assert report["ignored_examples"]["consent"] == {"forse": 1, "??": 1}


def test_whoever_imports_says_what_a_word_means(ritorno: Ritorno) -> None:
    words = ("--yes-word", "FORSE", "--unsubscribed-word", "??")
    said = told(ritorno, TWO_UNREAD, *words)
    assert [(event["subject"], event["type"]) for event in said] == [
        ("1", "list.subscribed"), ("2", "list.subscribed"), ("3", "list.unsubscribed"),
    ]  # fmt: skip
    done = try_out(ritorno, TWO_UNREAD, *words)
    assert "can't be read" not in done.err
    both = try_out(ritorno, TWO_UNREAD, "--yes-word", "ok", "--unsubscribed-word", "OK")
    assert both.code == 2
    assert "'ok' can't be --yes-word and --unsubscribed-word at once" in both.err


@pytest.mark.parametrize(
    ("said", "left", "expected"),
    [("sì", "", "list.subscribed"), ("sì", "01/01/2026", "list.subscribed"),
     ("sì", "05/02/2026", "list.unsubscribed"), ("sì", "ieri", "list.unsubscribed"),
     ("", "ieri", "list.unsubscribed"), ("boh", "05/02/2026", "list.unsubscribed"),
     ("", "no", None), ("no", "0000-00-00", None), ("", "-", None)],
)  # fmt: skip
def test_an_objection_is_not_lost_with_its_time(
    ritorno: Ritorno, said: str, left: str, expected: str | None
) -> None:
    lines = [f"{HEAD};Data disiscrizione", f"1;anna@example.it;{said};01/02/2026;{left}"]
    assert [event["type"] for event in told(ritorno, lines)] == ([expected] if expected else [])


def test_who_is_in_two_lines_is_one_customer(ritorno: Ritorno) -> None:
    lines = [*TWO_UNREAD, ANNA, ";anna@example.it;sì;01/02/2026"]
    report = try_out(ritorno, lines, "--json").json[0]
    assert {name: report[name] for name in ("lines", "applied", "customers", "agreed")} == {
        "lines": 6, "applied": 6, "customers": 4, "agreed": 1,
    }  # fmt: skip
    done = try_out(ritorno, lines)
    assert "customers          4    2 lines more about somebody who is among them" in done.out


def test_a_guest_is_the_customer_with_that_address() -> None:
    persons, guest = Persons(), guest_key("anna@example.it")
    persons.add(Subject(guest, guest))
    assert persons.count() == 1
    persons.add(Subject("1", guest))
    persons.add(Subject("1", None))
    assert persons.count() == 1
    persons.add(Subject("2", guest))  # an address of two
    assert persons.count() == 2


@pytest.mark.parametrize(
    ("header", "consent", "time"),
    [("Email;Newsletter;Data iscrizione", "Newsletter", "Data iscrizione"),
     ("Email;Iscritto alla newsletter;Data iscrizione newsletter",
      "Iscritto alla newsletter", "Data iscrizione newsletter"),
     ("Email;Consenso marketing;Data consenso", "Consenso marketing", "Data consenso"),
     ("Email;Accepts Marketing;Consent date", "Accepts Marketing", "Consent date"),
     ("Email;Newsletter subscription;Subscribed at", "Newsletter subscription", "Subscribed at"),
     ("Email;Consenso marketing;Data iscrizione", "Consenso marketing", None),
     ("Email;Data iscrizione", None, None),
     ("Email;Newsletter;Consenso marketing", None, None),
     ("Email;Consenso;Optin;Privacy;Iscritto", None, None)],
)  # fmt: skip
def test_only_what_can_mean_nothing_else_is_guessed(
    header: str, consent: str | None, time: str | None
) -> None:
    found = guess(header.split(";"), {})
    assert found["email"] == "Email"
    assert (found.get("consent"), found.get("consent_time")) == (consent, time)


def test_a_guess_of_consent_is_said_and_can_be_taken_back(ritorno: Ritorno) -> None:
    done = try_out(ritorno, TWO_UNREAD)
    assert "is known by Newsletter, when that was said by Data iscrizione" in done.err
    assert "--map consent=- to read none" in done.err
    report = try_out(ritorno, TWO_UNREAD, "--json", "--map", "consent=-").json[0]
    assert (report["agreed"], report["consent_unread"]) == (0, 0)
    [column] = [each for each in report["columns"] if each["column"] == "Newsletter"]
    assert column == {
        "column": "Newsletter", "read_as": None, "filled": 4, "looks_like_consent": True,
        "values": {"sì": 1, "forse": 1, "??": 1, "no": 1},
    }  # fmt: skip


def test_columns_that_look_like_consent_and_are_not_read_are_told(ritorno: Ritorno) -> None:
    lines = [
        "Email;Consenso;Iscritto alla newsletter;Consenso marketing;Attivo;Sesso;Note;Vuota",
        "anna@example.it;x;subscribed;sì;1;f;chiama il mattino;",
        "bruno@example.it;;unsubscribed;no;0;m;;",
    ]
    done = try_out(ritorno, lines)
    assert done.code == 0
    assert (
        "not read, and looks like consent: Consenso ('x' 1×),\n"
        "  Iscritto alla newsletter ('subscribed' 1×, 'unsubscribed' 1×),\n"
        "  Consenso marketing ('sì' 1×, 'no' 1×)\n"
        "  nothing is concluded of it; where it says who has agreed: --map consent=Consenso\n"
    ) in done.err
    assert "have agreed        0" in done.out
    time = try_out(ritorno, ["Email;Newsletter;Iscrizione il", "a@example.it;sì;01/02/2026"])
    assert "where it says when somebody agreed: --map consent_time='Iscrizione il'" in time.err
    assert "agreed, but not when: left out" in time.out


def test_in_a_file_of_orders_they_are_told_as_well(ritorno: Ritorno) -> None:
    Path("ordini.csv").write_text(
        "order_id,customer_id,time,total,Accepts Marketing,Regalo\n1,c-1,2026-03-01,10.00,yes,no\n"
    )
    done = ritorno("import", "ordini.csv", "--dry-run")
    assert (
        "not read, and looks like consent: Accepts Marketing ('yes' 1×)\n"
        "  an order is none: import who has agreed, and when, by --what customers"
    ) in done.err


def test_values_that_cannot_be_used_are_shown(ritorno: Ritorno) -> None:
    lines = ["id;Email;Data di nascita", "1;anna@example.it;31/02/1980", "2;nessuna;1980-05-17"]
    done = try_out(ritorno, lines, "--map", "customer_id=id")
    assert "an unusable birthday was left out in 1 line: '31/02/1980' 1×; the rest" in done.err
    assert "an unusable email was left out in 1 line: 'nessuna' 1×; the rest" in done.err


def test_customers_without_the_option_are_told_of_it(ritorno: Ritorno) -> None:
    Path("clienti.csv").write_text(f"{HEAD}\n{ANNA}\n")
    done = ritorno("import", "clienti.csv", "--dry-run")
    assert done.code == 2
    assert "If its rows are customers and not orders: --what customers" in done.err
    Path("altro.csv").write_text("a,b\n1,2\n")
    assert "--what" not in ritorno("import", "altro.csv").err


def test_what_the_heads_are_of_is_said_when_the_option_says_otherwise(ritorno: Ritorno) -> None:
    Path("k.csv").write_text("Email,Klaviyo ID\nanna@example.it,01H\n")
    done = ritorno("import", "k.csv", "--dry-run", "--what", "orders")
    assert "the heads are those of Klaviyo profiles: --what customers?" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [("SÌ", "subscribed"), ("si'", "subscribed"), ("Sì", "subscribed"), ("S", "subscribed"),
     ("1", "subscribed"), ("SUBSCRIBED", "subscribed"), ("N", "never"), ("0", "never"),
     ("NEVER_SUBSCRIBED", "never"), ("pending", "never"), ("Opted  Out", "unsubscribed"),
     ("cleaned", "bounced"), ("", ""), ("  ", ""), ("forse", None), ("sì, credo", None)],
)  # fmt: skip
def test_words_of_consent(text: str, said: str | None) -> None:
    assert read_consent(text) == said


def test_answers_are_told_from_numbers_and_states() -> None:
    assert are_answers(["sì", "no"])
    assert are_answers(["1", "FALSE"])
    for others in (["0", "1"], ["S", "N"], ["active", "pending"], ["sì", "Milano"], ["x"]):
        assert not are_answers(others)
