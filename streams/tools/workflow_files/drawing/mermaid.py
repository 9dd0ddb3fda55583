"""A picture as Mermaid text: a `flowchart TD` that wikis and code reviews draw by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from streams.tools.workflow_files.drawing.picture import Box, Kind, Picture

_SHAPES: Mapping[str, tuple[str, str]] = {
    "begins": ("(", ")"), "done": ("([", "])"), "goal": ("([", "])"), "exit": ("([", "])"),
    "wait": ("(", ")"), "way": ("{{", "}}"), "call": ("[[", "]]"),
}  # fmt: skip
_BOX = ("[", "]")

_COLOURS: Mapping[Kind, str] = {
    "begins": "#2f6fde", "ends": "#b91c1c", "done": "#6b7280", "informative": "#0b7a70",
    "promotional": "#c2410c", "transactional": "#475569", "wait": "#7d6d4d", "way": "#7c3aed",
    "act": "#5b6b80", "notify": "#946005", "call": "#2f6fde", "goal": "#15803d", "exit": "#6b7280",
}  # fmt: skip

_SPECIAL = re.compile(r'[#&<>"`%\\*_~{}\[\]]|:(?!\s)|^\s*(?:[-+]|\d+[.)])(?=\s)')
"""What Mermaid or the Markdown and HTML in it would take for its own, lists included.
A colon before a `#` makes it drop the last semicolon of a line with `style` in it."""

_Tail = tuple[str, str]
"""A node from which an arrow leads on, and the words that stand at it."""


def mermaid(picture: Picture) -> str:
    """Return the picture as Mermaid text."""
    title = json.dumps(f"{picture.title} ({picture.id})", ensure_ascii=False)
    return "\n".join(["---", f"title: {title}", "---", "flowchart TD", *_Writer(picture).lines, ""])


class _Writer:
    """One picture on its way to text."""

    def __init__(self, picture: Picture) -> None:
        self.lines: list[str] = []
        self._kinds: dict[Kind, None] = {}
        self._count = 0
        begins = self._node(picture.begins, more=picture.notes)
        tails = self._sequence(picture.boxes, [(begins, "")])
        if tails:
            self._arrows(tails, self._node(picture.done), "")
        for box in picture.ends:
            self.lines.append(f"  {begins} -. {_quoted(picture.any_time)} .-> {self._node(box)}")
        for kind in self._kinds:  # `call` alone is a word of Mermaid's own
            self.lines.append(f"  classDef is_{kind} stroke:{_COLOURS[kind]},stroke-width:2px")

    def _sequence(self, boxes: Sequence[Box], tails: list[_Tail]) -> list[_Tail]:
        """Write boxes that follow each other; return from where it goes on."""
        for box in boxes:
            if not tails:  # nothing leads there any more
                break
            node = self._node(box)
            self._arrows(tails, node, box.due)
            tails = self._after(box, node)
        return tails

    def _after(self, box: Box, node: str) -> list[_Tail]:
        if box.arms:
            return [
                tail for arm in box.arms for tail in self._sequence(arm.boxes, [(node, arm.label)])
            ]
        return [(node, "")] if box.leads_on else []

    def _node(self, box: Box, more: Sequence[str] = ()) -> str:
        self._count += 1
        self._kinds[box.kind] = None
        node = f"n{self._count}"
        left, right = _SHAPES.get(box.kind, _BOX)
        parts = [_escaped(box.label), f"<b>{_escaped(box.title)}</b>" if box.title else ""]
        parts += [_escaped(line) for line in (*box.lines, *more)]
        text = "<br/>".join(part for part in parts if part)
        self.lines.append(f'  {node}{left}"{text}"{right}:::is_{box.kind}')
        return node

    def _arrows(self, tails: Sequence[_Tail], node: str, due: str) -> None:
        for tail, label in tails:
            words = "<br/>".join(_escaped(part) for part in (label, due) if part)
            self.lines.append(
                f'  {tail} -->|"{words}"| {node}' if words else f"  {tail} --> {node}"
            )


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = " ".join(printable.split())
    return _SPECIAL.sub(lambda match: "".join(_entity(sign) for sign in match[0]), plain)


def _entity(sign: str) -> str:
    return sign if sign.isalnum() or sign.isspace() else f"#{ord(sign)};"
