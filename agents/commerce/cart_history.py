"""Changes of a cart that come late: what lies in it is as if all of them had come in order.

A line that was put in once says by `updated` when. Of one that was changed more often, and of what
was taken out, the cart keeps the changes themselves, in order of their own times (`Cart.changes`);
`updated` is then SPELLED_OUT. When one comes that belongs between those that there are, the cart is
worked out anew from them. A checkout's list, and an order, make whatever was before them history.

At the same time additions come before removals, these before the checkout's list, and that before
the order of those products: whichever of them arrives first. Changes are kept for KEPT_FOR of the
log's time, and not more than CART_CHANGES_KEPT of them in CART_CHANGES_TOTAL_BYTES. Of what comes
later than that, an addition counts and a removal takes nothing that was put in since.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Sequence
from decimal import Decimal

import msgspec

from agents.commerce import line_items
from schemas.bounds import kept_bytes, largest
from schemas.customer.shopping import (
    CART_CHANGES_KEPT,
    CART_CHANGES_TOTAL_BYTES,
    Cart,
    CartMove,
    LineItem,
)
from schemas.quantity import MAX_QUANTITY, exact
from schemas.time_units import DAY_MS, MINUTE_MS

KEPT_FOR = 7 * DAY_MS
"""ms. What is later than a week was no delay."""
SPELLED_OUT = -1
CLOCKS_DIFFER = 5 * MINUTE_MS
"""ms by which a shop's clocks may differ: that of its pages, and that of its orders."""

_FEW = CART_CHANGES_TOTAL_BYTES // largest(CartMove)
"""Changes, however large, for which there is room."""


def change(time: int, line: LineItem, quantity: int | Decimal | None) -> CartMove:
    """Return the change of a line at a time: by a quantity, negative when it is taken out, None
    when all of the line is."""
    return CartMove(time, line.product_id, line.sku, line.variant, quantity)


def is_late_addition(cart: Cart, time: int) -> bool:
    """Whether something was taken out at or after `time`. Additions among themselves come to the
    same in any order."""
    for each in reversed(cart.changes):
        if each.time < time:
            return False
        if _takes(each):
            return True
    return False


def is_late(cart: Cart, time: int) -> bool:
    """Whether anything was changed at or after `time`."""
    return time <= cart.changed or bool(cart.changes and time <= cart.changes[-1].time)


def add(cart: Cart, line: LineItem, time: int) -> None:
    """Put in what nothing was taken out after. Of a line that is there, the latest price, name and
    picture count."""
    present = line_items.same(cart.lines, line)
    if present is None:
        line.updated = time
        cart.lines.append(line)
        return
    newest = time >= last_added(cart, present)
    _spell_out(cart, present)
    insort(cart.changes, change(time, line, line.quantity), key=_order)
    present.quantity = exact(present.quantity + line.quantity)
    line_items.describe(present, line, newest=newest)


def take(cart: Cart, sought: LineItem, quantity: int | Decimal | None, time: int) -> bool:
    """Take out what nothing was changed after; return whether it was there. What isn't there may
    still be on its way."""
    taken = line_items.meant(cart.lines, sought, lambda line: last_added(cart, line))
    removal = change(time, sought, None if quantity is None else -quantity)
    if taken is not None:
        _spell_out(cart, taken)
        _take(cart.lines, taken, removal.quantity)
    if quantity is None and (sought.sku or sought.variant):  # whatever was before is gone with it
        cart.changes = [each for each in cart.changes if _key(each) != _key(removal)]
    insort(cart.changes, removal, key=_order)
    if taken is not None and not (sought.sku or sought.variant):
        _keep_descriptions(cart, (taken,))
    return taken is not None


def insert(cart: Cart, added: CartMove, line: LineItem) -> None:
    """Work out what lies in the cart with a change that comes late. `line`: what it is about."""
    _spell_out_all(cart)
    known = list(cart.lines)
    present = line_items.same(known, line)
    if present is None:
        known.append(line)
    elif not _takes(added):
        line_items.describe(present, line, newest=added.time >= last_added(cart, present))
    insort(cart.changes, added, key=_order)
    cart.lines = _worked_out(cart.changes, known)
    if any(_takes(each) and not (each.sku or each.variant) for each in cart.changes):
        _keep_descriptions(cart, known)
    _sum_up(cart)


def begin_from(cart: Cart, lines: Sequence[LineItem], time: int) -> None:
    """Let `lines` be what lay in the cart at `time`; what was changed after that was done to
    them."""
    if is_late(cart, time):
        _spell_out_all(cart)
    later = [each for each in cart.changes if each.time > time]
    by_key = {_key(line): line for line in cart.lines}
    for line in lines:
        present = by_key.get(_key(line)) or line_items.same(cart.lines, line)
        line.updated = time
        if present is not None:  # what the list leaves out
            newest = bool(later) and last_added(cart, present) > time
            line_items.describe(line, present, newest=newest)
    if not later:
        cart.lines, cart.changes = list(lines), []
        return
    known = [*lines, *(line for line in cart.lines if line_items.same(lines, line) is None)]
    cart.changes = [*(change(time, line, line.quantity) for line in lines), *later]
    cart.lines = _worked_out(cart.changes, known)
    _sum_up(cart)


def end(cart: Cart, bought: Collection[str], time: int) -> None:
    """Let what lay in the cart at `time` be ordered. Of what was put in at that very moment, and
    for CLOCKS_DIFFER after it while nothing of it is known before, what was `bought` was ordered,
    too."""
    if not is_late(cart, time):
        cart.lines, cart.changes = [], []
        return
    _spell_out_all(cart)
    before = {each.product_id for each in cart.changes if each.time <= time and not _takes(each)}
    ordered = {
        line.product_id
        for line in cart.lines
        if line.product_id in bought
        and line.product_id not in before
        and last_added(cart, line) <= time + CLOCKS_DIFFER
    }
    cart.changes = [
        each
        for each in cart.changes
        if each.product_id not in ordered
        and (each.time > time or (each.time == time and each.product_id not in bought))
    ]
    cart.lines = _worked_out(cart.changes, cart.lines)
    _sum_up(cart)


def adopt(cart: Cart, other: Cart, time: int) -> bool:
    """Add what lies in another cart, and what was taken out of it, as far as it is no history here;
    return whether any of it is. Of what was in both at `time`, the greater quantity."""
    _spell_out_all(other)
    _spell_out_all(cart)
    theirs = [
        each for each in other.changes if each.time > cart.checked and each.time >= cart.cleared
    ]
    mine = _worked_out([each for each in cart.changes if each.time <= time], cart.lines)
    added = _worked_out(theirs, other.lines)
    for line in added:
        present = line_items.same(mine, line)
        if present is None:
            continue
        theirs = [each for each in theirs if line_items.same((line,), each) is None]
        if line.quantity > present.quantity:
            more = exact(line.quantity - present.quantity)
            theirs.append(change(last_added(other, line), line, more))
    known = [*cart.lines, *(each for each in added if line_items.same(cart.lines, each) is None)]
    cart.changes = sorted([*cart.changes, *theirs], key=_order)
    cart.lines = _worked_out(cart.changes, known)
    _sum_up(cart)
    return bool(added)


def forget_old(cart: Cart, now: int) -> None:
    """Keep no more changes than there is room and time for, so that no line changes by it."""
    changes = cart.changes
    if not changes:
        return
    old = 0
    while old < len(changes) and changes[old].time < now - KEPT_FOR:
        old += 1
    if old:
        _condense(cart, old)
    if len(cart.changes) > _FEW and _too_many(cart.changes):
        _condense(cart, len(cart.changes) // 2)
        if _too_many(cart.changes):
            _condense(cart, len(cart.changes))


def last_added(cart: Cart, line: LineItem) -> int:
    """Return when a line was put in or added to last."""
    if line.updated > 0:
        return line.updated
    added = (each.time for each in reversed(cart.changes) if not _takes(each)
             and line_items.same((line,), each) is not None)  # fmt: skip
    return next(added, cart.changed)


def _too_many(changes: Sequence[CartMove]) -> bool:
    return len(changes) > CART_CHANGES_KEPT or kept_bytes(changes) > CART_CHANGES_TOTAL_BYTES


def _condense(cart: Cart, number: int) -> None:
    """Let what the first changes came to count as put in by the last of them."""
    oldest, rest = cart.changes[:number], cart.changes[number:]
    base: list[CartMove] = []
    for line in _worked_out(oldest, cart.lines):
        about = (each.time for each in oldest if line_items.same((line,), each) is not None)
        time = max(about, default=oldest[-1].time)
        base.append(change(time, line, line.quantity))
    cart.changes = sorted([*base, *rest], key=_order)
    _sum_up(cart)


def _sum_up(cart: Cart) -> None:
    """Let lines with a single change, their addition, say by themselves when that was."""
    for line in cart.lines:
        about = [each for each in cart.changes if line_items.same((line,), each) is not None]
        if len(about) == 1 and about[0].quantity == line.quantity:
            line.updated = about[0].time
            cart.changes.remove(about[0])
        elif not about and line.updated == SPELLED_OUT:
            line.updated = cart.changed


def _keep_descriptions(cart: Cart, known: Sequence[LineItem]) -> None:
    """Keep with their additions what lines were that are not in the cart any more."""
    for line in known:
        if line_items.same(cart.lines, line) is None:
            for each in cart.changes:
                if not _takes(each) and line_items.same((line,), each) is not None:
                    each.line = msgspec.structs.replace(line, quantity=0)
                    break


def _spell_out_all(cart: Cart) -> None:
    for line in cart.lines:
        _spell_out(cart, line)


def _spell_out(cart: Cart, line: LineItem) -> None:
    if line.updated != SPELLED_OUT:
        insort(cart.changes, change(line.updated or cart.changed, line, line.quantity), key=_order)
        line.updated = SPELLED_OUT


def _worked_out(changes: Sequence[CartMove], known: Sequence[LineItem]) -> list[LineItem]:
    """Return what changes come to, one after the other. `known`: what lines are called, and
    cost."""
    lines: list[LineItem] = []
    added: dict[tuple[str, str, str], int] = {}
    for each in changes:
        quantity = each.quantity
        if quantity is not None and quantity > 0:
            present = line_items.same(lines, each)
            if present is None:
                described = (
                    line_items.same(known, each)
                    or each.line
                    or LineItem(each.product_id, 0, sku=each.sku, variant=each.variant)
                )
                present = msgspec.structs.replace(described, quantity=0, updated=SPELLED_OUT)
                lines.append(present)
            present.quantity = exact(present.quantity + quantity)
            added[_key(present)] = each.time
        else:
            taken = line_items.meant(lines, each, lambda line: added[_key(line)])
            if taken is not None:
                _take(lines, taken, quantity)
    return lines


def _take(lines: list[LineItem], taken: LineItem, quantity: int | Decimal | None) -> None:
    """`quantity`: negative; None: all of it."""
    if quantity is not None:
        taken.quantity = exact(taken.quantity + quantity)
    if quantity is None or taken.quantity <= 0:
        lines[:] = [line for line in lines if line is not taken]


def _takes(each: CartMove) -> bool:
    return each.quantity is None or each.quantity < 0


def _key(each: LineItem | CartMove) -> tuple[str, str, str]:
    return each.product_id, each.sku, each.variant


def _order(each: CartMove) -> tuple[int, bool, str, str, str, int | Decimal]:
    least = -MAX_QUANTITY - 1 if each.quantity is None else each.quantity
    return each.time, _takes(each), *_key(each), least
