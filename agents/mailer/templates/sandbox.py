"""What a template may do: nothing but words, and only for a while.

Jinja's immutable sandbox keeps templates from reaching Python, undefined variables are errors and
HTML is escaped. It bounds no resources, so loops and whatever makes long text of short text go
through guards that know the mail's deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agents.mailer.formats import FILTERS

HTML = ".html"
"""The end of the name of a template whose values are escaped."""

MAX_OUTPUT = 512 * 1024
"""Characters of one part. Gmail clips at 102 KB; five times that is a runaway loop."""
MAX_SECONDS = 2.0
"""A mail takes a quarter of a millisecond."""

MAX_POWER_BITS = 256
"""No price is as long as this."""

DEADLINE = "_deadline"
"""The variable with the guard of this mail."""


class Deadline:
    """Ends a mail that takes too long."""

    __slots__ = ("_at", "_monotonic", "_steps")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._at = monotonic() + MAX_SECONDS
        self._steps = 0

    def check(self) -> None:
        """Raises SecurityError when the time is over."""
        if self._monotonic() > self._at:
            raise SecurityError(f"takes longer than {MAX_SECONDS:g} s")

    def step(self) -> None:
        """One turn of a loop. Raises SecurityError."""
        self._steps += 1
        if self._steps % 64 == 0:
            self.check()


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja as the mails use it."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, load: Callable[[str], str | None]) -> None:
        super().__init__(
            loader=FunctionLoader(lambda name: _loaded(load(name), name)),
            undefined=StrictUndefined,
            finalize=_nothing_for_none,
            autoescape=lambda name: name is not None and name.endswith(HTML),
            auto_reload=False,
            cache_size=-1,
        )
        self.filters.update(FILTERS)
        self.filters[_BOUNDED] = _bounded

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None,
        defer_init: bool = False,
    ) -> str:  # fmt: skip
        for loop in source.find_all(nodes.For):
            loop.iter = nodes.Filter(
                loop.iter, _BOUNDED, [], [], None, None, lineno=loop.lineno
            ).set_environment(self)
        return super()._generate(source, name, filename, defer_init)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute`; of a dict, which nearly all values are, a key comes first.

        Data can't reach Python, so it needs no check, and `order.items` is what the shop sent.
        """
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what is intercepted, unless it would be huge. Raises SecurityError."""
        if operator == "*":
            _check_product(left, right)
            _check_product(right, left)
        elif operator == "**":
            _check_power(left, right)
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("text % value can't be used; write text ~ value")
        return super().call_binop(context, operator, left, right)


_BOUNDED = "_bounded"


@pass_context
def _bounded(context: Context, items: Iterable[Any]) -> Iterator[Any] | Iterable[Any]:
    """Let a loop go on until the mail's time is over."""
    deadline: Deadline | None = context.get(DEADLINE)
    if deadline is None or (isinstance(items, (list, tuple)) and not items):
        return items
    return _Guarded(items, deadline)


class _Guarded:
    """An iterable that asks the deadline at each step; `loop.last` may ask for its length."""

    __slots__ = ("_deadline", "_items")

    def __init__(self, items: Iterable[Any], deadline: Deadline) -> None:
        self._items = items
        self._deadline = deadline

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._deadline.step()
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type] # Jinja falls back on TypeError


def _check_product(text: Any, times: Any) -> None:
    long = isinstance(text, (str, list, tuple)) and isinstance(times, int)
    if long and len(text) * times > MAX_OUTPUT:
        raise SecurityError(f"{len(text)} × {times} is too much for a mail")


def _check_power(base: Any, exponent: Any) -> None:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and base.bit_length() * abs(exponent) > MAX_POWER_BITS:
        raise SecurityError(f"a power of {exponent} is too much for a mail")


def _loaded(
    source: str | None, name: str
) -> tuple[str, str | None, Callable[[], bool] | None] | None:
    return None if source is None else (source, name, lambda: True)


def _nothing_for_none(value: Any) -> Any:
    return "" if value is None else value
