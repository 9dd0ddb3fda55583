"""`ritorno backup` and `ritorno restore`."""

from __future__ import annotations

from pathlib import Path

from tests.tools.cli.conftest import Ritorno


def test_the_commands(ritorno: Ritorno, tmp_path: Path) -> None:
    assert ritorno("topics", "create").code == 0
    kept = ritorno("topics", "list", "--json").json
    saved = ritorno("backup", str(tmp_path / "saved"))
    assert (saved.code, saved.err) == (0, "")
    assert "customer-events" in saved.out and "copied: the log as it was at 2" in saved.out
    again = ritorno("backup", str(tmp_path / "saved"))
    assert again.code == 1 and "each backup has a directory of its own" in again.err
    elsewhere = ("--data-dir", str(tmp_path / "elsewhere"))
    back = ritorno(*elsewhere, "restore", str(tmp_path / "saved"), "--json")
    assert back.json[0]["records"]["workflows"] > 0
    assert ritorno(*elsewhere, "topics", "list", "--json").json == kept
    live = ritorno(*elsewhere, "workflows", "publish")
    assert "nothing" in live.out.lower() or live.code == 0, "its key has come along"
    (tmp_path / "elsewhere" / "state").mkdir()
    refused = ritorno(*elsewhere, "restore", str(tmp_path / "saved"))
    assert refused.code == 2 and "move it away first" in refused.err
