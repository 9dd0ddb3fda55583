"""A Magento in the file of connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from schemas.secret_reference import SecretReference
from schemas.written_form import Form
from streams.connect.connection import HttpsUrl, ShopConnection

Method = Annotated[
    str, Form("[A-Za-z0-9_-]{1,64}", "a payment method's code, such as banktransfer")
]

OFFLINE = ("banktransfer", "cashondelivery", "checkmo", "free", "purchaseorder")
"""Magento's own payment methods for which nobody waits before the goods are sent."""


class MagentoConnection(ShopConnection):
    """A shop whose REST interface is polled, and which may push by Adobe I/O Events."""

    kind: Literal["magento"]
    url: HttpsUrl
    """Of the shop, where its pages begin: `https://negozio.example.it`. REST is below it, in
    `/rest/V1`."""
    token: SecretReference | None = None
    """Access token of an integration. Without one nothing is asked for."""
    client_id: Annotated[
        str, Form("[A-Za-z0-9._-]{0,100}", "the client id that Adobe's console shows")
    ] = ""
    """Of the project in Adobe's developer console whose events come to `/connect/NAME`: events for
    another one are refused. Empty: none are taken."""
    complete_on: Literal["created", "paid"] = "paid"
    """When an order is a purchase: once it is being processed, and at once where it is paid for in
    another way (`offline_payments`); or always at once."""
    offline_payments: list[Method] = Field(default=list(OFFLINE), max_length=100)
    """Codes of payment methods that nobody waits for."""
    newsletter: str = Field(default="newsletter", min_length=1, max_length=100)
    """The list that the shop's newsletter is."""
    newsletter_confirmed: bool = False
    """The shop has each subscription confirmed by a mail of its own."""
    single_opt_in_counts: bool = False
    """A subscription that was not confirmed is consent all the same. Without it the customer is on
    the list, and is asked to confirm where a workflow does so."""
    carts: bool = True
    """Whether open quotes of known customers become checkouts, for the mails to who leaves one."""
    url_suffix: Annotated[
        str, Form("[A-Za-z0-9./_-]{0,20}", "the end of an address, such as .html")
    ] = ".html"
    """Behind the addresses of products (Catalog → SEO)."""

    @model_validator(mode="after")
    def _does_something(self) -> MagentoConnection:
        if self.token is None and not self.client_id:
            raise ValueError("token or client_id is needed: with neither nothing is read")
        return self

    @property
    def host(self) -> str:
        """The shop's host."""
        return urlsplit(self.url).hostname or ""

    def resources(self) -> Sequence[str]:
        """Return what is read of it, in order."""
        if self.token is None:
            return ()
        every = ("customers", "orders", "shipments", "creditmemos", "carts", "products")
        return [each for each in every if each != "carts" or self.carts]
