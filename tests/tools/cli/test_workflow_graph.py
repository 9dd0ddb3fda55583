"""`ritorno workflows graph`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tools.cli.conftest import Ritorno

SHIPPED = Path(__file__).parents[3] / "workflows"


def test_one_is_printed_and_all_are_written(ritorno: Ritorno) -> None:
    printed = ritorno("workflows", "graph", "w06-abandoned-cart-a", "--language", "en")
    assert printed.code == 0
    assert "flowchart TD" in printed.out
    assert "1 hour after the cart has changed" in printed.out
    by_file = ritorno("workflows", "graph", str(SHIPPED / "w06-abandoned-cart-a.yaml"))
    assert "1 ora dopo che il carrello è cambiato" in by_file.out
    assert ritorno("workflows", "graph", "w11-welcome", "-o", "welcome.svg").code == 0
    assert Path("welcome.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert ritorno("workflows", "graph", "--all", "-o", "all", "--format", "svg").code == 0
    drawn = {path.name for path in Path("all").iterdir()}
    assert {"w06-abandoned-cart-a.svg", "w10-cause-aware-cart.svg"} <= drawn
    assert len(drawn) == len(list(SHIPPED.glob("w*.yaml")))
    assert ritorno("workflows", "graph", "w05-thank-you", "-o", "all").code == 0
    assert (Path("all") / "w05-thank-you.mmd").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["w06-abandoned-cart"], "w06-abandoned-cart: no workflow of"),
        (["w06-abandoned-cart"], "did you mean w06-abandoned-cart-a?"),
        ([], "say which workflows, or --all"),
        (["w11-welcome", "--all"], "say which workflows, or --all"),
        (["--all"], "say which directory with -o DIR"),
        (["no.yaml"], "no.yaml: no such file"),
        ([str(SHIPPED / "policy.yaml")], "definition policy, not a workflow"),
        ([str(SHIPPED / "README.md")], "workflow files end in .yaml"),
        (["w11-welcome", "--format", "png"], "--format png: mermaid or svg"),
        (["w11-welcome", "--language", "xx"], "no language 'xx'; there are: "),
    ],
)
def test_mistakes_are_said(ritorno: Ritorno, arguments: list[str], expected: str) -> None:
    done = ritorno("workflows", "graph", *arguments)
    assert done.code == 2
    assert expected in done.err
    assert done.out == ""


def test_another_file_that_is_wrong_is_in_nobodys_way(ritorno: Ritorno) -> None:
    shutil.copy(SHIPPED / "w05-thank-you.yaml", "w05-thank-you.yaml")
    Path("broken.yaml").write_text("id: broken\nsteps: []\n")
    assert ritorno("workflows", "graph", "w05-thank-you.yaml").code == 0
    broken = ritorno("workflows", "graph", "broken.yaml")
    assert broken.code == 2
    assert "broken.yaml:2: steps" in broken.err
    assert "w05" not in broken.err
