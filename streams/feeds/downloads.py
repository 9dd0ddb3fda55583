"""Feeds at a URL: downloaded as they are, or page by page where a shop gives them so."""

from __future__ import annotations

import json
import zlib
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import BinaryIO

from yarl import URL

from streams.feeds.unpacking import UnpackedTooLarge, unpacked
from streams.http.fetching import Download, Fetcher, FetchFailed, FetchRefused, Validators

PAGE = 250
MAX_PAGES = 1_000
"""A quarter of a million products."""
MAX_TRIES = 5
DEFAULT_PAUSE, LONGEST_PAUSE = 2, 60
"""Seconds before a page is asked for again: where the shop does not say, and whatever it says."""
_TOO_MANY = frozenset({429, 430})
"""The second is Shopify's own."""


async def download(
    fetcher: Fetcher,
    url: str,
    into: BinaryIO,
    known: Validators,
    *,
    max_bytes: int,
    pause: Callable[[int], Awaitable[None]],
) -> Download:
    """Download a feed into a file, unless it is still as `known` says. `pause`: waits for seconds.

    Raises FetchError.
    """
    if not is_paged(url):
        return await fetcher.fetch(url, into, known)
    # That the first page has not changed says nothing of the others, so conditions are no use.
    size = 0
    for number in range(1, MAX_PAGES + 1):
        page = str(URL(url).update_query(limit=str(PAGE), page=str(number)))
        products = _products(await _page(fetcher, page, pause, max_bytes))
        for each in products:
            line = json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            size += len(line)
            if size > max_bytes:
                raise FetchRefused(f"the pages come to more than {max_bytes:,} bytes")
            into.write(line)
        if len(products) < PAGE:
            return Download(url, changed=True, size=size)
    raise FetchRefused(f"more than {MAX_PAGES} pages")


def is_paged(url: str) -> bool:
    """Whether it is a Shopify storefront's list, which comes by the page."""
    return URL(url).path.endswith("/products.json") and "page" not in URL(url).query


async def _page(
    fetcher: Fetcher, url: str, pause: Callable[[int], Awaitable[None]], max_bytes: int
) -> bytes:
    for _ in range(MAX_TRIES - 1):
        content = BytesIO()
        try:
            await fetcher.fetch(url, content)
        except FetchFailed as failed:
            if failed.status not in _TOO_MANY:
                raise
            seconds = DEFAULT_PAUSE if failed.retry_after is None else failed.retry_after
            await pause(min(seconds, LONGEST_PAUSE))
        else:
            return _plain(content, max_bytes)
    content = BytesIO()
    await fetcher.fetch(url, content)
    return _plain(content, max_bytes)


def _plain(content: BinaryIO, max_bytes: int) -> bytes:
    """Return a page unpacked. Raises FetchError."""
    content.seek(0)
    try:
        return unpacked(content, max_bytes).read()
    except UnpackedTooLarge as error:
        raise FetchRefused(f"a page: {error}") from None
    except (OSError, zlib.error) as error:
        raise FetchFailed(f"a page is no gzip: {error}") from None


def _products(page: bytes) -> list[object]:
    """Return the products of a page. Amounts stay as they are written."""
    try:
        products = json.loads(page, parse_float=str)["products"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FetchFailed("products.json holds no list of products") from None
    if not isinstance(products, list):
        raise FetchFailed("products.json holds no list of products")
    return products
