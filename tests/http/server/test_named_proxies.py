"""Whose request it is."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from streams.http.server.proxies import NamedProxies

OURS = NamedProxies(["127.0.0.1", "10.1.0.0/16", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address", "told"),
    [
        ("127.0.0.1", [], "127.0.0.1", None),
        ("127.0.0.1", ["192.0.2.7"], "192.0.2.7", "192.0.2.7"),
        # What comes before our proxy's word is hearsay.
        ("127.0.0.1", ["198.51.100.1, 192.0.2.7"], "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", ["198.51.100.1", "192.0.2.7"], "192.0.2.7", "192.0.2.7"),
        # A proxy of ours before another one.
        ("127.0.0.1", ["198.51.100.1, 192.0.2.7, 10.1.2.3"], "192.0.2.7", "192.0.2.7"),
        ("10.1.2.3", ["10.1.9.9"], "10.1.9.9", "10.1.9.9"),
        # Nobody vouches for it.
        ("10.2.0.1", ["192.0.2.7"], "10.2.0.1", None),
        ("192.0.2.66", ["192.0.2.7"], "192.0.2.66", None),
        ("127.0.0.1", ["<script>"], "127.0.0.1", None),
        ("127.0.0.1", ["192.0.2.7, "], "127.0.0.1", None),
        # Whoever has one address of a network has them all.
        ("2001:db8:1::5", ["2001:db8:9:1:2:3:4:5"], "2001:db8:9:1:2:3:4:5", "2001:db8:9:1::/64"),
        ("::ffff:127.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7", "192.0.2.7"),
    ],
)
def test_named_proxies_are_believed_and_nobody_else(
    peer: str, forwarded: list[str], address: str, told: str | None
) -> None:
    headers = CIMultiDict([("X-Forwarded-For", each) for each in forwarded])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    assert OURS.address(request) == address
    assert OURS.told(request) == told
