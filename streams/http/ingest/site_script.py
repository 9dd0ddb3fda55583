"""`GET /ritorno.js`: the script that a shop's pages load, for anybody and from anywhere.

`site/ritorno.js` is its source; `site/ritorno.min.js`, made of it by `make site-script`, is what is
served. `site/shopify_pixel.js` is pasted into Shopify's admin with an address and a key in it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from aiohttp import web

PATH = "/ritorno.js"

CACHE_SECONDS = 3_600
"""For which a browser asks no more; a page has a new version of it after that time."""

_SITE = Path(__file__).parent / "site"

_HEADERS = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": f"public, max-age={CACHE_SECONDS}, stale-while-revalidate=86400",
    # No page's secret, so any page may load it, also one that names its hash (`integrity`).
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def mount(router: web.UrlDispatcher) -> None:
    """Add its route."""
    router.add_get(PATH, _serve)


async def _serve(request: web.Request) -> web.Response:
    script = site_script()
    etag = hashlib.sha256(script).hexdigest()[:32]
    asked = request.if_none_match or ()
    if any(each.value in (etag, "*") for each in asked):
        response = web.Response(status=304, headers=_HEADERS)
    else:
        response = web.Response(body=script, headers=_HEADERS)
    response.etag = etag
    return response


@cache
def site_script() -> bytes:
    """Return what pages get."""
    return (_SITE / "ritorno.min.js").read_bytes()


def shopify_pixel(ingest_url: str, key: str) -> str:
    """Return Shopify's custom pixel for an ingest at `ingest_url`, with a public key."""
    text = (_SITE / "shopify_pixel.js").read_text(encoding="utf-8")
    endpoint = ingest_url.rstrip("/") + "/v1/batch"
    for name, value in (("__ENDPOINT__", endpoint), ("__KEY__", key)):
        text = text.replace(f'"{name}"', json.dumps(value))
    return text
