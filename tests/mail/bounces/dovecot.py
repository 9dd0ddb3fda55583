"""A real IMAP server: Debian's Dovecot, in the foreground, with everything in one directory."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from imaplib import IMAP4_SSL
from pathlib import Path
from ssl import create_default_context
from tempfile import TemporaryDirectory

from tests.ports import free_port
from tests.waiting import until

TLS = Path(__file__).parents[1] / "tls"
CERTIFICATE = TLS / "relay.pem"
PASSWORD = "segreta@e/mista"

CONFIGURATION = """
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
{users}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{certificates}/relay.pem
ssl_key = <{certificates}/relay.key
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = {owner} home={home}/mail
}}
mail_location = maildir:{home}/mail
first_valid_uid = 0
first_valid_gid = 0
namespace inbox {{
  inbox = yes
  mailbox Fatti {{
    auto = create
  }}
}}
"""


class Dovecot:
    """A running server with one mailbox."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.plain, self.tls = free_port(), free_port()

    def client(self) -> IMAP4_SSL:
        """Log in, as the person does who reads the mailbox too."""
        context = create_default_context(cafile=str(CERTIFICATE))
        client = IMAP4_SSL("localhost", self.tls, ssl_context=context, timeout=10)
        client.login("shop", PASSWORD)
        return client

    def deliver(self, *messages: bytes) -> None:
        """Put messages into the inbox."""
        with self.client() as client:
            for message in messages:
                client.append("INBOX", "", "", message.replace(b"\n", b"\r\n"))

    def empty(self) -> None:
        """Delete all messages."""
        with self.client() as client:
            for folder in ("INBOX", "Fatti"):
                _, found = client.select(folder)
                if found[0] != b"0":
                    client.store("1:*", "+FLAGS", r"(\Deleted)")
                    client.expunge()

    def count(self, folder: str, criterion: str) -> int:
        """Return how many messages of a folder are SEEN, UNSEEN…"""
        with self.client() as client:
            client.select(folder, readonly=True)
            _, found = client.search(None, criterion)
            return len((found[0] or b"").split())


def installed() -> bool:
    """Whether there is a Dovecot."""
    return shutil.which("dovecot") is not None


@contextmanager
def running() -> Iterator[Dovecot]:
    """Start a server and stop it."""
    # Not in pytest's directory, which nobody but its user may enter: Dovecot has users of its own.
    with TemporaryDirectory(prefix="dovecot-") as directory:
        Path(directory).chmod(0o755)
        with _started(Path(directory)) as server:
            yield server


@contextmanager
def _started(home: Path) -> Iterator[Dovecot]:
    server = Dovecot(home)
    (home / "mail").mkdir()
    (home / "run").mkdir()
    if os.geteuid() == 0:
        users = "default_internal_user = dovecot\ndefault_login_user = dovenull"
        owner = "uid=nobody gid=nogroup"
        shutil.chown(home / "mail", "nobody")
    else:
        me = getpass.getuser()
        users = f"default_internal_user = {me}\ndefault_login_user = {me}"
        owner = f"uid={os.getuid()} gid={os.getgid()}"
    configuration = home / "dovecot.conf"
    configuration.write_text(
        CONFIGURATION.format(home=home, users=users, owner=owner, plain=server.plain,
                             tls=server.tls, certificates=TLS, password=PASSWORD)
    )  # fmt: skip
    process = subprocess.Popen(
        ["dovecot", "-F", "-c", str(configuration)], stdout=sys.stderr, stderr=sys.stderr
    )
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(server: Dovecot, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, "it has ended"
        try:
            server.client().logout()
        except OSError:
            return False
        return True

    try:
        until(answers, "Dovecot answers", seconds=10)
    except AssertionError as error:
        log = server.home / "log"
        raise RuntimeError(log.read_text() if log.exists() else str(error)) from error
