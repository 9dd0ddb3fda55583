"""Who names a product, and which products sell best: what is kept up is what one would find."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agents.customer.visitors import VisitorExpiry
from agents.definitions.settings import NO_LIMITS
from agents.partition.cache import CacheMemory
from agents.partition.customers import Customers
from agents.partition.name_index import CAUGHT_UP, NameIndex
from agents.partition.timers import Timers
from agents.products import catalogue as catalogue_room
from agents.products.bestsellers import Ranking
from agents.products.catalogue import Catalogue, concerns
from schemas.customer import Customer, decode_customer, encode_customer
from schemas.customer.named import named, named_in
from schemas.customer.shopping import Cart, Interest, LineItem
from schemas.products import Product
from schemas.stored import NEVER
from tests.examples import examples
from tests.partition.test_partition import play, scripts


@examples(40)
@given(scripts)
def test_the_names_are_those_that_a_change_can_be_about(script: list[tuple[str, str, int]]) -> None:
    for key, stored in play(script).store.items():
        if key.startswith(b"\x00"):
            continue
        customer = decode_customer(key.decode(), stored)
        names = named(customer)
        assert named_in(stored) == names
        for product in ("p0", "p1", "p2", "moka"):
            for concern in ("in_cart", "owned", "interested"):
                if concerns(customer, product, "", concern):  # type: ignore[arg-type]  # one of them
                    assert product in names


def test_nothing_is_named_by_what_cannot_be_read() -> None:
    assert named_in(encode_customer(Customer("a"))[:20] + b"\xc1") == set()


def customer(name: str, *products: str) -> Customer:
    made = Customer(name, cart=Cart(lines=[LineItem(each, 1) for each in products]))
    made.interests = {each: Interest([1], "cat") for each in products[:1]}
    made.first_seen = 1
    return made


def test_who_has_changed_is_found_whether_written_or_not() -> None:
    store = {b"a": encode_customer(customer("a", "moka")), b"b": encode_customer(customer("b"))}
    customers = Customers(store.get, store.items, CacheMemory(0), VisitorExpiry(NO_LIMITS))
    assert list(customers.look_through(5)) == []
    assert customers.find(["moka"]) == [b"a"]
    bruno = customers.get(b"b")
    bruno.become(customer("b", "moka"))
    bruno.applied = 7
    customers.note_change(b"b", bruno)
    customers.get(b"a")  # b is let go, encoded
    list(customers.look_through(8))
    assert customers.find(["moka"]) == [b"a", b"b"]
    assert customers.find(["cat", "tazza"]) == [b"a", b"b"]
    assert customers.find(["tazza"]) == []


def test_it_is_made_again_when_it_is_full_of_what_is_gone() -> None:
    kept = {b"c%03d" % number: {f"p{number}"} for number in range(50)}
    references = NameIndex(lambda: [(key, b"") for key in ()])
    list(references.refresh(kept.__getitem__, kept))
    for turn in range(2 * 20_000 // 50):
        references.note(kept)
        list(references.refresh(lambda key, turn=turn: {f"{turn}/{key!r}"}, kept))
    assert sum(len(each) for each in (references._customers or {}).values()) <= 21_000


def test_it_catches_up_a_little_with_each_batch() -> None:
    references = NameIndex(tuple)
    list(references.refresh(lambda _: set()))
    keys = [b"%d" % number for number in range(CAUGHT_UP + 5)]
    references.note(keys)
    references.catch_up(lambda _: {"moka"})
    assert len(references.of(["moka"])) == CAUGHT_UP


def product(chance: random.Random) -> Product:
    return Product(
        sku=f"s{chance.randrange(12)}", name="x", price="1.00",
        category=chance.choice([None, "a", "b", "c"]), popularity=chance.choice([0, 0.1, 0.7, 3]),
        stock=chance.choice([0, 4]),
    )  # type: ignore[arg-type]  # fmt: skip


def test_the_ranking_that_is_kept_up_is_the_one_that_would_be_sorted() -> None:
    chance = random.Random(1)
    catalogue = Catalogue()
    assert not catalogue.ranking.products
    for offset in range(400):
        catalogue.update(product(chance), offset)
        fresh = Ranking(catalogue._products.values())
        assert catalogue.ranking.products == fresh.products
        assert catalogue.ranking.of_each_category() == fresh.of_each_category()
        for category in ("a", "b", "c", "d"):
            assert list(catalogue.ranking.of(category)) == list(fresh.of(category))


def test_catalogues_of_a_process_share_products_but_not_what_they_know() -> None:
    one, other = Catalogue(), Catalogue()
    moka = Product(sku="only-here", name="Moka", price="10.00")  # type: ignore[arg-type]
    one.update(moka, 0)
    other.update(moka.model_copy(), 0)
    assert one.get("only-here") is other.get("only-here")
    one.update(moka.model_copy(update={"name": "Moka Alba"}), 1)
    assert (one.get("only-here").name, other.get("only-here").name) == ("Moka Alba", "Moka")  # type: ignore[union-attr]
    del one, other, moka
    assert not [p for p in catalogue_room._PRODUCTS.values() if p.sku == "only-here"]


times = st.one_of(st.integers(0, 6), st.just(NEVER))


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), times), max_size=40))
def test_the_first_timer_is_the_first_whatever_was_moved(moves: list[tuple[bytes, int]]) -> None:
    timers, due = Timers(), dict.fromkeys([b"a", b"b", b"c"], NEVER)
    for number, (key, instant) in enumerate(moves):
        timers.schedule(key, instant)
        due[key] = instant
        if number % 3 == 0:
            wanted = min((at, who) for who, at in due.items())
            assert timers.first() == (wanted if wanted[0] != NEVER else (NEVER, b""))
    while (first := timers.first())[0] != NEVER:
        assert first == min((at, key) for key, at in due.items())
        timers.remove(first[1])
        due[first[1]] = NEVER
    assert set(due.values()) == {NEVER}
