"""PrestaShop's web service: lists of rows, by filters.

All values are texts, an empty list of rows is `[]` in the place of an object, and dates are
filtered only with `date=1`. A key has rights resource by resource: what it may not read that an
order can do without is left out, and `check` tells.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streams.connect.connector import ShopRefuses, ShopUnavailable
from streams.connect.json_fields import rows, text, whole
from streams.connect.shop_api import ShopApi

IDS_AT_ONCE = 250
"""In one filter: with nine digits each some 2.5 kB of an address, and servers take 8."""

NEEDED = ("orders", "customers", "order_states", "currencies", "languages", "order_slip")
"""Without these nothing can be read."""
USEFUL = ("configurations", "order_histories", "order_carriers", "carriers", "order_cart_rules",
          "cart_rules", "carts", "products", "categories", "stock_availables")  # fmt: skip


class WebService:
    """One shop's web service."""

    def __init__(self, api: ShopApi) -> None:
        self._api = api
        self.refused: dict[str, str] = {}
        """Resources that the key may not read, and how the shop has said so."""

    async def rows(self, resource: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the rows of a resource. Raises ShopUnavailable, ShopRefuses."""
        asked = {"output_format": "JSON", "display": "full", **query}
        body = (await self._api.get(resource, asked)).body
        if body == []:
            return []
        if not isinstance(body, dict) or resource not in body:
            # The shop's front page, or a page about an error: nothing was read, so nothing is past.
            raise ShopUnavailable(f"GET {resource}: the answer is no list of {resource}")
        return rows(body, resource)

    async def rows_if_allowed(
        self, resource: str, query: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """The same, nothing where the key has no right. Raises ShopUnavailable."""
        try:
            found = await self.rows(resource, query or {})
        except ShopRefuses as error:
            self.refused[resource] = str(error)
            return []
        self.refused.pop(resource, None)
        return found

    async def of(
        self, resource: str, field: str, ids: Iterable[int], *, display: str = "full"
    ) -> list[dict[str, Any]]:
        """Return the rows whose `field` is one of `ids`, some at a time. Raises ShopUnavailable."""
        wanted = sorted({each for each in ids if each > 0})
        found: list[dict[str, Any]] = []
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = wanted[start : start + IDS_AT_ONCE]
            query = {f"filter[{field}]": one_of(some), "display": display}
            found += await self.rows_if_allowed(resource, query)
        return found


def authorization(key: str) -> str:
    """Return how a key is shown: as the user, without a password."""
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def one_of(values: Sequence[object]) -> str:
    """Return the filter for any of some values."""
    return f"[{'|'.join(map(str, values))}]"


def between(first: str, last: str) -> str:
    """Return the filter for values from one to another, both included."""
    return f"[{first},{last}]"


def by_id(found: Iterable[Mapping[str, Any]], field: str = "id") -> dict[int, Mapping[str, Any]]:
    """Return rows by an id of theirs."""
    return {whole(row, field): row for row in found}


def groups(found: Iterable[Mapping[str, Any]], field: str) -> dict[int, list[Mapping[str, Any]]]:
    """Return rows by what they belong to."""
    grouped: dict[int, list[Mapping[str, Any]]] = {}
    for row in found:
        grouped.setdefault(whole(row, field), []).append(row)
    return grouped


def values(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the configuration by name."""
    return {text(row, "name"): text(row, "value") for row in found}
