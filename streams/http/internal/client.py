"""Asking the owner of a partition what it keeps; who gets no answer reads the log instead."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlencode

from streams.clock import Clock, SystemClock
from streams.http.internal.owners import Owners
from streams.http.internal.signing import HEADER, RequestSigner, Unsigned
from streams.log import Log, OnProgress, no_progress
from streams.logging import get_logger
from streams.partitioner import partition_of
from streams.runtime.transports.assigned_partition import PartitionHealth
from streams.runtime.transports.batch import TopicPartition
from streams.settings.values import Address
from streams.topology import CUSTOMER_EVENTS

SECONDS = 1.5
"""For which a kept record is waited: an owner answers in milliseconds or is gone, and who asks for
a page waits for four seconds in all."""

RECORDS_SECONDS = 15.0
"""For which one answer about places is waited. The owner gives one after two seconds, and later
where it has other work."""

MOST_BYTES = 2 * 1024 * 1024
"""Of an answer: a kept record is less than half a megabyte, 20,000 places in each of four
partitions are less than one."""

AT_ONCE = 4
"""Requests under way from one process; each has a thread."""

ROUNDS = 60
"""Times that an index which isn't ready is asked again, two seconds each."""

_log = get_logger(__name__)


class NoAnswer(Exception):
    """Nobody answers for this partition; the text says why."""


class _Answer(NamedTuple):
    status: int
    body: bytes


class Lookups:
    """Asks the owners."""

    def __init__(
        self, log: Log, owners: Owners, signer: RequestSigner, clock: Clock | None = None
    ) -> None:
        """`clock` is the machine's; signatures hold for a minute of it."""
        self._log = log
        self._owners = owners
        self._signer = signer
        self._clock = clock or SystemClock()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def record(self, key: bytes) -> bytes | None:
        """Return what is kept under `key`, None for nothing. Raises NoAnswer, LogError."""
        answer = await self._ask_owner(key, "/customer", {"key": key.decode()}, SECONDS)
        return None if answer.status == 404 else answer.body

    async def record_offsets(
        self, topic: str, key: bytes, on_progress: OnProgress = no_progress
    ) -> dict[int, list[int]]:
        """Return the offsets of a person's records in a topic, by partition.

        Waits while the owner still reads, and tells `on_progress` how far it is. Raises NoAnswer,
        LogError.
        """
        for _ in range(ROUNDS):
            query = {"topic": topic, "key": key.decode()}
            answer = await self._ask_owner(key, "/places", query, RECORDS_SECONDS)
            if answer.status not in (200, 202):
                break
            found = json.loads(answer.body)
            if answer.status == 200:
                return {int(number): offsets for number, offsets in found["places"].items()}
            on_progress(found["done"], found["of"])
        raise NoAnswer("the worker's index of places doesn't get ready")

    async def health(self) -> dict[TopicPartition, PartitionHealth]:
        """Return how partitions fare, of all workers that answer. Raises NoAnswer when none does,
        LogError."""
        found: dict[TopicPartition, PartitionHealth] = {}
        problems = []
        for address in sorted(await self._owners.all()):
            try:
                answer = await self._ask(address, "/partitions", SECONDS)
            except (OSError, TimeoutError, http.client.HTTPException, Unsigned) as error:
                problems.append(f"{address} does not answer: {error or type(error).__name__}")
                continue
            if answer.status == HTTPStatus.OK:
                for topic, partition, *health in json.loads(answer.body):
                    found[TopicPartition(topic, partition)] = PartitionHealth(*health)
            else:
                problems.append(f"{address} answers {answer.status}")
        if not found:
            raise NoAnswer("; ".join(problems) or "no worker tells where it can be asked")
        return found

    async def prepare(self, address: Address, partitions: Iterable[int], max_wait: float) -> bool:
        """Have a worker get partitions ready that it will be given, and wait for it; return False
        when it leaves itself. Raises NoAnswer."""
        numbers = ",".join(map(str, partitions))
        try:
            answer = await self._ask(address, f"/prepare?partitions={numbers}", max_wait)
        except (OSError, TimeoutError, http.client.HTTPException, Unsigned) as error:
            raise NoAnswer(f"it does not answer: {error or type(error).__name__}") from None
        if answer.status not in (HTTPStatus.OK, HTTPStatus.GONE):
            raise NoAnswer(f"it answers {answer.status}")
        return answer.status == HTTPStatus.OK

    async def _ask_owner(
        self, key: bytes, path: str, query: Mapping[str, str], max_wait: float
    ) -> _Answer:
        partition = partition_of(key, await self._log.partitions(CUSTOMER_EVENTS))
        problem = "no worker tells where it can be asked"
        for _ in range(2):  # again when the owner has changed since it was looked up
            address = await self._owners.owner(partition)
            if address is None:
                self._owners.forget()
                continue
            try:
                answer = await self._ask(address, f"{path}?{urlencode(query)}", max_wait)
            except (OSError, TimeoutError, http.client.HTTPException, Unsigned) as error:
                problem = f"{address} does not answer: {error or type(error).__name__}"
            else:
                if answer.status in (200, 202, 404):
                    return answer
                problem = f"{address} answers {answer.status}"
            self._owners.forget()
        raise NoAnswer(problem)

    async def _ask(self, address: Address, path: str, max_wait: float) -> _Answer:
        signature = self._signer.request(path, self._clock.now())
        async with self._room:
            answer, header = await asyncio.to_thread(_get, address, path, str(signature), max_wait)
        if answer.status == 401:  # by one that doesn't know our key, and so can't sign
            raise Unsigned("it has other keys (RITORNO_TOKEN_KEYS)")
        self._signer.check_answer(header, signature, answer.status, answer.body)
        return answer


def _get(address: Address, path: str, signature: str, max_wait: float) -> tuple[_Answer, str]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=max_wait)
    try:
        connection.request("GET", path, headers={HEADER: signature})
        response = connection.getresponse()
        body = response.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise http.client.HTTPException(f"an answer of more than {MOST_BYTES} bytes")
        return _Answer(response.status, body), response.getheader(HEADER, "")
    finally:
        connection.close()
