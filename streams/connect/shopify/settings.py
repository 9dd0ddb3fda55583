"""A connection to a Shopify shop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.secret_reference import SecretReference
from schemas.written_form import Form
from streams.connect.connection import OptionalHttpsUrl, Secrets, ShopConnection


class ShopifyConnection(ShopConnection):
    """Secret of the app, or of the shop's own webhooks; with a token the shop can be asked."""

    kind: Literal["shopify"]
    shop: Annotated[
        str,
        Form(
            r"[a-z0-9][a-z0-9-]{0,62}\.myshopify\.com",
            "the shop's permanent name, such as negozio.myshopify.com",
        ),
    ]
    """`negozio.myshopify.com`, as webhooks name it."""
    secret: Secrets
    """The app's client secret, or the key that Settings → Notifications → Webhooks shows."""
    token: SecretReference | None = None
    """Admin API access token. Without one webhooks are taken and nothing is asked for: no polls, no
    back-fill, and no refunds but those that an order names."""
    api_version: Annotated[
        str, Form(r"20\d\d-(01|04|07|10)", "a version of Shopify's API, such as 2025-10")
    ] = "2025-10"
    api_url: OptionalHttpsUrl = ""
    """Instead of the shop's own address."""
    complete_on: Literal["created", "paid"] = "paid"
    """created: an order that waits for a bank transfer counts already."""
    carts: bool = False
    """Take `carts/*`. Only with a single process that receives, and where no pixel tells of carts:
    a webhook has the whole cart, and what has changed is known by the one before it."""
    anonymous_attribute: str = Field(default="ritorno_anonymous_id", max_length=100)
    """Note attribute of carts and orders in which the shop's theme puts the browser's id."""
    single_opt_in_counts: bool = False
    """A subscription that was not confirmed is consent all the same. Without it the customer is on
    the list, and is asked to confirm where a workflow does so."""
    newsletter: str = Field(default="newsletter", min_length=1, max_length=100)
    """The list that Shopify's e-mail consent is about."""

    @property
    def address_field(self) -> str:
        """The field that says where it is asked."""
        return "api_url" if self.api_url else "shop"

    @property
    def host(self) -> str:
        """The shop's permanent host."""
        return self.shop
