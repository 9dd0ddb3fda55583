"""Google Merchant's product data: RSS, Atom and tables have the same names.

Source: support.google.com/merchants, product data specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.feeds.source_rows import SourceRow
from streams.feeds.words import ProductRow, ReadingRules, availability, first, last_of_path

_CALLED = {
    "id": ("id",),
    "name": ("title", "titolo"),
    "url": ("link",),
    "image_url": ("imagelink", "linkimmagine"),
    "availability": ("availability", "disponibilita"),
    "price": ("price", "prezzo"),
    "sale_price": ("saleprice", "prezzoscontato"),
    "sale_dates": ("salepriceeffectivedate", "datadivaliditaprezzoscontato"),
    "brand": ("brand", "marca"),
    "product_type": ("producttype", "tipodiprodotto"),
    "category": ("googleproductcategory", "categoriaprodottogoogle"),
    "group": ("itemgroupid", "idgruppoarticoli"),
    "stock": ("quantity", "selltostorequantity"),
}
USED = frozenset(name for names in _CALLED.values() for name in names)


def products(rows: Iterable[SourceRow], how: ReadingRules) -> Iterator[ProductRow]:
    """Yield what each item says of a product; those with one `item_group_id` are its variants."""
    for row in rows:
        given = {name: first(row.fields, names) for name, names in _CALLED.items()}
        category = last_of_path(given["product_type"]) or last_of_path(given["category"])
        group = None if how.each_variant else given["group"]
        fields = {
            "sku": given["id"],
            "product_id": group or given["id"],
            "name": given["name"],
            "brand": given["brand"],
            "category": "" if category.isdecimal() else category,
            "url": given["url"],
            "image_url": given["image_url"],
            "stock": given["stock"],
        }
        if given["availability"]:
            fields["availability"] = availability(given["availability"])
        how.price(fields, "price", given["price"])
        begins, separator, ends = str(given["sale_dates"] or "/").partition("/")
        if separator:  # else they can't be read, and it is not known whether it holds
            how.reduced(fields, given["sale_price"], begins, ends)
        yield ProductRow(row.place, fields, row.fields)
