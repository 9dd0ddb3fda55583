"""An ERP's topic `ordini`, by shape: the file of docs/mappings.md, and records of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.mappings.envelopes import ForeignRecord
from agents.mappings.mapping import SourceMapping, compile_source
from schemas.mappings import Source

ROOT = Path(__file__).parents[2]
TIME = 1_772_442_900_000
"""2026-03-02T09:15:00Z"""


def order(number: int = 1001, **changed: Any) -> dict[str, Any]:
    return {
        "numero": number,
        "stato": "CONFERMATO",
        "prova": False,
        "data": "2026-03-02T10:15:00+01:00",
        "cliente": {"codice": "C-70001", "email": "Anna.Verdi@example.it "},
        "totale": 52.0,
        "spedizione_centesimi": 490,
        "righe": [
            {"sku": "MOKA-3", "descrizione": "Moka 3 tazze", "prezzo": 47.1, "quantita": 1},
            {"sku": "SPEDIZIONE", "descrizione": "Corriere", "prezzo": 4.9, "quantita": 1},
        ],
        **changed,
    }


def orders(**changed: Any) -> dict[str, Any]:
    """The mapping of the topic, as it stands in the file."""
    return {
        "name": "gestionale",
        "topic": "ordini",
        "source": "gestionale:negozio.example.it",
        "customer": "value.cliente.codice",
        "time": "value.data",
        "drop": ["value.prova"],
        "events": [
            {
                "type": "order.completed",
                "when": "value.stato == 'CONFERMATO'",
                "id": "'ordine:' + string(value.numero) + ':completed'",
                "properties": {
                    "order_id": "string(value.numero)",
                    "email": "lower(trim(value.cliente.email))",
                    "total": "value.totale",
                    "shipping": "decimal(value.spedizione_centesimi, 2)",
                    "currency": {"constant": "EUR"},
                    "products": {
                        "each": "value.righe",
                        "when": "item.sku != 'SPEDIZIONE'",
                        "fields": {
                            "product_id": "item.sku",
                            "name": "item.descrizione",
                            "price": "item.prezzo",
                            "quantity": "item.quantita",
                        },
                    },
                },
            },
        ],
        **changed,
    }


def compiled(mapping: dict[str, Any]) -> SourceMapping:
    return compile_source(Source.model_validate(mapping))


def record(value: Any, *, key: Any = None, offset: int = 7, **headers: str) -> ForeignRecord:
    return ForeignRecord("ordini", 2, offset, TIME, key, value, headers)
