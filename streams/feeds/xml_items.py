"""RSS 2.0 and Atom item by item, of any length: never more than one item is held.

Document types and entities are refused, so that nothing is read from elsewhere and nothing grows
(as defusedxml does it; expat's own events, since a tree would hold what has been read).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple
from xml.parsers.expat import ExpatError, ParserCreate

_CHUNK = 65_536
_ITEMS = frozenset({"item", "entry"})
_GOOGLE = "http://base.google.com/ns/1.0"
MAX_DEPTH = 20
MAX_ITEM_CHARACTERS = 500_000
MAX_FIELDS = 500
MAX_MARKUP_BYTES = 1 << 20
"""Of one tag or comment: expat before 2.6 reads one that isn't ended anew with each piece."""


class XmlProblem(Exception):
    """The file is no XML from here on; the text names the line."""


class XmlItem(NamedTuple):
    """An item, by the line on which it begins."""

    line: int
    fields: dict[str, str]
    """Text by the name of the element, without its prefix. Google's own name wins over the
    format's, and of several with the same name the first."""
    problem: str = ""
    """Why it can't be used, empty when it can."""


def xml_items(file: BinaryIO) -> Iterator[XmlItem]:
    """Yield the items of a feed. Raises XmlProblem; those before it have been yielded."""
    reader = _Items()
    while chunk := file.read(_CHUNK):
        reader.feed(chunk)
        yield from reader.taken()
    reader.feed(b"", is_last=True)
    yield from reader.taken()


class _Items:
    """Takes XML in pieces."""

    def __init__(self) -> None:
        self._parser: Any = ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._parser.UnparsedEntityDeclHandler = self._refuse
        self._parser.ExternalEntityRefHandler = self._refuse
        self._bytes = 0
        self._depth = 0
        self._done: list[XmlItem] = []
        self._item_depth = 0
        """0 while there is no item."""
        self._line = 0
        self._fields: dict[str, str] = {}
        self._by_google: set[str] = set()
        self._name = ""
        self._is_googles = False
        self._parts: list[str] = []
        self._characters = 0
        self._problem = ""

    def feed(self, chunk: bytes, *, is_last: bool = False) -> None:
        try:
            self._parser.Parse(chunk, is_last)
        except ExpatError as error:
            raise XmlProblem(f"line {error.lineno}: not XML: {error}") from None
        except (LookupError, ValueError) as error:  # of the encoding that it says it has
            raise XmlProblem(f"its encoding can't be read: {error!s:.200}") from None
        self._bytes += len(chunk)
        if self._bytes - self._parser.CurrentByteIndex > MAX_MARKUP_BYTES:
            raise XmlProblem(
                f"line {self._parser.CurrentLineNumber}: a tag or comment of more than "
                f"{MAX_MARKUP_BYTES:,} bytes"
            )

    def taken(self) -> list[XmlItem]:
        done, self._done = self._done, []
        return done

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise XmlProblem(
                f"line {self._parser.CurrentLineNumber}: nested deeper than {MAX_DEPTH} levels"
            )
        space, _, local = name.rpartition(" ")
        if not self._item_depth:
            if local in _ITEMS:
                self._item_depth = self._depth
                self._line = self._parser.CurrentLineNumber
                self._fields, self._by_google, self._problem = {}, set(), ""
                self._characters = 0
            return
        if self._depth == self._item_depth + 1:
            self._name, self._is_googles, self._parts = local, space == _GOOGLE, []
            if local == "link" and attributes.get("href"):
                relation = attributes.get("rel", "alternate")
                if relation == "alternate":  # of Atom, where the link is no text
                    self._text(attributes["href"])

    def _text(self, text: str) -> None:
        if not self._item_depth or self._depth != self._item_depth + 1:
            return  # between items, or inside what an element of an item has within
        self._characters += len(text)
        if self._characters > MAX_ITEM_CHARACTERS:
            self._problem = f"more than {MAX_ITEM_CHARACTERS:,} characters"
        else:
            self._parts.append(text)

    def _end(self, _name: str) -> None:
        if self._item_depth and self._depth == self._item_depth + 1:
            self._take_field()
        elif self._depth == self._item_depth:
            self._done.append(XmlItem(self._line, self._fields, self._problem))
            self._item_depth = 0
        self._depth -= 1

    def _take_field(self) -> None:
        text = "".join(self._parts).strip()
        known = self._name in self._fields
        if not text or (known and (not self._is_googles or self._name in self._by_google)):
            return
        if not known and len(self._fields) >= MAX_FIELDS:
            self._problem = f"more than {MAX_FIELDS} fields"
            return
        self._fields[self._name] = text
        if self._is_googles:
            self._by_google.add(self._name)

    def _refuse(self, *_: Any) -> Any:
        line = self._parser.CurrentLineNumber
        raise XmlProblem(f"line {line}: a document type or an entity is declared: it is not read")
