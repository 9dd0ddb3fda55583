"""WooCommerce: the CSV of its product export, with English or Italian heads.

A variable product has no price; its variations have, each with the number or the code of its
parent, which may come later. So the file is read twice: for whom variations belong to, then for
what is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from schemas.flags import read_flag
from streams.feeds.source_rows import SourceRow
from streams.feeds.words import ProductRow, ReadingRules, availability, first, last_of_path

_CALLED = {
    "id": ("id",),
    "type": ("type", "tipo"),
    "sku": ("sku", "cod", "codice"),
    "name": ("name", "nome"),
    "published": ("published", "pubblicato"),
    "sale_begins": ("datesalepricestarts", "datadiiniziodelprezzoinofferta",
                    "datadiiniziosaldo", "datainizioprezzoinofferta"),
    "sale_ends": ("datesalepriceends", "datadifinedelprezzoinofferta", "datadifinesaldo",
                  "datafineprezzoinofferta"),
    "in_stock": ("instock", "instockdisponibile", "disponibile", "inmagazzino"),
    "stock": ("stock", "magazzino", "giacenza"),
    "backorders": ("backordersallowed", "ordiniarretratiammessi", "ordiniarretraticonsentiti"),
    "sale_price": ("saleprice", "prezzoinofferta"),
    "price": ("regularprice", "prezzodilistino"),
    "category": ("categories", "categorie"),
    "images": ("images", "immagini"),
    "parent": ("parent", "genitore", "padre"),
    "upgrades": ("upsells", "upsell"),
    "complements": ("crosssells", "crosssell"),
    "url": ("externalurl", "urlesterno", "permalink"),
    "brand": ("brands", "brand", "marchi", "marchio"),
}  # fmt: skip
USED = frozenset(name for names in _CALLED.values() for name in names)

_NUMBERED = re.compile(r"id:\s*(\d+)")
_VARIABLE = frozenset({"variable", "variabile", "grouped", "raggruppato"})
_VARIATION = frozenset({"variation", "variazione"})


class _Parent(NamedTuple):
    """What variations have from their product."""

    name: Any
    category: str
    image: str
    brand: Any
    published: bool


def products(read: Callable[[], Iterable[SourceRow]], how: ReadingRules) -> Iterator[ProductRow]:
    """Yield what each row says of a product; `read` reads the file from its beginning."""
    numbers: dict[str, str] = {}
    parents: dict[str, _Parent] = {}
    for row in read():
        given = _given(row)
        if given["sku"] and given["id"]:
            numbers[given["sku"]] = given["id"]
        if given["id"] and _types(given) & _VARIABLE:
            parents[given["id"]] = _Parent(
                given["name"], _category(given), _image(given), given["brand"], _is_out(given)
            )
    for row in read():
        given = _given(row)
        if not _types(given) & _VARIABLE:
            yield _product(row, given, numbers, parents, how)


def _given(row: SourceRow) -> dict[str, Any]:
    return {name: first(row.fields, names) for name, names in _CALLED.items()}


def _types(given: dict[str, Any]) -> set[str]:
    return {each.strip().lower() for each in str(given["type"] or "").split(",")}


def _product(
    row: SourceRow,
    given: dict[str, Any],
    numbers: dict[str, str],
    parents: dict[str, _Parent],
    how: ReadingRules,
) -> ProductRow:
    number = given["id"] or given["sku"]
    above = _number(given["parent"], numbers) if given["parent"] else ""
    parent = parents.get(above)
    is_variation = bool(_types(given) & _VARIATION)
    fields: dict[str, Any] = {
        "sku": given["sku"] or number,
        "product_id": above if is_variation and above and not how.each_variant else number,
        "name": given["name"] or (parent and parent.name),
        "brand": given["brand"] or (parent and parent.brand),
        "category": _category(given) or (parent and parent.category),
        "image_url": _image(given) or (parent and parent.image),
        "url": given["url"],
        "stock": given["stock"],
        "complements": _numbers(given["complements"], numbers),
        "upgrades": _numbers(given["upgrades"], numbers),
    }
    hidden = not _is_out(given) or (parent is not None and not parent.published)
    backorders = read_flag(str(given["backorders"] or "0")) is not False
    said = availability(given["in_stock"] or "in_stock")
    if hidden or said == "out_of_stock":
        fields["availability"] = "out_of_stock"
    elif backorders or said == "preorder":
        left = "0" if said == "preorder" else "1"  # where nobody counts them
        fields["availability"] = (
            "preorder" if str(given["stock"] or left)[:1] in "0-" else "in_stock"
        )
        fields.pop("stock")  # it can be bought whatever is left
    else:
        fields["availability"] = said  # also what is no word that is known, and is told
    how.price(fields, "price", given["price"])
    how.reduced(fields, given["sale_price"], given["sale_begins"], given["sale_ends"])
    return ProductRow(row.place, fields, row.fields)


def _is_out(given: dict[str, Any]) -> bool:
    """Whether it is published: 1, where 0 is private and -1 a draft."""
    return read_flag(str(given["published"] or "1")) is True


def _category(given: dict[str, Any]) -> str:
    """Return the first of several categories, without those above it."""
    return last_of_path(re.split(r"(?<!\\),", str(given["category"] or ""))[0].replace("\\,", ","))


def _image(given: dict[str, Any]) -> str:
    return str(given["images"] or "").partition(",")[0].strip()


def _number(text: Any, numbers: dict[str, str]) -> str:
    """Return a product's number, which is written `id:7` or as its code."""
    plain = str(text).strip()
    numbered = _NUMBERED.fullmatch(plain)
    return numbered[1] if numbered else numbers.get(plain, plain)


def _numbers(text: Any, numbers: dict[str, str]) -> list[str]:
    listed = [each for each in str(text or "").split(",") if each.strip()]
    return [_number(each, numbers) for each in listed[:50]]
