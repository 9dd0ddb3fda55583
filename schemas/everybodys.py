"""Ids that stand for nobody in particular: what shops, tills and trackers write where they have
none. What is said under one of them is said of everybody who had none."""

from __future__ import annotations

from schemas.reference import id_of

_WORDS = frozenset(
    {
        "0", "00", "000", "0000", "-1", "1970-01-01", "-", "--", "_", ".", "?", "*", "#",
        "null", "nil", "none", "undefined", "unknown", "nan", "na", "n/a", "n.a.", "false", "true",
        "empty", "blank", "missing", "void", "(null)", "(none)", "(not set)", "[object object]",
        "<null>", "{}", "[]", "\"\"", "''", "''''", "not_set", "not set", "notset", "not-set",
        "00000000-0000-0000-0000-000000000000", "guest", "guests", "guest_user", "guest-user",
        "guestuser", "guest user", "guest_customer", "guest customer", "gast", "ospite", "invitado",
        "anonymous", "anonymous_user", "anonymous-user", "anonymous user", "anon", "anonym",
        "anonimo", "anonyme", "visitor", "user", "customer", "client", "cliente", "kunde",
        "default",
        "walk-in", "walk in", "walkin", "walk_in", "laufkunde", "laufkundschaft", "cash", "pos",
        "till", "kasse", "cassa", "test", "id", "uid", "userid", "user_id", "anonymousid",
        "anonymous_id", "cart", "cart_id", "cartid", "checkout", "checkout_id",
    }
)  # fmt: skip

_LONGEST = max(map(len, _WORDS))


def is_everybodys(id_: str) -> bool:
    """Return whether an id, or the reference of one, stands for nobody in particular."""
    bare = id_of(id_)
    return len(bare) <= _LONGEST and bare.strip().lower() in _WORDS
