"""Whether a program has opened a page, and no person: by the name that it gives itself.

Crawlers that run the script of a page send what it sends. The well-behaved ones say who they are,
and these are told apart here; their events are counted and go nowhere. What names itself a browser
is taken for one: a list of addresses or of habits would be wrong about people.

The words are those by which nearly all crawlers of the public list `monperrus/crawler-user-agents`
(MIT) can be known, and the libraries and headless browsers that call themselves so. A
Cubot is a telephone.
"""

from __future__ import annotations

import re
from functools import lru_cache

REMEMBERED = 4_096
"""Names: some 1 MB."""

_LONGEST = 400
"""Characters of a name that are looked at; browsers' have some 150."""

_BOTS = re.compile(
    r"(?<!cu)bot(?:\b|_)|crawl|spider|slurp|scrap(?:er|y)|archiv(?:er|e\.org)|fetcher|preview|unfurl|"
    r"facebookexternalhit|facebookcatalog|meta-external|WhatsApp|SkypeUri|Embedly|"
    r"HeadlessChrome|PhantomJS|Puppeteer|Playwright|Lighthouse|PageSpeed|GTmetrix|Pingdom|"
    r"Mediapartners|AdsBot|Google-(?:Read|Safety|Inspection|Extended|CloudVertex)|GoogleOther|"
    r"APIs-Google|BingPreview|Yahoo! |DuckDuckGo-|Baiduspider|YandexMobile|Yandex[A-Z]\w+|"
    r"Bytespider|GPTBot|ChatGPT|OAI-|anthropic-ai|Claude-|Perplexity|cohere-|Diffbot|ImagesiftBot|"
    r"SemrushBot|AhrefsBot|DataForSeo|Screaming Frog|Sitebulb|^curl/|^Wget|python-|aiohttp|httpx|"
    r"Go-http-client|^Java/|Apache-HttpClient|libwww|lwp-|PostmanRuntime|axios/|"
    r"node-fetch|undici|^Ruby|Faraday|GuzzleHttp|^PHP|monitor(?:ing|is)|uptime|statuscake",
    re.IGNORECASE,
)


@lru_cache(maxsize=REMEMBERED)
def is_bot(agent: str) -> bool:
    """Return whether who gives this name says that it is a program. No name at all may be an
    app's."""
    return bool(agent) and _BOTS.search(agent[:_LONGEST]) is not None
