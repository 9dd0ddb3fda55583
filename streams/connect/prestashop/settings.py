"""A PrestaShop in the file of connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from schemas.secret_reference import SecretReference
from streams.connect.connection import HttpsUrl, Secrets, ShopConnection
from streams.settings.values import Zone

StateIds = Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=100)]


class StateChoice(BaseModel):
    """Ids of order states whose meaning neither flags nor names tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paid: StateIds = []
    shipped: StateIds = []
    delivered: StateIds = []
    cancelled: StateIds = []
    refunded: StateIds = []


class PrestaShopConnection(ShopConnection):
    """A shop whose web service is polled, and whose module may push."""

    kind: Literal["prestashop"]
    url: HttpsUrl
    """Of the shop, where its pages begin: `https://negozio.example.it`. The web service is below
    it, in `/api`."""
    key: SecretReference
    """Of the web service, with GET on what `check` lists."""
    secret: Secrets | None = None
    """With which the module signs what it pushes. Without one nothing is taken at `/connect/NAME`.
    """
    zone: Zone | None = None
    """Of the shop's clock, where its key may not read PS_TIMEZONE."""
    complete_on: Literal["created", "paid"] = "paid"
    """When an order is a purchase: once a state is paid, or counts as a sale for the shop; or at
    once, also while a transfer is awaited."""
    newsletter: str = Field(default="newsletter", min_length=1, max_length=100)
    """The list that the shop's newsletter is."""
    newsletter_confirmed: bool = False
    """The shop has each subscription confirmed by a mail of its own."""
    single_opt_in_counts: bool = False
    """A subscription that was not confirmed is consent all the same. Without it the customer is on
    the list, and is asked to confirm where a workflow does so."""
    states: StateChoice = StateChoice()
    carts: bool = True
    """Whether carts of known customers become checkouts, for the mails to who leaves one."""
    support: bool = False
    """Whether messages to the shop become requests to the support."""

    @property
    def host(self) -> str:
        """The shop's host."""
        return urlsplit(self.url).hostname or ""

    def resources(self) -> Sequence[str]:
        """Return what is read of it, in order."""
        wanted = {"carts": self.carts, "customer_threads": self.support}
        every = ("customers", "orders", "order_slip", "carts", "customer_threads", "products")
        return [each for each in every if wanted.get(each, True)]
