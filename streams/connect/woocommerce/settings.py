"""A connection to a WooCommerce shop."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from schemas.secret_reference import SecretReference
from streams.connect.connection import HttpsUrl, OptionalHttpsUrl, Secrets, ShopConnection


class WooCommerceConnection(ShopConnection):
    """Secret of the webhooks; with a REST key the shop can be asked."""

    kind: Literal["woocommerce"]
    url: HttpsUrl
    """Where the shop is: `https://negozio.example.it`, or with the path of its WordPress."""
    secret: Secrets
    """Of its webhooks, the same for all of them."""
    consumer_key: SecretReference | None = None
    consumer_secret: SecretReference | None = None
    """A REST key (WooCommerce → Settings → Advanced → REST API): read is enough for polls and
    back-fills, `setup` and `check` have to write as well. Without one webhooks are taken, and what
    one has missed is lost: WooCommerce sends nothing twice."""
    api_url: OptionalHttpsUrl = ""
    """Instead of the shop's own address."""
    on_hold_counts: bool = False
    """An order that waits for a bank transfer (`on-hold`) counts already."""
    completed_is_shipped: bool = True
    """Core has no parcels, and most shops set an order to `completed` when they send it."""
    consent_meta: str = Field(default="", max_length=100)
    """Field of orders and customers in which a plugin notes that the newsletter was ticked."""
    newsletter: str = Field(default="newsletter", min_length=1, max_length=100)
    """The list that it is about."""
    single_opt_in_counts: bool = False
    """That tick is consent. Without it the customer is on the list, and is asked to confirm where a
    workflow does so."""
    anonymous_meta: str = Field(default="_ritorno_anonymous_id", max_length=100)
    """Field of orders in which the shop's page puts the browser's id."""

    @property
    def host(self) -> str:
        """The shop's host, with the path of its WordPress where it has one."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}".lower()
