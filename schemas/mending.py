"""Mends what ordinary validation refuses: reads each failing field as it was meant, else does
without it.

Only what has failed is looked at, wherever it lies; what the models say of a field
(`schemas/field_kinds.py`) decides:

    1. An empty value (`""`, `[]`, `{}`, blanks) is an absent one.
    2. What is written otherwise is read where it has one meaning (`schemas/value_repairs.py`).
    3. What can't be read is left out where the field may be absent; a member of a list goes where
       what it must have is missing.
    4. The rest refuses: what the event needs, what is strict, and what could be misread; an amount
       that may be a thousand times another one only where the event's sum hangs on it.

Then it is validated again. Each place is repaired once, and left out when that has not helped, so
there are no more rounds than an event has levels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from schemas.decimal_points import doubtful
from schemas.events.odd import ODD_KEPT, OddField, Problem, noted, shown
from schemas.field_kinds import FieldKind, field_kinds, member_kind
from schemas.notation import DecimalMark, Notation
from schemas.over_long import over_long
from schemas.problem_words import problem_words
from schemas.value_repairs import (
    Doubtful,
    How,
    LeftOut,
    Refused,
    as_object,
    is_empty,
    repaired,
)
from schemas.written_amounts import WrittenAmount, read_currency

_ROUNDS = 12
"""More than the deepest event takes: each level is a list, its members and their fields."""

Path = tuple[int | str, ...]


class FieldFailure(NamedTuple):
    """One thing that a validation has refused."""

    path: Path
    type: str
    what: str
    """What is wrong, without place and value."""
    given: Any


class Unmendable(Exception):
    """What is left can only refuse the event."""

    def __init__(self, failure: FieldFailure) -> None:
        super().__init__(failure.what)
        self.failure = failure


class _ListMember(NamedTuple):
    """A member of a list."""

    model: type[BaseModel]
    """Of the object that has the list."""
    owner: dict[str, Any]
    field: str
    members: list[Any]
    place: int


class _FieldPlace(NamedTuple):
    """Where a failure is."""

    holder: Any
    """The object or the list…"""
    key: Any
    """…and where in it."""
    kind: FieldKind
    path: Path
    """Under the names of the models, with the numbers that members had at first."""
    model: type[BaseModel]
    """Of the object that has the field."""
    member: _ListMember | None
    """The member of a list in which it lies."""

    @property
    def given(self) -> Any:
        """What lies there; None when nothing does."""
        try:
            return self.holder[self.key]
        except (KeyError, IndexError, TypeError):
            return None

    def remove(self) -> None:
        """Take away what lies there."""
        self.holder.pop(self.key, None)


class Mending:
    """Mends one event's data."""

    def __init__(
        self, model: type[BaseModel], data: Any, how: tuple[Notation, DecimalMark | None]
    ) -> None:
        self._model = model
        self._data = _copied(data)
        self._how = How(*how)
        self._odd: dict[Path, OddField] = {}
        self._tried: set[Path] = set()
        self._numbers: dict[int, list[int]] = {}
        """What number the members of a list had at first, by the list's identity."""
        self._going: list[_ListMember] = []
        """Members that are to be left out."""
        self._doubtful: dict[Path, FieldFailure] = {}
        """Amounts that were left out since they may be another one."""
        self._assumed = () if self._how.mark else tuple(doubtful(model, self._data))
        self.failing: FieldFailure | None = None
        """What is being mended, or was last."""

    def mended(self) -> tuple[BaseModel, tuple[OddField, ...]]:
        """Return the data and what was odd. Raises Unmendable."""
        for _ in range(_ROUNDS):
            try:
                checked = self._model.model_validate(self._data)
            except ValidationError as error:
                failures = failures_of(error)
            else:
                found = over_long(checked)
                if found is None:
                    self._see_that_its_sum_is_known(checked)
                    self._note_assumed()
                    return checked, noted(list(self._odd.values()))
                failures = [FieldFailure(found.path, "bytes_too_long", found.what, found.text)]
            first: dict[Path, FieldFailure] = {}
            for failure in failures:
                first.setdefault(failure.path, failure)
            for failure in first.values():
                self.failing = failure
                self._mend(failure)
            self._let_members_go()
        raise Unmendable(failures[0])

    def _mend(self, failure: FieldFailure) -> None:
        place = self._place(failure.path)
        if place is None:
            self._mend_whole(failure)
            return
        given = place.given
        if failure.type == "missing":
            self._do_without(place, "missing", failure)
        elif failure.type == "too_long" and isinstance(given, list):
            raise Unmendable(failure)  # a size that protects
        elif is_empty(given) and not (place.kind.kind == "list" and given == {}):
            self._take_as_absent(place, failure)
        elif place.path in self._tried:
            self._do_without(place, _problem(failure), failure)
        else:
            self._repair(place, given, failure)

    def _mend_whole(self, failure: FieldFailure) -> None:
        """The data itself is none, or nothing in particular of it."""
        if self._doubtful:
            raise Unmendable(next(iter(self._doubtful.values())))
        if isinstance(self._data, dict):
            left_out = [each for each in self._odd.values() if not each.kept]
            said = [f"{each.field}: {self._why(each)}" for each in left_out]
            # The first says which field it is.
            what = failure.what.partition(": ")[2] if said else failure.what
            raise Unmendable(failure._replace(what="; ".join([*said[:ODD_KEPT], what])))
        found = as_object(self._data)
        if found is None:
            raise Unmendable(failure)
        self._data = found

    def _why(self, odd: OddField) -> str:
        kind = field_kinds(self._model).get(odd.field)
        is_amount = kind is not None and kind.kind in ("amount", "deduction")
        if odd.problem == "missing":
            return "missing"
        why = "expected an amount, such as 52.00" if is_amount else "can't be read"
        return f"{why} (got {odd.value})"

    def _repair(self, place: _FieldPlace, given: Any, failure: FieldFailure) -> None:
        self._tried.add(place.path)
        try:
            repair = repaired(place.kind, given, self._how)
            if repair.written is not None:
                self._take_currency(place, repair.written)
        except Refused as refused:
            raise Unmendable(failure._replace(what=str(refused), given=given)) from None
        except Doubtful as either:
            failure = FieldFailure(failure.path, "doubtful", str(either), given)
            self._doubtful[place.path] = failure
            self._do_without(place, "several", failure)
            return
        except LeftOut as left_out:
            self._do_without(place, left_out.problem, failure)
            return
        if repair.value is None:
            self._take_as_absent(place, failure)
            return
        place.holder[place.key] = repair.value
        self._note(place.path, given, repair.problem, kept=True)

    def _take_as_absent(self, place: _FieldPlace, failure: FieldFailure) -> None:
        kind, given = place.kind, place.given
        others = [key for key in kind.keys if key != place.key and key in place.holder]
        if isinstance(place.key, int) or (kind.required and not others):
            self._do_without(place, "missing", failure)
            return
        if given is not None and kind.kind != "object":
            self._note(place.path, given, "empty", kept=True)
        if isinstance(given, str) and kind.nullable and len(kind.keys) == 1:
            place.holder[place.key] = None  # said to be none, which is more than not said
        else:
            place.remove()

    def _do_without(self, place: _FieldPlace, problem: Problem, failure: FieldFailure) -> None:
        if problem == "unreadable" and place.kind.kind in ("amount", "deduction"):
            failure = failure._replace(what="not an amount")
        if place.kind.strict:
            raise Unmendable(failure)
        given = failure.given if problem == "missing" and place.given is None else place.given
        if place.kind.required:
            if place.member is None:
                raise Unmendable(failure)
            self._going.append(place.member)
        else:
            place.remove()
        self._note(place.path, given, problem, kept=False)

    def _let_members_go(self) -> None:
        """Take the members out of their lists, the last ones first."""
        going = {(id(each.members), each.place): each for each in self._going}
        self._going = []
        for (_, index), each in sorted(going.items(), key=lambda item: -item[1].place):
            gone = each.members.pop(index)
            self._numbers_of(each.members, longer_by=1).pop(index)
            without = getattr(each.model, "without_member", None)
            if without is not None:
                without(each.owner, each.field, gone)

    def _take_currency(self, place: _FieldPlace, written: WrittenAmount) -> None:
        """Take over the currency that an amount names, where nothing else does. Raises LeftOut when
        it is another one than is stated."""
        if not written.currency:
            return
        holders: list[tuple[dict[str, Any], Path]] = [(place.holder, place.path[:-1])]
        if place.member is not None:
            holders.insert(0, (place.member.owner, ()))
        for holder, path in holders:
            stated = holder.get("currency")
            if is_empty(stated):
                holder["currency"] = written.currency
                if not written.certain:
                    self._note((*path, "currency"), stated, "assumed", kept=True)
                return
            code = read_currency(stated) if isinstance(stated, str) else None
            if code in (None, written.currency) or not written.certain:
                return
        raise LeftOut("several")

    def _see_that_its_sum_is_known(self, checked: BaseModel) -> None:
        """Raises Unmendable where an amount was left out on which the sum hangs."""
        hangs_on = getattr(checked, "hangs_on", None)
        for path, failure in self._doubtful.items():
            if hangs_on is not None and hangs_on(path):
                raise Unmendable(failure)

    def _note_assumed(self) -> None:
        for path, given in self._assumed:
            if path not in self._odd:
                self._note(path, given, "assumed", kept=True)

    def _note(self, path: Path, given: Any, problem: Problem, *, kept: bool) -> None:
        before = self._odd.get(path)
        value = shown(given) if before is None else before.value
        self._odd[path] = OddField(".".join(map(str, path)), value, problem, kept)

    def _place(self, path: Path) -> _FieldPlace | None:
        """Return where a path leads as far as the models know; None for the data itself."""
        model, holder, named, member = self._model, self._data, Path(), None
        rest = list(path)
        while rest and isinstance(holder, dict):
            kinds, within = field_kinds(model), holder
            key: Any = str(rest.pop(0))
            kind = kinds.get(key)
            if kind is None and rest:
                within, outer, key = holder.get(key, {}), key, str(rest.pop(0))
                kind = kinds.get((outer, key))
            if kind is None:
                return None
            if key not in within:
                key = next((each for each in kind.keys if each in within), key)
            named = (*named, kind.name)
            value = within.get(key)
            if rest and isinstance(rest[0], int) and isinstance(value, list):
                index = rest.pop(0)
                assert isinstance(index, int)
                named = (*named, self._numbers_of(value)[index])
                member = _ListMember(model, holder, kind.name, value, index)
                if not rest or kind.model is None or not isinstance(value[index], dict):
                    own = member_kind(model, kind.name)
                    return _FieldPlace(value, index, own, named, model, member)
                model, holder = kind.model, value[index]
            elif rest and kind.model is not None and isinstance(value, dict):
                model, holder = kind.model, value
            else:
                return _FieldPlace(within, key, kind, named, model, member)
        return None

    def _numbers_of(self, members: list[Any], *, longer_by: int = 0) -> list[int]:
        known = self._numbers.get(id(members))
        if known is None:
            known = self._numbers[id(members)] = list(range(len(members) + longer_by))
        return known


def failures_of(error: ValidationError) -> list[FieldFailure]:
    """Return what a validation has refused."""
    return [
        FieldFailure(each["loc"], each["type"], problem_words(each), each["input"])
        for each in error.errors(include_url=False)
    ]


def _problem(failure: FieldFailure) -> Problem:
    if "too_long" in failure.type:
        return "too_long"
    if failure.type.startswith(("greater", "less", "finite", "decimal")):
        return "range"
    return "unreadable"


def _copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _copied(each) for name, each in data.items()}
    return [_copied(each) for each in data] if isinstance(data, list) else data
