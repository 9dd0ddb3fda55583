"""What other users of the machine could read or change is told, with what to do."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from streams.operate.check import CheckStatus
from streams.operate.file_modes import check_modes
from streams.settings import Settings


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """A directory, keys and files as they should be."""
    for name in ("data", "data/log", "workflows"):
        (tmp_path / name).mkdir(mode=0o700)
    for name in ("ritorno.toml", "dkim.pem", "data/signing-key", "password"):
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / "ritorno.toml").write_text(f'[kafka]\npassword_file = "{tmp_path}/password"\n')
    return Settings(
        data_dir=tmp_path / "data",
        workflows_dir=tmp_path / "workflows",
        mail_dkim_key_file=(tmp_path / "dkim.pem",),
    )


def test_what_is_closed_is_fine(here: Settings, tmp_path: Path) -> None:
    (tmp_path / "dkim.pem").chmod(0o440)  # a secret that Kubernetes mounts for a group
    (tmp_path / "workflows").chmod(0o755)  # no secret
    assert check_modes(here, tmp_path / "ritorno.toml").status is CheckStatus.OK
    assert check_modes(here, None).status is CheckStatus.OK


@pytest.mark.parametrize(
    ("name", "mode", "status", "text", "remedy"),
    [
        ("data", 0o755, "warn", "can be read by other users (drwxr-xr-x)", "chmod 700"),
        ("data", 0o770, "fail", "can be written by other users (drwxrwx---)", "chmod 700"),
        ("data/log", 0o711, "warn", "can be read by", "chmod 700"),
        ("data/signing-key", 0o604, "warn", "can be read by", "chmod 600"),
        ("ritorno.toml", 0o644, "warn", "can be read by other users (-rw-r--r--)", "chmod 640"),
        ("ritorno.toml", 0o666, "fail", "can be written by", "chmod 640"),
        ("password", 0o644, "warn", "can be read by other users (-rw-r--r--)", "chmod 640"),
        ("dkim.pem", 0o444, "warn", "can be read by", "chmod 440"),
        ("workflows", 0o777, "fail", "can be written by", "chmod 775"),
    ],
)
def test_what_is_open_is_told(
    here: Settings, tmp_path: Path, name: str, mode: int, status: str, text: str, remedy: str
) -> None:
    (tmp_path / name).chmod(mode)
    check = check_modes(here, tmp_path / "ritorno.toml")
    assert check.status == status
    assert check.text.startswith(f"{tmp_path / name} {text}")
    assert check.remedy == f"{remedy} {tmp_path / name}"


def test_what_belongs_to_somebody_else_is_told(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = (tmp_path / "data").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    check = check_modes(here, None)
    if owner:  # what is root's is nobody else's
        assert check.status is CheckStatus.FAIL
        assert f"belongs to another user ({owner})" in check.text
    else:
        assert check.status is CheckStatus.OK


def test_a_command_writes_for_its_user_alone(tmp_path: Path) -> None:
    """Whatever the umask of the shell is, also where the directory above is made on the way."""
    ritorno = Path(sys.executable).with_name("ritorno")
    done = subprocess.run(
        [ritorno, "--data-dir", "kept/data", "topics", "create"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
        umask=0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = list((tmp_path / "kept").rglob("*"))
    assert len(made) > 3
    for path in [tmp_path / "kept", *made]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
