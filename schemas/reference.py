"""References: which record an id stands for, a customer's or a visitor's.

A shop numbers its customers, a browser makes up an id for itself, and nothing keeps the two apart
but who says it. So each has a namespace of its own: a customer's reference is the id, a visitor's
is the id with a prefix that no customer's has (`schemas/reserved.py`). The reference is the key of
the kept record, and of all that our actors, the mailer and its links say of it; only the partition
is that of the bare id. The log has what a shop publishes under the bare id, as it was published.
"""

from __future__ import annotations

VISITOR = "ritorno:visitor/"
"""Begins the reference of a visitor."""

_VISITOR = VISITOR.encode()


def of_visitor(id_: str) -> str:
    """Return the reference of the visitor with an id, or with a reference."""
    return id_ if id_.startswith(VISITOR) else VISITOR + id_


def is_visitors(reference: str) -> bool:
    """Whether a reference is a visitor's."""
    return reference.startswith(VISITOR)


def id_of(reference: str) -> str:
    """Return the bare id, which a customer and a visitor may have in common."""
    return reference.removeprefix(VISITOR)


def bare_key(key: bytes) -> bytes:
    """Return the key of a record, or of what is kept, without the namespace."""
    return key.removeprefix(_VISITOR)


def both(id_: str) -> tuple[str, str]:
    """Return the references that an id may stand for: the customer's, then the visitor's."""
    bare = id_of(id_)
    return bare, VISITOR + bare


def shown(reference: str) -> str:
    """Return a reference as a person reads it: the id, and the word visitor where it is one."""
    return f"visitor {id_of(reference)}" if is_visitors(reference) else reference
