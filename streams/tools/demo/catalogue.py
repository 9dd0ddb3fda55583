"""What the demo's shop sells and what its customers are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.products import Product, Review

SHOP_URL = "https://bottega.example"
IMAGES_URL = "https://immagini.bottega.example"


class Article(NamedTuple):
    """A product of the shop."""

    sku: str
    name: str
    category: str
    price: str

    def properties(self, quantity: int) -> dict[str, Any]:
        """Return the properties of an event about some of it."""
        return {
            "product_id": self.sku,
            "name": self.name,
            "category": self.category,
            "price": self.price,
            "currency": "EUR",
            "quantity": quantity,
            "url": f"{SHOP_URL}/p/{self.sku.lower()}",
            "image_url": f"{IMAGES_URL}/{self.sku.lower()}.jpg",
        }

    def in_feed(self, **more: Any) -> Product:
        """Return the article as the shop's feed has it; `more` is what else is to be said of it."""
        about = self.properties(1)
        del about["quantity"]
        known: dict[str, Any] = {"stock": 40, **FEED.get(self.sku, {}), **more}
        guide = f"{SHOP_URL}/guide/{self.sku.lower()}"
        review = f"{SHOP_URL}/p/{self.sku.lower()}/recensione"
        return Product.model_validate(
            {"sku": self.sku, "guide_url": guide, "review_url": review, **about, **known}
        )


ARTICLES = (
    Article("OLI-001", "Olio extravergine d'oliva Taggiasca, 500 ml", "Dispensa", "16.90"),
    Article("OLI-002", "Olio extravergine pugliese Coratina, 3 l", "Dispensa", "42.00"),
    Article("ACE-010", "Aceto balsamico di Modena invecchiato, 250 ml", "Dispensa", "24.50"),
    Article("PAS-021", "Paccheri di Gragnano, 500 g", "Dispensa", "4.20"),
    Article("PAS-022", "Tagliatelle all'uovo, 250 g", "Dispensa", "3.80"),
    Article("RIS-003", "Riso Carnaroli, 1 kg", "Dispensa", "5.60"),
    Article("MIE-004", "Miele di castagno, 400 g", "Dispensa", "9.50"),
    Article("CAF-030", "Caffè in grani, miscela napoletana, 1 kg", "Caffè", "22.00"),
    Article("CAF-031", "Moka in alluminio, 3 tazze", "Caffè", "29.90"),
    Article("CAF-032", "Tazzine da espresso in ceramica, set da 6", "Caffè", "38.00"),
    Article("CER-040", "Ciotola in ceramica di Grottaglie", "Casa", "34.00"),
    Article("CER-041", "Piatto decorato a mano, Vietri", "Casa", "46.00"),
    Article("TES-050", "Tovaglia in lino, 140 × 220 cm", "Casa", "79.00"),
    Article("TES-051", "Strofinacci in cotone, set da 3", "Casa", "18.00"),
    Article("TES-052", "Plaid in lana merino", "Casa", "95.00"),
    Article("LEG-060", "Tagliere in legno d'ulivo", "Cucina", "39.00"),
    Article("LEG-061", "Mattarello in faggio", "Cucina", "14.00"),
    Article("COL-062", "Coltello da cuoco, lama 20 cm", "Cucina", "64.00"),
    Article("PEL-070", "Borsa a tracolla in pelle", "Pelle", "149.00"),
    Article("PEL-071", "Portafoglio in pelle conciata al vegetale", "Pelle", "58.00"),
    Article("PEL-072", "Cintura in pelle toscana", "Pelle", "49.00"),
    Article("SAP-080", "Sapone all'olio d'oliva, 3 pezzi", "Bagno", "12.00"),
    Article("SAP-081", "Crema mani alla camomilla, 75 ml", "Bagno", "15.50"),
    Article("CAR-090", "Quaderno rilegato a mano, carta di Amalfi", "Carta", "27.00"),
    Article("CAR-091", "Penna stilografica, pennino in acciaio", "Carta", "52.00"),
    Article("PRO-100", "Profumatore per ambienti agli agrumi", "Casa", "31.00"),
)

FEED: Mapping[str, Mapping[str, Any]] = {
    "OLI-001": {"complements": ["ACE-010", "PAS-021"], "upgrades": ["OLI-002"], "lasts": "20d",
                "popularity": 80},
    "OLI-002": {"complements": ["ACE-010"], "lasts": "60d"},
    "PAS-021": {"complements": ["OLI-001"], "lasts": "10d", "popularity": 60},
    "PAS-022": {"complements": ["OLI-001"], "lasts": "7d"},
    "RIS-003": {"complements": ["OLI-001"], "lasts": "14d"},
    "CAF-030": {"complements": ["CAF-031", "CAF-032"], "lasts": "14d", "popularity": 100},
    "CAF-031": {"complements": ["CAF-030"], "accessories": ["CAF-032"], "popularity": 90,
                "rating": 4.6,
                "reviews": [Review(author="Marta", stars=5, text="Il caffè è quello del bar.")]},
    "CAF-032": {"complements": ["CAF-030"]},
    "CER-040": {"complements": ["CER-041", "TES-050"], "upgrades": ["CER-041"]},
    "TES-050": {"complements": ["TES-051"], "accessories": ["TES-051"]},
    "LEG-060": {"complements": ["COL-062"], "accessories": ["LEG-061"], "popularity": 40},
    "COL-062": {"complements": ["LEG-060"], "accessories": ["LEG-060"]},
    "PEL-070": {"accessories": ["PEL-071", "PEL-072"]},
    "SAP-080": {"complements": ["SAP-081"], "lasts": "14d", "popularity": 50},
    "CAR-090": {"complements": ["CAR-091"], "upgrades": ["CAR-091"]},
}  # fmt: skip
"""What goes with what, how long it lasts, and what people say: the shop's own word."""

NOVELTY = Article("CAF-033", "Moka in alluminio, 6 tazze, edizione 2026", "Caffè", "36.90")
"""New in the shop while the demo goes on, and the new version of CAF-031."""

FIRST_NAMES = (
    "Giulia", "Francesca", "Chiara", "Sara", "Martina", "Elena", "Valentina", "Alessia", "Federica",
    "Paola", "Silvia", "Laura", "Anna", "Giorgia", "Ilaria", "Niccolò", "Marco", "Luca", "Matteo",
    "Andrea", "Davide", "Simone", "Giuseppe", "Antonio", "Stefano", "Roberto", "Paolo", "Lorenzo",
    "Riccardo", "Tommaso",
)  # fmt: skip

LAST_NAMES = (
    "Rossi", "Russo", "Ferrari", "Esposito", "Bianchi", "Romano", "Colombo", "Ricci", "Marino",
    "Greco", "Bruno", "Gallo", "Conti", "De Luca", "Mancini", "Costa", "Giordano", "Rizzo",
    "Lombardi", "Moretti", "Barbieri", "Fontana", "Santoro", "Mariani", "Rinaldi", "Caruso",
    "D'Angelo", "Ferrara", "Galli", "Martini", "Leone", "Longo", "Gentile", "Martinelli", "Vitale",
)  # fmt: skip

FOREIGN_NAMES = (("Emma", "Walsh"), ("James", "Carter"), ("Olivia", "Bennett"), ("Noah", "Hughes"))
"""A few customers who read English."""

CITIES = ("Torino", "Milano", "Bologna", "Firenze", "Roma", "Napoli", "Bari", "Palermo", "Genova")
