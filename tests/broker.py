"""A real Kafka broker for the tests: Apache Kafka in KRaft mode from Maven's jars, without Docker.

The jars (44 MB) are fetched once into the user's cache. The broker listens in the clear, over TLS
and over TLS with a user and password or a token; one serves a whole test session. Who says no name
may do everything, and so may `KafkaBroker.username`; all others only what an ACL allows. Each test
uses topics and groups of its own; where it runs whole workers, whose topics have their names, those
are made anew.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.topology import topics
from tests.ports import free_port
from tests.waiting import listens, until

VERSION = "4.3.1"
REQUIRED = "RITORNO_REQUIRE_KAFKA"
HERE = Path(__file__).parent / "kafka"

START_SECONDS = 60
"""It takes 5 s on a quiet machine and 15 s after a kill with gigabytes of log."""

FETCH_SECONDS = 300

_PR_SET_PDEATHSIG = 1

_LAUNCHER = ThreadPoolExecutor(1, "broker-launcher")
"""The kernel ends the broker with the *thread* that started it, so that an interrupted test run
leaves none behind. This one lives as long as the process."""


class NoBroker(Exception):
    """A broker can't be run on this machine; the text says why."""


class KafkaBroker:
    """One broker with its data in a temporary directory."""

    username = "ritorno"
    password = "a secret of the tests"
    limited = ("shop-worker", "shop-operator", "shop-publisher")
    """Users (PLAIN, with the same password) who may do nothing that no ACL allows."""

    def __init__(self, jars: Path, directory: Path) -> None:
        self._jars = jars
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        ports = [free_port() for _ in range(4)]
        self.bootstrap, self.tls_bootstrap, self.sasl_bootstrap = (
            f"127.0.0.1:{port}" for port in ports[:3]
        )
        self._controller = f"127.0.0.1:{ports[3]}"
        self.ca_file = directory / "ca.pem"
        self.output = directory / "broker.log"
        self._properties = directory / "server.properties"
        self._make_certificate()
        self._properties.write_text(self._configuration())
        self._format()

    def start(self) -> None:
        """Start it and wait until it can be connected to. Only from the main thread."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it without waiting. Does nothing when it runs. From any thread."""
        if self._process is None:
            self._process = _LAUNCHER.submit(self._launch).result()

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [
                    *self._java(f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"),
                    *("kafka.Kafka", str(self._properties)),
                ],
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  only calls prctl, takes no lock
            )

    def wait_until_ready(self) -> None:
        """Wait until it can be connected to. From any thread."""
        port = int(self.bootstrap.rpartition(":")[2])

        def is_there() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise AssertionError("it has ended")
            return listens(port)

        try:
            until(is_there, "the broker listens", seconds=START_SECONDS)
        except AssertionError as error:
            said = self.output.read_text()[-4000:]
            raise RuntimeError(f"the broker did not start: {error}\n{said}") from None

    def stop(self) -> None:
        """Shut it down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with SIGKILL. Its log survives."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again on the same ports."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP), and return when each of its threads stands still."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._signal(number)
            self._signal(signal.SIGCONT)
            self._process.wait(START_SECONDS)
            self._process = None

    def _java(self, *options: str) -> list[str]:
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", *options, "-cp", f"{self._jars}/*"]

    def _format(self) -> None:
        scram = f"[name={self.username},password={self.password}]"
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        users = [f"SCRAM-SHA-256={scram}", f"SCRAM-SHA-512={scram}"]
        add_users = [argument for user in users for argument in ("--add-scram", user)]
        _run(
            *self._java(),
            "kafka.tools.StorageTool",
            # One random id in 64 begins with a hyphen; joined to its option it is no option itself.
            *("format", f"--cluster-id={cluster}", "-c", str(self._properties)),
            *add_users,
        )

    def _make_certificate(self) -> None:
        store = ["-keystore", str(self._directory / "broker.p12"), "-storepass", "keystore"]
        _run("keytool", "-genkeypair", "-alias", "broker", "-keyalg", "EC", "-validity", "30",
             "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-ext", "bc:c",
             "-storetype", "PKCS12", *store)  # fmt: skip
        _run("keytool", "-exportcert", "-alias", "broker", "-rfc", "-file", str(self.ca_file),
             *store)  # fmt: skip

    def _configuration(self) -> str:
        listeners = (
            f"PLAINTEXT://{self.bootstrap},TLS://{self.tls_bootstrap},SASL://{self.sasl_bootstrap}"
        )
        security = "org.apache.kafka.common.security"
        names = (self.username, *self.limited)
        users = " ".join(f'user_{name}="{self.password}"' for name in names)
        return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{self._controller}
listeners={listeners},CONTROLLER://{self._controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=\
PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASL:SASL_SSL
ssl.keystore.type=PKCS12
ssl.keystore.location={self._directory / "broker.p12"}
ssl.keystore.password=keystore
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config={security}.plain.PlainLoginModule required \
{users};
listener.name.sasl.scram-sha-256.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=\
{security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{self.username}
log.dirs={self._directory / "data"}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


@pytest.fixture(scope="session")
def kafka_broker(kafka_jars: Path) -> Iterator[KafkaBroker]:
    """A running broker. Who kills or pauses it must leave it running."""
    directory = Path(tempfile.mkdtemp(prefix="ritorno-kafka-"))
    broker = KafkaBroker(kafka_jars, directory)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def fresh_broker(kafka_broker: KafkaBroker) -> KafkaBroker:
    """The session's broker, on which no test before has left anything in our topics: they are gone,
    and with them what the group has committed."""
    await delete_topics(kafka_broker)
    return kafka_broker


async def delete_topics(broker: KafkaBroker) -> None:
    """Return when none of our topics is left."""
    names = {spec.name for spec in topics(1)}
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(START_SECONDS):
            while left := names & set(await admin.list_topics()):
                await admin.delete_topics(sorted(left))
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The directory of the broker's jars, fetched at need."""
    try:
        return jars()
    except NoBroker as error:
        return _unavailable(str(error))


def jars() -> Path:
    """Return the directory of the broker's jars, fetched at need. Raises NoBroker."""
    missing = [command for command in ("java", "mvn", "keytool") if shutil.which(command) is None]
    if missing:
        raise NoBroker(f"no {' and no '.join(missing)} on this machine")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "ritorno" / f"kafka-{VERSION}"
    if not directory.exists():
        try:
            _fetch_jars(directory)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoBroker(f"Maven could not fetch the broker's jars: {error}") from error
    return directory


def _unavailable(reason: str) -> Path:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {reason}")
    return pytest.skip(f"NOT TESTED ON REAL KAFKA: {reason}")


def _fetch_jars(jars: Path) -> None:
    jars.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when it is complete, so that an interrupted or a parallel run leaves no half of it.
    with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
        fetched = Path(scratch) / "jars"
        _run("mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={fetched}",
             limit=FETCH_SECONDS)  # fmt: skip
        if not jars.exists():
            fetched.rename(jars)


def _run(*command: str, limit: float = START_SECONDS) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode != 0:
        raise OSError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
