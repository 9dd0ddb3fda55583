"""Shops that behave as the reference says: paging, throttling, signed webhooks, retries, switching
off. Real servers on the loopback; nothing in them waits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from schemas.instant import parse_instant
from tests.connect.shapes import SHOP, Shape
from tests.harness import START


def written(resource: Shape) -> bytes:
    """Return a body as PHP writes it: with escaped slashes."""
    return json.dumps(resource).replace("/", "\\/").encode()


class Standin:
    """What both shops have."""

    def __init__(self) -> None:
        self.refusals: deque[tuple[int, dict[str, str]]] = deque()
        """Answered to the next requests instead of what they ask for."""
        self.says: str | None = None
        """What it answers, with status 200, in the place of every list."""
        self.asked: list[str] = []
        """Paths with their queries."""
        self.url = ""
        self.now = START + 3_600_000
        """Of its clock, ms."""
        self.hooks: list[Shape] = []
        self.application = web.Application(middlewares=[self._middleware])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Standin]:
        server = TestServer(self.application)
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    def is_allowed(self, request: web.Request) -> bool:
        raise NotImplementedError

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if not self.is_allowed(request):
            return web.json_response({"errors": "[API] Invalid API key"}, status=401)
        if self.refusals:
            status, headers = self.refusals.popleft()
            return web.Response(status=status, headers=headers, text="<html>busy</html>")
        if self.says is not None and not request.path.endswith("count.json"):
            return web.Response(text=self.says)
        answer: web.StreamResponse = await handler(request)
        answer.headers["Date"] = formatdate(self.now / 1000, usegmt=True)
        return answer


class ShopifyStandin(Standin):
    """A Shopify shop with its Admin API."""

    def __init__(self, secret: str = "s3cret", token: str = "shpat_x") -> None:
        super().__init__()
        self.secret, self.token = secret, token
        self.rows: dict[str, list[Shape]] = {"orders": [], "customers": [], "products": []}
        self.scopes = ["read_orders", "read_all_orders", "read_customers", "write_products"]
        self.failed: dict[str, int] = {}
        admin, router = "/admin/api/2025-10", self.application.router
        for name in self.rows:
            router.add_get(f"{admin}/{name}.json", self._list)
            router.add_get(f"{admin}/{name}/count.json", self._count)
        router.add_get(f"{admin}/orders/{{id}}.json", self._order)
        router.add_get(f"{admin}/orders/{{id}}/transactions.json", self._transactions)
        self.transactions: dict[str, list[Shape]] = {}
        router.add_get(f"{admin}/webhooks.json", self._webhooks)
        router.add_post(f"{admin}/webhooks.json", self._subscribe)
        router.add_get("/admin/oauth/access_scopes.json", self._scopes)

    def is_allowed(self, request: web.Request) -> bool:
        return request.headers.get("X-Shopify-Access-Token") == self.token

    async def _list(self, request: web.Request) -> web.Response:
        """Page by `Link`: the next page's address has nothing but `page_info` and `limit`."""
        name = request.path.rpartition("/")[2].removesuffix(".json")
        info = request.query.get("page_info")
        query: dict[str, str] = json.loads(base64.b64decode(info)) if info else dict(request.query)
        limit, start = int(request.query.get("limit", "50")), int(query.pop("_start", "0"))
        assert limit <= 250
        rows = self.rows[name]
        if name == "orders" and query.get("status") != "any":
            rows = [each for each in rows if not each.get("cancelled_at")]
        if since := query.get("updated_at_min"):
            least = parse_instant(since)
            rows = [each for each in rows if parse_instant(each["updated_at"]) >= least]
            rows = sorted(rows, key=lambda each: parse_instant(each["updated_at"]))
        if (since_id := query.get("since_id")) is not None:
            rows = sorted((each for each in rows if each["id"] > int(since_id)), key=_id)
        page, headers = rows[start : start + limit], {}
        if start + limit < len(rows):
            token = base64.b64encode(json.dumps({**query, "_start": str(start + limit)}).encode())
            link = f"{self.url}{request.path}?limit={limit}&page_info={token.decode()}"
            headers["Link"] = f'<{self.url}/x>; rel="previous", <{link}>; rel="next"'
        return web.json_response({name: page}, headers=headers)

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"count": len(self.rows[request.path.split("/")[-2]])})

    async def _order(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        found = next((each for each in self.rows["orders"] if str(each["id"]) == wanted), None)
        if found is None:
            return web.json_response({"errors": "Not Found"}, status=404)
        return web.json_response({"order": found})

    async def _transactions(self, request: web.Request) -> web.Response:
        found = self.transactions.get(request.match_info["id"])
        if found is None:
            return web.json_response({"errors": "Not Found"}, status=404)
        return web.json_response({"transactions": found})

    async def _webhooks(self, _request: web.Request) -> web.Response:
        return web.json_response({"webhooks": self.hooks})

    async def _subscribe(self, request: web.Request) -> web.Response:
        hook = (await request.json())["webhook"]
        known = {(each["topic"], each["address"]) for each in self.hooks}
        if (hook["topic"], hook["address"]) in known:
            taken = {"errors": {"address": ["for this topic has already been taken"]}}
            return web.json_response(taken, status=422)
        self.hooks.append({"id": len(self.hooks) + 1, **hook})
        return web.json_response({"webhook": hook}, status=201)

    async def _scopes(self, _request: web.Request) -> web.Response:
        return web.json_response({"access_scopes": [{"handle": each} for each in self.scopes]})

    def headers(self, topic: str, body: bytes, *, secret: str = "") -> dict[str, str]:
        """Return the headers of a webhook, with names as old samples print them."""
        digest = hmac.new((secret or self.secret).encode(), body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
            "X-Shopify-Shop-Domain": SHOP,
            "X-Shopify-API-Version": "2025-10",
            "X-Shopify-Webhook-Id": hashlib.md5(body).hexdigest(),
        }

    async def send(self, session: ClientSession, url: str, topic: str, resource: Shape) -> int:
        """Send a webhook until it is taken, at most nine times; one that never is costs its
        subscription. Return the last status."""
        body, status = written(resource), 0
        for _ in range(9):
            async with session.post(url, data=body, headers=self.headers(topic, body)) as answer:
                status = answer.status
            if 200 <= status < 300:
                return status
        self.hooks = [each for each in self.hooks if each["topic"] != topic]
        return status


class WooStandin(Standin):
    """A WooCommerce shop with its REST API."""

    def __init__(self, secret: str = "a&b", key: str = "ck_1", consumer: str = "cs_1") -> None:
        super().__init__()
        self.secret, self.key, self.consumer = secret, key, consumer
        self.rows: dict[str, list[Shape]] = {"orders": [], "customers": [], "products": []}
        self.refunds: dict[str, list[Shape]] = {}
        self.pings: list[int] = []
        self.after_page: dict[tuple[str, int], Any] = {}
        """Called once a page of that resource and number was given."""
        self.counts_pages = True
        """Whether the headers with how many there are come through."""
        root, router = "/wp-json/wc/v3", self.application.router
        for name in self.rows:
            router.add_get(f"{root}/{name}", self._list)
        router.add_get(f"{root}/orders/{{id}}/refunds", self._refunds)
        router.add_get(f"{root}/webhooks", self._webhooks)
        router.add_post(f"{root}/webhooks", self._subscribe)
        router.add_put(f"{root}/webhooks/{{id}}", self._change)

    def is_allowed(self, request: web.Request) -> bool:
        basic = base64.b64encode(f"{self.key}:{self.consumer}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {basic}"

    async def _list(self, request: web.Request) -> web.Response:
        name, query = request.path.rpartition("/")[2], request.query
        rows = list(self.rows[name])
        field = {"modified": "date_modified_gmt", "date": "date_created_gmt"}.get(
            query.get("orderby", ""), "date_created_gmt"
        )
        for parameter, of in (
            ("modified_after", "date_modified_gmt"),
            ("after", "date_created_gmt"),
        ):
            if after := query.get(parameter):
                assert query["dates_are_gmt"] == "true"
                rows = [each for each in rows if each[of] > after]
        rows.sort(key=lambda each: (each[field], each["id"]), reverse=query.get("order") == "desc")
        size, page = int(query.get("per_page", "10")), int(query.get("page", "1"))
        assert size <= 100
        headers = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(-(-len(rows) // size))}
        headers = headers if self.counts_pages else {}
        answer = web.json_response(rows[(page - 1) * size : page * size], headers=headers)
        if changed := self.after_page.pop((name, page), None):
            changed()
        return answer

    async def _refunds(self, request: web.Request) -> web.Response:
        return web.json_response(self.refunds.get(request.match_info["id"], []))

    async def _webhooks(self, request: web.Request) -> web.Response:
        return web.json_response(self.hooks, headers={"X-WP-TotalPages": "1"})

    async def _subscribe(self, request: web.Request) -> web.Response:
        """A webhook that is made active sends a ping first, and wants 200 for it."""
        hook = {"id": len(self.hooks) + 1, **await request.json()}
        async with (
            ClientSession() as session,
            session.post(hook["delivery_url"], data={"webhook_id": str(hook["id"])}) as answer,
        ):
            self.pings.append(answer.status)
            if answer.status != 200:
                return web.json_response({"message": "Delivery URL returned an error"}, status=400)
        self.hooks.append(hook)
        return web.json_response(hook, status=201)

    async def _change(self, request: web.Request) -> web.Response:
        hook = next(each for each in self.hooks if str(each["id"]) == request.match_info["id"])
        hook |= await request.json()
        return web.json_response(hook)

    def headers(self, topic: str, body: bytes, *, secret: str = "") -> dict[str, str]:
        """Return the headers of a webhook."""
        digest = hmac.new((secret or self.secret).encode(), body, hashlib.sha256).digest()
        resource, _, event = topic.partition(".")
        return {
            "Content-Type": "application/json",
            "User-Agent": "WooCommerce/9.0 Hookshot (WordPress/6.7)",
            "X-WC-Webhook-Source": "https://negozio.example.it/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-WC-Webhook-ID": "7",
            "X-WC-Webhook-Delivery-ID": hashlib.md5(body).hexdigest(),
        }

    async def send(self, session: ClientSession, url: str, topic: str, resource: Shape) -> int:
        """Send a webhook, once; the sixth failure in a row switches it off."""
        hook = next((each for each in self.hooks if each["topic"] == topic), {"status": "active"})
        if hook["status"] != "active":
            return 0
        body = written(resource)
        async with session.post(url, data=body, headers=self.headers(topic, body)) as answer:
            status = answer.status
        hook["failures"] = 0 if 200 <= status <= 302 else hook.get("failures", 0) + 1
        if hook["failures"] > 5:
            hook["status"] = "disabled"
        return status


def _id(row: Mapping[str, Any]) -> int:
    return int(row["id"])


def ids(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return the ids of rows."""
    return [_id(each) for each in rows]
