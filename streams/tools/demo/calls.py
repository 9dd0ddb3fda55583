"""What the demo's shop sends by HTTP, call by call, and in which postings that goes.

The shop has what shops have: pages, which send what visitors do there under a public key; a server,
which says as the shop what has been ordered and agreed to; an import of what was before; and a
plug-in of somebody else's, which speaks CloudEvents and makes mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.events import PAYLOADS
from schemas.instant import to_rfc3339
from schemas.segment import SEGMENT_NAMES

_NAMES: Mapping[str, str] = {type_: name for name, type_ in SEGMENT_NAMES.items()}

IN_PAGES = frozenset(
    {
        "page.viewed",
        "product.viewed",
        "product_list.viewed",
        "products.searched",
        "cart.product_added",
        "cart.product_removed",
        "checkout.started",
        "wishlist.added",
    }
)
"""What a page sees of its visitor; all else the shop's server knows."""

CALLS_AT_ONCE = 100
"""In one posting, as Segment's libraries for servers send at most; the plug-in sends each alone."""


class Sender(StrEnum):
    """Which of the shop's systems sends; what each is in the summary."""

    PAGES = "pages"
    SERVER = "server"
    IMPORT = "import"
    PLUGIN = "plugin"


class SentCall(NamedTuple):
    """One call, and when it is sent."""

    time: int
    """ms since the epoch."""
    sender: Sender
    person: str
    """Who it is about: two calls about the same one go one after the other."""
    body: Mapping[str, Any] | bytes
    """As JSON; of the plug-in what it posts."""


class Posting(NamedTuple):
    """Calls that go in one request."""

    sender: Sender
    calls: tuple[Mapping[str, Any] | bytes, ...]


def call(
    type_: str, id_: str, time: int, data: Mapping[str, Any], *, user: str = "", visitor: str = ""
) -> dict[str, Any]:
    """Return an event of ours as one of Segment's calls; `time` in ms. Raises ValidationError for
    data that no such event has."""
    PAYLOADS[type_].model_validate(dict(data))
    said: dict[str, Any] = {"messageId": id_, "timestamp": to_rfc3339(time)}
    if user:
        said["userId"] = user
    if visitor:
        said["anonymousId"] = visitor
    match type_:
        case "page.viewed":
            return {"type": "page", **said, "properties": dict(data)}
        case "customer.identified":
            return {"type": "identify", **said, "traits": dict(data)}
    return {"type": "track", "event": _NAMES[type_], **said, "properties": dict(data)}


def postings(calls: Iterable[SentCall]) -> Iterator[list[Posting]]:
    """Yield what goes out at the same moment: first one list, and when all of it is done the next.

    A person's calls stay in their order: whatever another system says of the same person goes in a
    later list. A visitor's browser sends its own, the server everybody's together.
    """
    lists: dict[int, dict[tuple[Sender, str], list[Mapping[str, Any] | bytes]]] = {}
    reached: dict[str, int] = {}
    for each in calls:
        number = reached.get(each.person, 0)
        if number % 2 == (each.sender is Sender.PAGES):  # pages have the even ones
            number += 1
        reached[each.person] = number
        whose = each.person if each.sender is Sender.PAGES else ""
        lists.setdefault(number, {}).setdefault((each.sender, whose), []).append(each.body)
    for number in sorted(lists):
        yield [
            Posting(sender, tuple(bodies[start : start + _at_once(sender)]))
            for (sender, _), bodies in lists[number].items()
            for start in range(0, len(bodies), _at_once(sender))
        ]


def _at_once(sender: Sender) -> int:
    return 1 if sender is Sender.PLUGIN else CALLS_AT_ONCE
