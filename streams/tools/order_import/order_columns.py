"""Which column of a shop's order file means what: as the user says, or guessed from the header."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence


class ColumnError(Exception):
    """The columns can't be used; the text says what to do and lists what there is."""


TRAITS = ("email", "customer_name", "first_name", "last_name", "phone", "birthday", "locale",
          "country", "city")  # fmt: skip
"""What an order file may tell about the customer."""

SUMS = ("subtotal", "shipping", "tax", "discount", "refunded")
"""What an order file may tell of an order's sums besides its total. `refunded`: went back."""

TIMES = ("cancelled_at", "shipped_at", "delivered_at", "status_at")
"""What it may tell of when. `status_at`: since when the status is what it is, at the latest."""

WORDS = ("coupon", "payment_method", "status", "shipping_status", "carrier", "tracking_number",
         "order_number", "email")  # fmt: skip
"""What else is said of an order by the first line that says it."""

FIELDS = ("order_id", "order_key", "customer_id", "time", "product_id", "sku", "variant", "name",
          "category", "quantity", "price", "total", "currency", *SUMS, *WORDS[:-1], *TIMES,
          *TRAITS)  # fmt: skip
"""What can be mapped. `name` is the product's; `order_key` is what all lines of an order have in
common, where its id stands in the first one only; `order_number` is what the customer knows it
by."""

# How the exports of shop systems call it, letters and digits only. The first match wins, so the
# particular stands before the general.
_CALLED: Mapping[str, Sequence[str]] = {
    "order_id": ("orderid", "ordernumber", "orderno", "invoiceno", "invoiceid", "invoice",
                 "order", "numeroordine", "idordine", "ordine", "fattura"),
    "customer_id": ("customerid", "customerno", "customernumber", "clientid", "userid",
                    "customeruser", "idcliente", "codicecliente", "cliente", "customer"),
    "time": ("ordertime", "orderdate", "invoicedate", "createdat", "datecreated", "completedat",
             "purchasedat", "timestamp", "datetime", "dataordine", "time", "date", "data"),
    "product_id": ("productid", "stockcode", "sku", "lineitemsku", "productsku", "itemid", "asin",
                   "idprodotto", "codiceprodotto", "articolo"),
    "name": ("productname", "description", "lineitemname", "itemname", "producttitle", "item",
             "nomeprodotto", "descrizione", "prodotto", "product"),
    "category": ("productcategory", "category", "categoria"),
    "quantity": ("quantity", "lineitemquantity", "qty", "itemquantity", "quantita", "qta"),
    "price": ("unitprice", "price", "lineitemprice", "itemprice", "itemcost", "prezzounitario",
              "prezzo"),
    "total": ("ordertotal", "total", "grandtotal", "totalprice", "totaleordine", "totale"),
    "currency": ("currency", "currencycode", "ordercurrency", "valuta"),
    "status": ("orderstatus", "orderstate", "statoordine", "statodellordine", "status", "stato"),
    "shipping_status": ("fulfillmentstatus", "shippingstatus", "statospedizione"),
    "shipped_at": ("shippedat", "fulfilledat", "dateshipped", "dataspedizione",
                   "datadispedizione", "speditoil"),
    "delivered_at": ("deliveredat", "datedelivered", "consegnatoil"),
    "cancelled_at": ("cancelledat", "canceledat", "annullatoil"),
    "tracking_number": ("trackingnumber", "trackingcode", "numerotracking", "numeroditracking",
                        "codicetracking"),
    "carrier": ("carrier", "corriere", "vettore"),
    "email": ("email", "customeremail", "billingemail", "emailaddress", "mail"),
    "customer_name": ("customername", "fullname", "billingname", "nomecliente"),
    "first_name": ("firstname", "billingfirstname", "customerfirstname", "nome"),
    "last_name": ("lastname", "surname", "billinglastname", "customerlastname", "cognome"),
    "phone": ("phone", "billingphone", "telefono"),
    "birthday": ("birthday", "birthdate", "datadinascita"),
    "locale": ("locale", "language", "lingua"),
    "country": ("country", "billingcountry", "countrycode", "paese", "nazione"),
    "city": ("city", "billingcity", "citta"),
}  # fmt: skip

# What else a field may be called on the command line.
_ALSO = {
    "order": "order_id", "invoice": "order_id", "customer": "customer_id", "date": "time",
    "sku": "product_id", "product": "product_id", "product_name": "name", "description": "name",
    "qty": "quantity", "unit_price": "price", "user_id": "customer_id",
}  # fmt: skip


def parse_map(pairs: Iterable[str], fields: Sequence[str] = FIELDS) -> dict[str, str]:
    """Read `FIELD=COLUMN` as given by the user, also several with commas. Raises ColumnError."""
    mapping: dict[str, str] = {}
    for pair in _separated(pairs):
        name, separator, column = pair.partition("=")
        name = name.strip().lower()
        name = name if name in fields else _ALSO.get(name, name)
        if not separator or not column.strip() or name not in fields:
            raise ColumnError(
                f"--map {pair}: expected FIELD=COLUMN, where FIELD is one of {', '.join(fields)}"
            )
        mapping[name] = column.strip()
    return mapping


def guess(header: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping for the fields that `given` leaves out and whose column is obvious."""
    free = {_plain(column): column for column in header if column not in given.values()}
    guessed: dict[str, str] = {}
    for name, words in _CALLED.items():
        if name in given:
            continue
        column = next((free[word] for word in words if word in free), None)
        if column is not None:
            guessed[name] = column
            del free[_plain(column)]
    return guessed


def columns(
    header: Sequence[str], mapping: Mapping[str, str], *, by_address: bool = False
) -> dict[str, int]:
    """Return the position of each mapped field's column. `by_address`: who has no number is known
    by the address anyway.

    Raises ColumnError naming what is missing and the columns that there are.
    """
    found = positions(header, mapping)
    if "customer_id" not in found and "email" in found and not by_address:
        found["customer_id"] = found["email"]  # who has no number is known by the address
    needed = ["order_id", "customer_id", "time"]
    if by_address and "email" in found:
        needed.remove("customer_id")
    missing = [name for name in needed if name not in found]
    if "price" not in found and "total" not in found:
        missing.append("price (of one item) or total (of the order)")
    if missing:
        options = " ".join(f"--map {name.split()[0]}=COLUMN" for name in missing)
        raise ColumnError(
            f"Which column holds {', '.join(missing)} can't be guessed. Say it with {options}."
            + _list(header)
        )
    return found


def positions(
    header: Sequence[str], mapping: Mapping[str, str], needs: Sequence[Sequence[str]] = ()
) -> dict[str, int]:
    """Return the position of each mapped field's column; of each of `needs` one field must be
    there. Raises ColumnError."""
    found: dict[str, int] = {}
    for name, column in mapping.items():
        if column not in header:
            raise ColumnError(f"--map {name}={column}: there is no such column.{_list(header)}")
        if header.count(column) > 1:
            raise ColumnError(f"--map {name}={column}: two columns have this name.{_list(header)}")
        found[name] = header.index(column)
    for names in needs:
        if not any(name in found for name in names):
            options = " or ".join(f"--map {name}=COLUMN" for name in names)
            raise ColumnError(f"Which column says who it is? Say it with {options}.{_list(header)}")
    return found


def _separated(pairs: Iterable[str]) -> Iterable[str]:
    for pair in pairs:
        parts = pair.split(",")
        yield from parts if all("=" in part for part in parts) else [pair]


def _plain(column: str) -> str:
    letters = unicodedata.normalize("NFKD", column.lower())
    return re.sub(r"[^a-z0-9]", "", letters)


def _list(header: Sequence[str]) -> str:
    return "\nColumns of the file: " + ", ".join(header)
