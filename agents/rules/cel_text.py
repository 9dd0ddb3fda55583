"""The text of an expression in CEL: compiled, and read for the names, functions and loops in it.

The library checks no names and no types when it compiles, so whoever takes expressions finds what
they name (`paths`) and puts something of its own there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import cel

MAX_LENGTH = 1000
"""Characters. Keeps nesting away from the parser's limits, and from what anybody can review."""

MAX_LOOPS = 2
"""`exists`, `map` and the like: two over lists of 200 are 40,000 steps, three are 8 million."""

FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string",
     "bytes", "timestamp", "duration", "type", "dyn", "getFullYear", "getMonth", "getDate",
     "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds"}
)  # fmt: skip
_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_WORDS = frozenset({"true", "false", "null", "in"})

_TOKEN = re.compile(
    r"""(?P<text>[rRbB]{0,2}(?:'{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
      | (?P<skip>\s+|//[^\n]*)
      | (?P<number>\.?\d[\w.]*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


EXAMPLE = """stato == "PAGATO" && totale > 10.0"""
"""Of a condition, for who has written one otherwise."""

_IN_HAS = "invalid argument to has() macro"
_PLACE = re.compile(r"<input>:1:(\d+): ")
_OTHER_SIGNS = {"and": "&&", "or": "||", "not": "!"}
_QUOTES = frozenset("“”„«»‘’")


class ExpressionError(ValueError):
    """An expression that can't be used."""


class HasNoField(ExpressionError):
    """What stands in `has(…)` is no path in the library's sense."""


class Token(NamedTuple):
    """A word, a text, a number or a sign."""

    kind: str
    text: str
    start: int
    end: int


def parsed(text: str) -> cel.Program:
    """Return an expression, compiled. Raises ExpressionError."""
    # Imports its own command line: 50 ms for what few files need.
    import cel  # noqa: PLC0415  # see above

    try:
        return cel.compile(text)
    except ValueError as error:
        check_signs(text)
        if _IN_HAS in str(error):
            raise HasNoField("has(…): expected a path in it, such as has(value.email)") from None
        place = _PLACE.search(str(error))
        where = "" if place is None else f" at character {place[1]}"
        if place is not None and int(place[1]) > len(text):
            where = " at its end, where something is missing or a bracket or quotation mark is open"
        raise ExpressionError(f"no expression in CEL{where}; such as {EXAMPLE}") from None


def check_signs(text: str) -> None:
    """Raise ExpressionError for a sign of another language, saying CEL's."""
    tokens = written_tokens(text)
    for index, token in enumerate(tokens):
        after = tokens[index + 1].text if index + 1 < len(tokens) else ""
        before = text[token.start - 1 : token.start]
        meant = ""
        if token.kind == "word" and before != ".":
            meant = _OTHER_SIGNS.get(token.text.lower(), "")
        elif token.text == "=" and before not in ("=", "!", "<", ">") and after != "=":
            meant = "=="
        elif token.text == "<" and after == ">":
            meant = "!="
        elif token.text in _QUOTES:
            meant = '"'
        if meant:
            said = "<>" if meant == "!=" else token.text
            raise ExpressionError(f"{said} at character {token.start + 1}: CEL writes {meant}")


def written_tokens(text: str) -> list[Token]:
    """Return the tokens without blanks and comments."""
    return [token for token in _tokens(text) if token.kind != "skip"]


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        yield Token(str(match.lastgroup), match[0], match.start(), match.end())


def check_call_names(program: cel.Program, known: Collection[str] = FUNCTIONS) -> None:
    """Raise ExpressionError for a function that there is none of."""
    for function in program.functions():
        if function.isidentifier() and function not in known:
            near = get_close_matches(function, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise ExpressionError(f"no such function: {function}; {hint}")


def check_loop_count(text: str, most: int = MAX_LOOPS) -> None:
    """Raise ExpressionError for more loops than can be waited for."""
    tokens = written_tokens(text)
    loops = sum(1 for dot, name in pairwise(tokens) if dot.text == "." and name.text in _LOOPS)
    if loops > most:
        raise ExpressionError(f"{loops} loops (exists, map…), at most {most} are possible")


def paths(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the names with what follows them: `orders.count`, `run.results["reminder"]`.

    Not those that a loop gives its items, nor functions and methods.
    """
    items = {
        tokens[index + 3].text
        for index in range(len(tokens) - 4)
        if tokens[index].text == "."
        and tokens[index + 1].text in _LOOPS
        and tokens[index + 2].text == "("
        and tokens[index + 4].text == ","
    }
    for index, token in enumerate(tokens):
        first = token.kind == "word" and (index == 0 or tokens[index - 1].text != ".")
        if not first or token.text in _WORDS or token.text in items:
            continue
        path = _follow(tokens, index)
        if path:
            yield path


def _follow(tokens: Sequence[Token], index: int) -> list[Token]:
    path, brackets = [tokens[index]], False
    index += 1
    while index + 1 < len(tokens):
        opening, name = tokens[index], tokens[index + 1]
        brackets = opening.text == "[" and name.kind == "text"
        if opening.text == "." and name.kind == "word":
            path.append(name)
            index += 2
        elif brackets and index + 2 < len(tokens) and tokens[index + 2].text == "]":
            text = name.text.strip("rRbB").strip("'\"")
            path.append(name._replace(text=text, end=tokens[index + 2].end))
            index += 3
        else:
            break
    called = index < len(tokens) and tokens[index].text == "("
    return path[:-1] if called else path


def first_sentence(error: Exception) -> str:
    """Return why an expression failed, in plain words, else what the library says without its
    advice."""
    said = str(error).partition(". ")[0][:200]
    if said.startswith("No such overload"):
        return (
            "values of different kinds: whole numbers, decimals, texts and what isn't there don't "
            "mix; double(…), int(…) and string(…) make one of the other"
        )
    if (undefined := re.fullmatch(r"Undefined variable or function: '(\w+)'", said)) is not None:
        return f"{undefined[1]} can't be asked of such a value"
    if (function := re.match(r"Function '(\w+)' error: string parse error", said)) is not None:
        return f"{function[1]}(…): the text is no number"
    return said
