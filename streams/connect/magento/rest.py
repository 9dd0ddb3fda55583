"""Magento's REST interface: searching.

Asked for a page past the end it gives the last page again (magento2#3787), so what ends a search is
`total_count` and never an empty page. Here each page is the first one of a search that begins where
the page before it ended (`streams/connect/keyset.py`), and the search is over when it has all that
was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from streams.connect.connector import ShopRefuses, ShopUnavailable
from streams.connect.json_fields import rows, whole
from streams.connect.keyset import Keyset
from streams.connect.shop_api import ShopApi

IDS_AT_ONCE = 100
"""In one condition `in`."""

PATHS = {
    "customers": "customers/search",
    "orders": "orders",
    "shipments": "shipments",
    "creditmemos": "creditmemos",
    "carts": "carts/search",
    "products": "products",
    "categories": "categories/list",
}
ID_FIELDS = {"customers": "id", "carts": "id", "products": "id", "categories": "id"}
"""What rows call it where it isn't `entity_id`, as filters always do."""


class SearchPage(NamedTuple):
    """A page of a search."""

    rows: list[dict[str, Any]]
    total: int
    """Of all that the search has found."""

    @property
    def has_more(self) -> bool:
        """Whether there is more than this page has."""
        return len(self.rows) < self.total


Condition = tuple[str, str, str]
"""Field, condition type, value."""


def criteria(conditions: Sequence[Condition], sort: Sequence[str], *, size: int) -> dict[str, str]:
    """Return the parameters of a search for what fulfils all conditions, sorted upwards."""
    query: dict[str, str] = {}
    for number, (field, kind, value) in enumerate(conditions):
        place = f"searchCriteria[filterGroups][{number}][filters][0]"
        query |= {
            f"{place}[field]": field,
            f"{place}[conditionType]": kind,
            f"{place}[value]": value,
        }
    for number, field in enumerate(sort):
        place = f"searchCriteria[sortOrders][{number}]"
        query |= {f"{place}[field]": field, f"{place}[direction]": "ASC"}
    query["searchCriteria[pageSize]"] = str(size)
    query["searchCriteria[currentPage]"] = "1"
    return query


def changed_criteria(keyset: Keyset, *, size: int) -> dict[str, str]:
    """Return the parameters of the next page of what was changed."""
    if keyset.above is None:
        span = [("updated_at", "gteq", keyset.since), ("updated_at", "lteq", keyset.until)]
        return criteria(span, ["updated_at", "entity_id"], size=size)
    second = [("updated_at", "eq", keyset.since), ("entity_id", "gt", str(keyset.above))]
    return criteria(second, ["entity_id"], size=size)


def history_criteria(above: int, *, size: int) -> dict[str, str]:
    """Return the parameters of the next page of all there is."""
    return criteria([("entity_id", "gt", str(above))], ["entity_id"], size=size)


class Rest:
    """One shop's REST interface."""

    def __init__(self, api: ShopApi) -> None:
        self._api = api
        self.refused: dict[str, str] = {}
        """What the token may not read, and how the shop has said so."""

    async def search(self, resource: str, query: dict[str, str]) -> SearchPage:
        """Return what a search finds. Raises ShopUnavailable, ShopRefuses."""
        body = (await self._api.get(PATHS[resource], query)).body
        if not isinstance(body, dict) or "total_count" not in body:
            # The shop's front page, or a page about an error: nothing was read, so nothing is past.
            raise ShopUnavailable(f"GET {PATHS[resource]}: the answer is no page of a search")
        found = rows(body, "items")
        return SearchPage(found, max(whole(body, "total_count"), len(found)))

    async def of(self, resource: str, field: str, ids: Iterable[int]) -> list[dict[str, Any]]:
        """Return the rows whose `field` is one of `ids`, some at a time; none where the token has
        no right. Raises ShopUnavailable."""
        wanted = sorted({each for each in ids if each > 0})
        found: list[dict[str, Any]] = []
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = wanted[start : start + IDS_AT_ONCE]
            in_these = [(field, "in", ",".join(map(str, some)))]
            # Bounded by what was asked for: each id is in one row, each order in few.
            query = criteria(in_these, [], size=len(some))
            try:
                found += (await self.search(resource, query)).rows
            except ShopRefuses as error:
                self.refused[resource] = str(error)
                return found
        self.refused.pop(resource, None)
        return found

    async def store_configs(self) -> list[dict[str, Any]]:
        """Return the shop's store views; none where the token has no right. Raises
        ShopUnavailable."""
        try:
            answer = await self._api.get("store/storeConfigs")
        except ShopRefuses as error:
            self.refused["storeConfigs"] = str(error)
            return []
        self.refused.pop("storeConfigs", None)
        if not isinstance(answer.body, list | dict):
            raise ShopUnavailable("GET store/storeConfigs: the answer is no list of store views")
        return rows(answer.body)
