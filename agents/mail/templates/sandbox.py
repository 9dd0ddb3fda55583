"""The sandbox of templates: no way to Python, and bounds on time and output.

Jinja's immutable sandbox keeps templates from reaching Python, undefined variables are errors and
HTML is escaped. It bounds no resources, so there are few filters and no way to make long text of
short text, loops look at the clock, and every value that is written is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from jinja2 import FunctionLoader, StrictUndefined, nodes, pass_context, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from agents.mail.message.formats import FILTERS
from agents.mail.templates.variables import MAX_TEXT, OpenMapping

HTML = ".html"
"""The end of the name of a template whose values are escaped."""

MAX_OUTPUT = 512 * 1024
"""Characters of one part. Gmail clips at 102 KB; five times that is a runaway loop."""
MAX_WRITTEN = 4 * MAX_OUTPUT
"""Characters of all values that a mail writes: three parts, and blocks write into blocks."""
MAX_SECONDS = 2.0
"""A mail takes a quarter of a millisecond."""

GUARD = "guard of this mail"
"""Under which it lies among the variables. No template can name it: it is no identifier."""

MAX_CALLS = 20_000
"""Of macros, blocks and methods in a mail; the longest of ours makes some hundreds."""

_MAX_POWER_BITS = 256
"""No price is as long as this."""

_JINJAS_FILTERS = frozenset(
    {"abs", "batch", "capitalize", "d", "default", "escape", "e", "first", "float", "groupby"}
    | {"int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject"}
    | {"rejectattr", "reverse", "round", "select", "selectattr", "sort", "string", "striptags"}
    | {"sum", "title", "trim", "truncate", "unique", "upper", "urlencode"}
)
"""The others format, indent, or undo the escaping."""

_TEXT_METHODS = frozenset({"format", "lower", "upper", "title", "capitalize", "strip", "split"})
_TEXT_METHODS |= {"startswith", "endswith"}
"""What a text can be asked; the others pad, or multiply."""

_BOUNDED, _JOINED = "_bounded", "_joined"


class Guard:
    """Ends a mail that takes too long or writes too much."""

    __slots__ = ("_calls", "_end", "_iterations", "_monotonic", "_written")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """`monotonic` returns seconds."""
        self._monotonic = monotonic
        self._end = monotonic() + MAX_SECONDS
        self._calls = 0
        self._iterations = 0
        self._written = 0

    def check_time(self) -> None:
        """Raises SecurityError when the time is over."""
        if self._monotonic() > self._end:
            raise SecurityError(f"takes longer than {MAX_SECONDS:g} s")

    def count_iteration(self) -> None:
        """Count one iteration of a loop. Raises SecurityError."""
        self._iterations += 1
        if self._iterations % 64 == 0:
            self.check_time()

    def count_call(self) -> None:
        """Count one call: a macro that calls itself twice needs no loop. Raises SecurityError."""
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise SecurityError(f"calls more than {MAX_CALLS} macros and methods")
        self.check_time()

    def write(self, characters: int) -> None:
        """Count what a value writes. Raises SecurityError."""
        self._written += characters
        if self._written > MAX_WRITTEN:
            raise SecurityError(f"writes more than {MAX_WRITTEN // 1024} KB")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja as the mails use it."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, load: Callable[[str], str | None]) -> None:
        super().__init__(
            loader=FunctionLoader(lambda name: _loaded(load(name), name)),
            undefined=StrictUndefined,
            finalize=_written,
            autoescape=lambda name: name is not None and name.endswith(HTML),
            auto_reload=False,
            cache_size=-1,
        )
        self.globals = {"range": self.globals["range"]}
        self.filters = {name: self.filters[name] for name in _JINJAS_FILTERS} | FILTERS
        self.filters |= {_BOUNDED: _bounded, _JOINED: _joined, "batch": _batch}

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None,
        defer_init: bool = False,
    ) -> str:  # fmt: skip
        guarded = _Guarding().visit(source).set_environment(self)
        return super()._generate(guarded, name, filename, defer_init)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute`; of a dict, which nearly all values are, a key comes first.

        Data can't reach Python, so it needs no check, and `order.items` is what the shop sent.
        """
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
            if isinstance(obj, OpenMapping) and not hasattr(obj, attribute):
                return None
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may ask for an attribute."""
        if isinstance(obj, str) and attr not in _TEXT_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls. Raises SecurityError."""
        context.parent[GUARD].count_call()
        text = getattr(getattr(obj, "__wrapped__", None), "__self__", None)  # str.format
        if isinstance(text, str) and _pads(text):
            raise SecurityError(f"a format can't pad: {text[:40]!r}")
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what is intercepted, unless it would be huge. Raises SecurityError."""
        if operator == "**":
            _check_power(left, right)
        elif not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            raise SecurityError(f"{operator} is for numbers")
        return super().call_binop(context, operator, left, right)


def watched(names: set[str]) -> type[Context]:
    """Return a context that adds the name of each variable that is asked for to `names`."""

    class Watched(Context):
        def resolve_or_missing(self, key: str) -> Any:
            names.add(key)
            return super().resolve_or_missing(key)

    return Watched


class _Guarding(NodeTransformer):
    """Puts the guards into a parsed template."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  # Jinja calls it so
        """Loops look at the clock."""
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _BOUNDED, node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802  # as above
        """`a ~ b` has a limit."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _JOINED, node.lineno)


def _filtered(node: nodes.Node, name: str, line: int) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, [], [], None, None, lineno=line)


@pass_context
def _written(context: Context, value: Any) -> Any:
    """What becomes of a value that is written."""
    if value is None:
        return ""
    if value.__class__ is str or value.__class__ is Markup:
        context.parent[GUARD].write(len(value))
    return value


@pass_context
def _bounded(context: Context, items: Iterable[Any]) -> Iterable[Any]:
    """Let a loop go on until the mail's time is over."""
    return _Bounded(items, context.parent[GUARD])


class _Bounded:
    """An iterable that is guarded at each iteration; `loop.last` may ask for its length."""

    __slots__ = ("_guard", "_items")

    def __init__(self, items: Iterable[Any], guard: Guard) -> None:
        self._items = items
        self._guard = guard

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._guard.count_iteration()
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]  # Jinja expects the TypeError


@pass_eval_context
def _joined(context: EvalContext, parts: Sequence[Any]) -> str:
    if sum(len(part) for part in parts if isinstance(part, str)) > MAX_TEXT:
        raise SecurityError(f"makes a text of more than {MAX_TEXT // 1024} KB")
    return markup_join(parts) if context.autoescape else str_join(parts)


def _batch(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """`products | batch(2)`: pairs, the last one alone if they are odd."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _pads(text: str) -> bool:
    """Return whether a format asks for a width: `{:>9}`, `{:9999999}`."""
    return ":" in "".join(part.partition("}")[0] for part in text.split("{")[1:])


def _check_power(base: Any, exponent: Any) -> None:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if not whole or base.bit_length() * abs(exponent) > _MAX_POWER_BITS:
        raise SecurityError(f"a power of {exponent} is too much for a mail")


def _loaded(
    source: str | None, name: str
) -> tuple[str, str | None, Callable[[], bool] | None] | None:
    return None if source is None else (source, name, lambda: True)
