"""The admin port answers, says why it isn't ready, and says clearly why it can't be opened."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.http import readiness
from streams.http.admin import AdminError, AdminServer
from streams.http.readiness import Check, PatientCheck, Readiness, log_reachable
from streams.log import LogUnavailable
from streams.operate.metrics import Metrics
from streams.settings.values import Address


async def ready() -> Readiness:
    return Readiness(True, "8 of 8 partitions open")


async def not_ready() -> Readiness:
    return Readiness(False, "2 of 8 partitions open")


async def broken() -> Readiness:
    raise RuntimeError("no idea")


def server(**checks: Check) -> AdminServer:
    return AdminServer(bind=Address("127.0.0.1", 0), registry=Metrics().registry, checks=checks)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_metrics_health_and_readiness(http: aiohttp.ClientSession) -> None:
    running = server(partitions=ready)
    await running.start()
    url = f"http://{running.address}"
    async with http.get(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        names = {f.name for f in text_string_to_metric_families(await answer.text())}
        assert "ritorno_build_info" in names
    async with http.get(f"{url}/healthz") as answer:
        assert answer.status == 200
    async with http.get(f"{url}/readyz") as answer:
        assert answer.status == 200
        assert (await answer.json())["checks"]["partitions"]["ready"] is True
    await running.stop()
    await running.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(f"{url}/healthz")


async def test_not_ready_says_which_check_and_why(http: aiohttp.ClientSession) -> None:
    async def hangs() -> Readiness:
        await asyncio.Event().wait()
        raise AssertionError

    running = server(partitions=not_ready, other=ready, broken=broken, hangs=hangs)
    await running.start()
    began = asyncio.get_running_loop().time()
    async with http.get(f"http://{running.address}/readyz") as answer:
        assert answer.status == 503
        checks = (await answer.json())["checks"]
    assert asyncio.get_running_loop().time() - began < 1
    assert checks["partitions"] == {"ready": False, "detail": "2 of 8 partitions open"}
    assert checks["other"]["ready"] is True
    assert "no idea" in checks["broken"]["detail"]
    assert checks["hangs"]["ready"] is False
    await running.stop()


class SlowBroker:
    """A check that answers when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.says = Readiness(True, "8 partitions")

    async def __call__(self) -> Readiness:
        self.asked += 1
        await self.may_answer.wait()
        return self.says


async def test_a_broker_that_is_away_is_asked_once_however_often_somebody_asks() -> None:
    broker = SlowBroker()
    check = PatientCheck(broker, seconds=0.01)
    answers = await asyncio.gather(*(check.answer() for _ in range(50)))
    assert {each.ready for each in answers} == {False}
    assert broker.asked == 1
    broker.may_answer.set()
    assert await check.answer() == Readiness(True, "8 partitions")
    await check.stop()


async def test_a_slow_answer_is_bridged_by_the_last_good_one_and_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = SlowBroker()
    broker.may_answer.set()
    check = PatientCheck(broker, seconds=0.01)
    assert (await check.answer()).ready
    broker.may_answer.clear()
    assert (await check.answer()).ready
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 0.0)
    assert not (await check.answer()).ready
    broker.says = Readiness(False, "refused")
    broker.may_answer.set()
    assert await check.answer() == Readiness(False, "refused")
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 60.0)
    broker.may_answer.clear()
    assert await check.answer() == Readiness(False, "refused"), "a no is bridged by no older yes"
    await check.stop()
    await check.stop()


async def test_an_unreachable_log_is_not_ready() -> None:
    class Away:
        async def offsets(self, _topic: str) -> None:
            raise LogUnavailable("the broker does not answer")

    check = log_reachable(Away(), "customer-events")  # type: ignore[arg-type]  # only what is asked
    assert await check() == Readiness(False, "the broker does not answer")


async def test_a_port_in_use_is_explained() -> None:
    first = server()
    await first.start()
    second = AdminServer(bind=first.address, registry=Metrics().registry, checks={})
    with pytest.raises(
        AdminError, match=r"RITORNO_ADMIN_BIND = 127\.0\.0\.1:\d+: port \d+ is taken"
    ):
        await second.start()
    await first.stop()


async def test_an_address_of_another_machine_is_explained() -> None:
    away = AdminServer(bind=Address("192.0.2.1", 9464), registry=Metrics().registry, checks={})
    with pytest.raises(AdminError, match="this machine has no address 192"):
        await away.start()
