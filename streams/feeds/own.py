"""Feeds under our own names (`schemas/products.py`), in Italian too: tables, JSON and events
`product.updated`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.products import Product
from schemas.wire import PRODUCT_UPDATED
from streams.feeds.source_rows import SourceRow, plain_name
from streams.feeds.words import ProductRow, ReadingRules, availability

_ITALIAN = {
    "sku": ("codice", "cod", "codicearticolo", "codart", "codicesku", "codiceprodotto"),
    "product_id": ("idprodotto", "idarticolo"),
    "name": ("nome", "titolo", "title", "nomeprodotto", "articolo", "prodotto"),
    "description": ("descrizione",),
    "brand": ("marca", "marchio", "produttore"),
    "category": ("categoria", "reparto"),
    "price": ("prezzo", "prezzovendita", "prezzodivendita", "prezzoalpubblico"),
    "list_price": ("prezzolistino", "prezzodilistino", "prezzopieno", "prezzobarrato"),
    "sale_price": ("saleprice", "prezzoscontato", "prezzoofferta", "prezzoinofferta"),
    "sale_begins": ("salebegins", "iniziosconto", "inizioofferta", "offertadal"),
    "sale_ends": ("saleends", "finesconto", "fineofferta", "offertafinoal"),
    "currency": ("valuta",),
    "url": ("link", "collegamento"),
    "image_url": ("image", "imagelink", "immagine", "foto", "urlimmagine", "linkimmagine"),
    "guide_url": ("guida", "istruzioni"),
    "review_url": ("linkrecensione",),
    "stock": ("giacenza", "quantita", "quantity", "qta", "pezzi"),
    "availability": ("disponibilita", "disponibile", "available"),
    "complements": ("abbinamenti", "complementi"),
    "accessories": ("accessori",),
    "upgrades": ("superiori",),
    "replaces": ("sostituisce",),
    "lasts": ("durata",),
    "popularity": ("popolarita", "vendite"),
    "announce": ("novita",),
    "rating": ("voto",),
}
_REDUCTION = ("sale_price", "sale_begins", "sale_ends")
_NAMES = {
    **{plain_name(name): name for name in (*Product.model_fields, *_REDUCTION)},
    **{word: name for name, words in _ITALIAN.items() for word in words},
    "id": "id",
}
USED = frozenset(_NAMES)


def products(rows: Iterable[SourceRow], how: ReadingRules) -> Iterator[ProductRow]:
    """Yield what each row says of a product."""
    for row in rows:
        given, is_update = _named(row.fields)
        id_ = given.pop("id", None)
        if not given.get("sku") and (other := id_ or given.get("product_id")):
            given["sku"] = other
        elif id_ and not given.get("product_id"):
            given["product_id"] = id_
        if isinstance(given.get("availability"), str | int):  # of JSON also true and 1
            given["availability"] = availability(given["availability"])
        for name in ("price", "list_price"):
            if isinstance(given.get(name), str):
                how.price(given, name, given[name])
        sale, begins, ends = (given.pop(name, None) for name in _REDUCTION)
        how.reduced(given, sale, begins, ends)
        yield ProductRow(row.place, given, row.fields, is_update)


def _named(fields: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the fields under our names, and whether they are an event's."""
    is_update = fields.get("type") == PRODUCT_UPDATED
    if is_update:
        data = fields.get("data", fields.get("properties"))
        fields = data if isinstance(data, dict) else {}
    named: dict[str, Any] = {}
    for column, value in fields.items():
        name = column if column in Product.model_fields else _NAMES.get(plain_name(column))
        if name is not None and named.get(name) in (None, ""):
            named[name] = value
    return named, is_update
