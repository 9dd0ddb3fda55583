"""The mailer killed a few times while mails go out; the long run is `make soak-mail`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.faults.mail_soak import MailSoak

pytestmark = pytest.mark.processes


async def test_every_class_gets_its_promise_over_kill_9() -> None:
    directory = Path(tempfile.mkdtemp(prefix="ritorno-soak-mail-"))
    run = MailSoak(directory, mails=300, kills=2, seed=7, say=print)
    tally = await run.go(patience=0)  # what waits for its next attempt may wait
    assert tally["transactional: mails"] == tally["marketing: mails"] == 100
    assert tally["webhooks"] > 0
    assert tally["refused by the server"] > 0
    shutil.rmtree(directory)  # kept when it fails: the worker's log is in it
