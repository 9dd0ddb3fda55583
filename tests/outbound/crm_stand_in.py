"""A CRM that pages, throttles, refuses and checks who asks, on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "pat-eu1-geheim"


@dataclass
class StandIn:
    """Objects with properties, a search that pages by `after`, and a batch upsert by e-mail."""

    deals: list[dict[str, Any]] = field(default_factory=list)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: list[tuple[int, str]] = field(default_factory=list)
    """Statuses of the next answers and their Retry-After."""
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2
    url: str = ""

    async def search(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.searches.append(asked)
        if refusal := self._refusal(request):
            return refusal
        (condition,) = asked["filterGroups"][0]["filters"]
        name, least = condition["propertyName"], int(condition["value"])
        found = [each for each in self.deals if int(each["properties"][name]) >= least]
        found.sort(key=lambda each: int(each["properties"][name]))
        begin = int(asked.get("after", 0))
        body: dict[str, Any] = {"results": found[begin : begin + self.page]}
        if begin + self.page < len(found):
            body["paging"] = {"next": {"after": str(begin + self.page)}}
        return web.json_response(body)

    async def upsert(self, request: web.Request) -> web.Response:
        inputs = (await request.json())["inputs"]
        self.batches.append(inputs)
        if refusal := self._refusal(request):
            return refusal
        assert len({each["id"] for each in inputs}) == len(inputs), "one contact twice in a batch"
        if any(not each["id"].endswith("example.it") for each in inputs):
            return web.json_response({"message": "INVALID_EMAIL"}, status=400)
        for each in inputs:
            assert each["idProperty"] == "email"
            self.contacts.setdefault(each["id"], {}).update(each["properties"])
        return web.json_response({"status": "COMPLETE", "results": []})

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if self.plan:
            status, wait = self.plan.pop(0)
            return web.Response(status=status, headers={"Retry-After": wait} if wait else {})
        return None


@asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    here = StandIn()
    app = web.Application()
    app.router.add_post("/crm/v3/objects/deals/search", here.search)
    app.router.add_post("/crm/v3/objects/contacts/batch/upsert", here.upsert)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    here.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]  # it listens
    try:
        yield here
    finally:
        await runner.cleanup()


def described(url: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "hub",
        "url": url,
        "private": True,
        "token": "env:CRM_TOKEN",
        "read": [
            {
                "name": "deals",
                "path": "/crm/v3/objects/deals/search",
                "changed": "hs_lastmodifieddate",
                "properties": ["dealstage", "ritorno_customer"],
                "event": "deal.stage_changed",
                "fact": ["object.id", "object.properties.dealstage"],
                "customer": "object.properties.ritorno_customer",
                "time": "object.properties.hs_lastmodifieddate",
                "data": {"stage": "object.properties.dealstage", "topic": "'Vendita'"},
            }
        ],
        "write": {
            "path": "/crm/v3/objects/contacts/batch/upsert",
            "per_second": 100,
            "map": [
                {"types": ["score.changed"],
                 "properties": {"ritorno_score": "data.value", "ritorno_band": "data.band"}},
                {"types": ["segment.changed"], "when": 'data.segment == "vip"',
                 "properties": {"ritorno_vip": 'data.change == "entered"'}},
                {"types": ["sales.alert"], "properties": {"ritorno_alert": "data.message.it"}},
            ],
        },
        **more,
    }  # fmt: skip


def deal(id_: str, stage: str, changed: int, customer: str | None = "anna") -> dict[str, Any]:
    properties = {"dealstage": stage, "hs_lastmodifieddate": str(changed)}
    if customer is not None:
        properties["ritorno_customer"] = customer
    return {"id": id_, "properties": properties}
