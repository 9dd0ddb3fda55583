"""Makes pydantic models of values that are known to be valid, without looking at each again.

To see of each value that it is of its type costs three times as much as the model itself. What is
made here is read again by whoever reads the topic, and looked at there; and mypy sees that the
values are those that the model asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, ParamSpec, TypeVar, get_args

from pydantic import BaseModel

from schemas.instant import EARLIEST, LATEST, Instant

_Model = TypeVar("_Model", bound=BaseModel)
_Values = ParamSpec("_Values")


class _Pattern(NamedTuple):
    values: dict[str, Any]
    """Every field in its order, with its default; what is required has none."""
    names: set[str]
    required: frozenset[str]
    instants: tuple[str, ...]


def made(
    model: Callable[_Values, _Model], /, *args: _Values.args, **values: _Values.kwargs
) -> _Model:
    """Return what `model(**values)` is, without looking at the values; only an instant that can't
    be written is refused, and a name that is missing or unknown to the model is what it is there:
    ValidationError, if the model says so.

    Of a frozen model whose defaults can't be changed either: TypeError where one is made anew each
    time.
    """
    kind: Any = model
    mould = _mould(kind)
    for name in mould.instants:
        instant = values.get(name)
        if instant is not None and not EARLIEST <= instant < LATEST:  # type: ignore[operator]  # an int
            return model(*args, **values)
    content = mould.values | values
    if args or len(content) > len(mould.names) or not mould.required <= values.keys():
        return model(*args, **values)
    made: _Model = _new(kind)
    _set(made, "__dict__", content)
    _set(made, "__pydantic_fields_set__", mould.names.copy())  # pydantic adds to it
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


_new, _set = object.__new__, object.__setattr__
_INSTANT = get_args(Instant)[1:]


@cache
def _mould(model: type[BaseModel]) -> _Pattern:
    fields = model.model_fields
    for name, field in fields.items():
        if field.default_factory is not None:
            raise TypeError(f"{model.__name__}.{name} has a default_factory, nothing to copy")
    return _Pattern(
        {name: field.default for name, field in fields.items()},
        set(fields),
        frozenset(name for name, field in fields.items() if field.is_required()),
        tuple(
            name
            for name, field in fields.items()
            if tuple(field.metadata) == _INSTANT or Instant in get_args(field.annotation)
        ),
    )
