"""What is in the file of facts, and how a fact becomes a row.

    purchases   orders with all that becomes of them, credits, coupons that are used
    mails       what became of each mail
    runs        what runs of workflows did
    visits      carts, visits, lists, reviews, issued coupons, what a later release adds
    hits        openings and clicks that are only counted, of nobody
    facts       all of it in one view, with the pseudonyms as they are in the topic
    merges      which pseudonym goes on as which other one
    gone        digests of pseudonyms of the erased, whose facts may come once more
    positions, marks     how far the topic is read, and what tells a repetition
    sums        months of which the log holds no fact any more, without persons
    state       the rest: format, zone, the newest fact

A fact's JSON goes into DuckDB as it came, which reads it into the columns: one value a fact is
handed over instead of fifty. Times are in UTC; `day` is that of the shop's zone on which it counts:
of a refund, a cancellation and an edit the day of the *order*, else when it happened. Hashes of
sixteen hex digits are kept as numbers, at half the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.facts import HEADER
from schemas.records import Record

FORMAT = "1"
"""Of the file; one of another format is made anew."""

AMOUNT = "DECIMAL(18, 4)"
"""Up to 99,999,999,999,999.9999 of any currency."""

MOST_BYTES = 65_536
"""Of one fact, which has a few hundred."""

_PARTS, _DIGITS = 4, 19
"""Of an id: the numbers are 64 bits."""


class Column(NamedTuple):
    """A column, and what it is made of."""

    name: str
    type: str
    field: str
    """Of the fact's JSON; empty: made of something else."""
    made: str = ""
    """The SQL that makes it, of `f`, the fact's fields as texts and lists."""


def number_of(person: str) -> str:
    """Return the SQL of a pseudonym as tables hold it."""
    return f"coalesce(TRY_CAST('0x' || {person} AS UBIGINT), md5_number_lower({person}))"


def _text(name: str, field: str = "") -> Column:
    return Column(name, "VARCHAR", field or name, f"coalesce(f.\"{field or name}\", '')")


def _hash(name: str, field: str = "") -> Column:
    text = f'f."{field or name}"'
    made = f"CASE WHEN {text} <> '' THEN {number_of(text)} END"
    return Column(name, "UBIGINT", field or name, made)


def _cast(name: str, type_: str, field: str = "") -> Column:
    return Column(name, type_, field or name, f'TRY_CAST(f."{field or name}" AS {type_})')


def _flag(name: str, field: str = "", default: str = "false") -> Column:
    made = f'coalesce(TRY_CAST(f."{field or name}" AS BOOLEAN), {default})'
    return Column(name, "BOOLEAN", field or name, made)


def _list(name: str) -> Column:
    return Column(name, "VARCHAR[]", name, f'coalesce(f."{name}", [])')


_DAY = 'coalesce(f.ordered, f.happened, f."time")'

COMMON = (
    _text("fact"),
    Column("topic_partition", "USMALLINT", "", "p"),
    Column("topic_offset", "BIGINT", "", "o"),
    _cast("time", "TIMESTAMP"),
    _cast("happened", "TIMESTAMP"),
    Column("day", "DATE", "ordered"),
    _hash("person"),
    _text("source"),
    _text("cohort"),
    _flag("history"),
    _text("workflow"),
    _text("version"),
    _text("step"),
    _hash("run"),
    _text("variant"),
    _text("template"),
    _text("currency"),
)
"""Of every table."""

TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    "purchases": (
        *COMMON,
        _hash("order_id", "order"),
        _text("shop"),
        _cast("ordered", "TIMESTAMP"),
        _cast("total", AMOUNT),
        _cast("shipping", AMOUNT),
        _cast("tax", AMOUNT),
        _cast("discount", AMOUNT),
        _cast("items", AMOUNT),
        _cast("number", "INTEGER"),
        _cast("since_previous", "INTEGER"),
        _list("segments"),
        _list("campaigns"),
        _cast("amount", AMOUNT),
        _cast("back", AMOUNT),
        _flag("whole"),
        _hash("same_as"),
        _text("rule"),
        _text("model"),
        _cast("share", "DOUBLE"),
        _cast("touched", "TIMESTAMP"),
        _hash("mail"),
        _cast("window_days", "INTEGER", "window"),
        _text("campaign"),
        _hash("coupon"),
        _cast("issued", "TIMESTAMP"),
    ),
    "mails": (
        *COMMON,
        _text("fate"),
        _hash("mail"),
        _text("mail_class", "class"),
        _text("who", "by"),
        _flag("is_first", "first", "true"),
        _text("bounce"),
        _text("reason"),
    ),
    "runs": (
        *COMMON,
        _text("did"),
        _text("how"),
        _text("reason"),
        _hash("mail"),
        _text("goal"),
        _text("experiment"),
        _text("assigned"),
        _flag("holdout"),
    ),
    "visits": (
        *COMMON,
        _hash("cart"),
        _cast("value", AMOUNT),
        _hash("order_id", "order"),
        _cast("abandoned", "TIMESTAMP"),
        _text("campaign"),
        _hash("coupon"),
        _hash("mail"),
        _cast("stars", "DOUBLE"),
        _text("list"),
        _text("reason"),
        _cast("began", "TIMESTAMP"),
        _cast("seconds", "INTEGER"),
        _list("products"),
    ),
    "hits": (
        *COMMON,
        _text("hit", "kind"),
        _text("verdict"),
        _text("mode"),
        _text("mail_class"),
        _hash("mail"),
        _cast("link", "INTEGER"),
        _cast("hits", "BIGINT", "count"),
    ),
}
"""By name: the columns. Which facts lie where says `table_of`."""

_FAMILIES = {
    "order": "purchases", "customer": "purchases", "mail": "mails", "run": "runs", "goal": "runs",
    "variant": "runs",
}  # fmt: skip
_PURCHASES = frozenset({"coupon.redeemed", "coupon.released"})

HIT = "mail.hit"
MERGED = "person.merged"
ERASED = "person.erased"

GROUPS = ("month", "fact", "workflow", "step", "variant", "source", "template", "currency",
          "mail_class", "fate", "who", "is_first", "rule", "how")  # fmt: skip
"""Of the months that are summed: what a figure can be asked by."""


class NotAFact(ValueError):
    """A record that should be a fact and can't be read as one; the text says why."""


class Told(NamedTuple):
    """What is read of a fact before it becomes a row."""

    kind: str
    epoch: int
    partition: int
    offset: int
    place: str
    person: str
    into: str
    """Of a merge: who goes on."""

    @property
    def has_origin(self) -> bool:
        """Whether its repetitions can be known; a counted hit is told by a page, once."""
        return self.kind != HIT

    @property
    def erases(self) -> bool:
        """Whether the person is to be forgotten."""
        return self.kind == ERASED


class _Head(msgspec.Struct):
    fact: str
    time: str
    id: str = ""
    person: str = ""
    into: str = ""


_HEAD = msgspec.json.Decoder(_Head)

_HIT = b'{"fact":"mail.hit"'
"""How a counted hit begins, which has no header to be told by."""


def is_fact(record: Record) -> bool:
    """Whether a record of the topic is a fact, or a hit; decisions lie there, too."""
    return record.header(HEADER) is not None or (record.value or b"").startswith(_HIT)


def read_told(value: bytes) -> Told:
    """Read what tells a fact from others. Raises NotAFact."""
    if len(value) > MOST_BYTES:
        raise NotAFact(f"{len(value):,} bytes, where a fact has {MOST_BYTES:,} at most")
    try:
        head = _HEAD.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotAFact(str(error)) from None
    if head.fact == HIT:
        return Told(HIT, 0, 0, 0, "", "", "")
    parts = head.id.split(".", 3)
    if len(parts) != _PARTS or not all(
        each.isascii() and each.isdigit() and len(each) < _DIGITS for each in parts[:3]
    ):
        raise NotAFact(f"id: expected EPOCH.PARTITION.OFFSET.PLACE (got {head.id[:64]!r})")
    if not head.person:
        raise NotAFact("person: is empty")
    if head.fact == MERGED and not head.into:
        raise NotAFact("into: is empty")
    epoch, partition, offset = map(int, parts[:3])
    return Told(head.fact, epoch, partition, offset, parts[3], head.person, head.into)


def table_of(kind: str) -> str:
    """Return where facts of a kind lie; of one that a later release states, too."""
    if kind == HIT:
        return "hits"
    if kind in _PURCHASES:
        return "purchases"
    return _FAMILIES.get(kind.partition(".")[0], "visits")


def ddl() -> list[str]:
    """Return the statements that make everything."""
    made = [
        f"CREATE TABLE IF NOT EXISTS {table} "
        f"({', '.join(f'{each.name} {each.type}' for each in columns)})"
        for table, columns in TABLES.items()
    ]
    groups = ", ".join(
        f"{name} {'DATE' if name == 'month' else 'BOOLEAN' if name == 'is_first' else 'VARCHAR'}"
        for name in GROUPS
    )
    return [
        *made,
        "CREATE TABLE IF NOT EXISTS merges (person UBIGINT, into_person UBIGINT)",
        "CREATE TABLE IF NOT EXISTS gone (digest UBIGINT)",
        "CREATE TABLE IF NOT EXISTS positions (topic_partition USMALLINT, next_offset BIGINT)",
        "CREATE TABLE IF NOT EXISTS marks (topic_partition USMALLINT, log_partition BIGINT, "
        "epoch BIGINT, log_offset BIGINT, places VARCHAR[])",
        f"CREATE TABLE IF NOT EXISTS sums ({groups}, facts BIGINT, amount DECIMAL(38, 4))",
        "CREATE TABLE IF NOT EXISTS exports (path VARCHAR, made TIMESTAMP)",
        "CREATE TABLE IF NOT EXISTS state (name VARCHAR, value VARCHAR)",
        _facts_view(),
    ]


HASHES = frozenset({"person", "run", "order_id", "same_as", "mail", "coupon", "cart"})


def _facts_view() -> str:
    parts = []
    for table, columns in TABLES.items():
        shown = ", ".join(
            f"printf('%016x', {each.name}) AS {each.name}" if each.name in HASHES else each.name
            for each in columns
        )
        parts.append(f"SELECT {shown} FROM {table}")
    return f"CREATE OR REPLACE VIEW facts AS {' UNION ALL BY NAME '.join(parts)}"


def day_of(text: str, zone: str) -> str:
    """Return the SQL of the day, in a zone, of a time in UTC."""
    return f"timezone('{zone}', timezone('UTC', TRY_CAST({text} AS TIMESTAMP)))::DATE"


def insert(table: str, zone: str, *, leaves_out_gone: bool, careful: bool = False) -> str:
    """Return the statement that keeps facts: of the lists of their texts, partitions and offsets.

    `leaves_out_gone`: those of persons who are gone, which costs as much as all the rest.
    `careful`: what is no JSON after all, too.
    """
    columns = TABLES[table]
    fields = {each.field: "VARCHAR" for each in columns if each.field}
    fields |= {each.field: "VARCHAR[]" for each in columns if each.type == "VARCHAR[]"}
    structure = ", ".join(f'"{name}": "{type_}"' for name, type_ in fields.items())
    made = ", ".join(day_of(_DAY, zone) if each.name == "day" else each.made for each in columns)
    read = f"from_json(j, '{{{structure}}}')"
    if careful:
        read = f"CASE WHEN json_valid(j) THEN {read} END"
    gone = f" ANTI JOIN gone ON gone.digest = {digest_of('f.person')}" if leaves_out_gone else ""
    return (
        f"INSERT INTO {table} SELECT {made} FROM (SELECT {read} AS f, p, o FROM ("
        "SELECT unnest($1::VARCHAR[]) AS j, unnest($2::INTEGER[]) AS p, unnest($3::BIGINT[]) AS o)"
        f") AS told{gone} WHERE f IS NOT NULL"
    )


def digest_of(person: str) -> str:
    """Return the SQL of what is kept of a pseudonym whose facts are not taken any more: by it
    nobody finds the pseudonym."""
    return f"md5_number_lower('gone ' || coalesce({person}, ''))"


def sums_of(table: str) -> str:
    """Return the SELECT of a table's rows summed as `sums` holds them; a WHERE follows, then
    `GROUP BY ALL`."""
    has = {each.name for each in TABLES[table]}
    groups = ", ".join(
        "date_trunc('month', day)::DATE AS month" if name == "month"
        else name if name in has
        else f"NULL::{'BOOLEAN' if name == 'is_first' else 'VARCHAR'} AS {name}"
        for name in GROUPS
    )  # fmt: skip
    amounts = [name for name in ("total", "amount", "value") if name in has]
    amount = f"sum(coalesce({', '.join([*amounts, '0'])}))"
    facts = "sum(coalesce(hits, 1))" if "hits" in has else "count(*)"
    return (
        f"SELECT {groups}, {facts}::BIGINT AS facts, {amount}::DECIMAL(38, 4) AS amount "
        f"FROM {table}"
    )


NET, GROSS = "order.net", "order.gross"
"""Of `sums`: orders as they were by their end, counted as figures count them after refunds and
before them."""

_STATES = "('order.placed', 'order.changed', 'order.refunded', 'order.cancelled', 'order.repeated')"


def orders_that_go(old: str) -> str:
    """Return the condition of what of the purchases goes: what is `old`, of an order only when all
    that was told of it is."""
    return (
        f"({old}) AND (order_id IS NULL OR order_id NOT IN "
        f"(SELECT order_id FROM purchases WHERE NOT ({old}) AND order_id IS NOT NULL))"
    )


def insert_order_sums(goes: str) -> str:
    """Return the statement that sums orders that go, each as it is by now. Of one whose beginning
    has gone before, what was paid back is taken off."""
    changed, placed = "FILTER (fact = 'order.changed')", "FILTER (fact = 'order.placed')"
    back = "FILTER (fact IN ('order.refunded', 'order.cancelled'))"
    latest = "row(time, topic_offset)"
    return f"""INSERT INTO sums (month, fact, source, currency, facts, amount)
        WITH states AS (
            SELECT order_id, any_value(source) AS source,
                coalesce(arg_max(day, {latest}) {changed}, any_value(day) {placed}, any_value(day))
                    AS day,
                coalesce(nullif(arg_max(currency, {latest}) {changed}, ''),
                    any_value(currency) {placed}, any_value(currency)) AS currency,
                coalesce(arg_max(total, {latest}) {changed}, any_value(total) {placed}) AS gross,
                coalesce(sum(amount) {back}, 0) AS returned,
                coalesce(bool_or(whole) {back}, false) AS is_whole,
                bool_or(fact = 'order.placed') AS is_placed,
                returned < gross OR returned = 0 AS counts
            FROM purchases WHERE ({goes}) AND fact IN {_STATES} AND order_id IS NOT NULL
            GROUP BY order_id HAVING NOT bool_or(fact = 'order.repeated')
        ), summed AS (
            SELECT *, '{GROSS}' AS kind, 1 AS n, gross AS worth FROM states WHERE is_placed
            UNION ALL
            SELECT *, '{NET}', 1, gross - returned FROM states WHERE is_placed AND counts
            UNION ALL
            SELECT *, '{NET}', -is_whole::INTEGER, -returned FROM states WHERE NOT is_placed
        )
        SELECT date_trunc('month', day)::DATE, kind, source, currency, sum(n), sum(worth)
        FROM summed GROUP BY ALL"""


def read_fact(record: Record) -> tuple[Told, str] | None:
    """Return what a record of the topic tells and its text; None when it is no fact but a
    decision. Raises NotAFact."""
    if not is_fact(record):
        return None
    value = record.value or b""
    told = read_told(value)
    try:
        return told, value.decode()
    except UnicodeDecodeError as error:
        raise NotAFact(str(error)) from None
