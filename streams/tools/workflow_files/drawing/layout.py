"""Where everything stands: steps below each other, the arms of a branch side by side.

Every sequence has an axis, on which its boxes stand, and reaches so far to both sides of it. A
branch's arms stand side by side, the branch itself above the middle of them, and those that lead on
meet again below. All lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from streams.tools.workflow_files.drawing.letters import width, wrapped
from streams.tools.workflow_files.drawing.picture import Box, Picture, leads_on

BOX = 304
"""Width of a box: one of them on a telephone, three side by side on a desk."""
PADDING = 16
TITLE, LINE, LABEL, NOTE, HEAD = 15, 12.5, 10, 12, 22
"""Sizes of the letters."""
SPACED = 0.6
"""Room between the letters of a label."""
_LEADING = 1.42
_ARM_GAP = 32
_STEM = 18
"""An arrow's length where nothing stands at it, half of one where something does."""
_BUS = 20
"""From a box to the line that its arms hang on."""
_PILL = 8
"""Around the words at an arrow."""
_MARGIN = 32
_ASIDE = 56
"""From the beginning to what stands beside it."""

Style = Literal["label", "title", "line", "step", "due", "choice", "note", "head"]


class TextLine(NamedTuple):
    """A line of text; `y` is its base line."""

    style: Style
    x: float
    y: float
    text: str
    middle: bool = False
    kind: str = ""
    """Of the box whose label it is."""


class Arrow(NamedTuple):
    """A line from point to point, with an arrow's head at its end or not."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = False
    dashed: bool = False


class Pill(NamedTuple):
    """A small rounded field behind words at an arrow."""

    x: float
    y: float
    width: float
    height: float


class Frame(NamedTuple):
    """A box."""

    box: Box
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Drawing:
    """A picture, with the place of everything."""

    width: float = 0
    height: float = 0
    frames: list[Frame] = field(default_factory=list)
    lines: list[Arrow] = field(default_factory=list)
    pills: list[Pill] = field(default_factory=list)
    texts: list[TextLine] = field(default_factory=list)


class _Reach(NamedTuple):
    """How far something reaches to both sides of its axis."""

    left: float
    right: float


def lay_out(picture: Picture) -> Drawing:
    """Return the place of everything in a picture."""
    drawing = Drawing()
    reach = _reach(picture.boxes)
    beside = BOX / 2 + _ASIDE + BOX if picture.ends else 0
    axis = _MARGIN + reach.left
    drawing.width = round(axis + max(reach.right, beside) + _MARGIN)
    top = _head(drawing, picture)
    below = _beginning(drawing, picture, axis, top)
    end = _sequence(drawing, picture.boxes, axis, below.begins)
    if leads_on(picture.boxes):
        end = _finish(drawing, picture.done, axis, end)
    drawing.height = round(max(end, below.aside) + _MARGIN)
    return drawing


class _Below(NamedTuple):
    begins: float
    aside: float


def _head(drawing: Drawing, picture: Picture) -> float:
    room = drawing.width - 2 * _MARGIN
    y: float = _MARGIN
    for line in wrapped(picture.title, room, HEAD, bold=True):
        y += HEAD * 1.1
        drawing.texts.append(TextLine("head", _MARGIN, y, line))
    for line in wrapped(" · ".join((picture.id, *picture.notes)), room, NOTE):
        y += NOTE * 1.6
        drawing.texts.append(TextLine("note", _MARGIN, y, line))
    return y + 28


def _beginning(drawing: Drawing, picture: Picture, axis: float, top: float) -> _Below:
    begins = _box(drawing, picture.begins, axis - BOX / 2, top)
    aside, x = top, axis + BOX / 2 + _ASIDE
    for box in picture.ends:
        middle = top + 24 if aside == top else aside + 24
        bottom = _box(drawing, box, x, aside)
        if aside == top:
            drawing.lines.append(
                Arrow(((x - _ASIDE, middle), (x, middle)), arrow=True, dashed=True)
            )
        else:
            branching = x - _ASIDE / 2
            points = ((branching, top + 24), (branching, middle), (x, middle))
            drawing.lines.append(Arrow(points, arrow=True, dashed=True))
        aside = bottom + _STEM
    return _Below(begins, aside - _STEM)


def _sequence(drawing: Drawing, boxes: Sequence[Box], axis: float, y: float) -> float:
    """Place boxes below each other from `y` on, where something leads to; return where it ends."""
    for box in boxes:
        y = _box(drawing, box, axis - BOX / 2, _arrow(drawing, axis, y, box.due))
        if box.arms:
            y = _arms(drawing, box, axis, y)
    return y


def _arrow(drawing: Drawing, axis: float, y: float, words: str) -> float:
    """Lead down to the next box, past the words that say when; return where that begins."""
    start = y
    if words:
        y = _words(drawing, "due", words, axis, y + _STEM, BOX - 2 * _PILL)
    y += _STEM * (1 if words else 1.5)
    drawing.lines.append(Arrow(((axis, start), (axis, y)), arrow=True))
    return y


def _words(drawing: Drawing, style: Style, words: str, axis: float, y: float, room: float) -> float:
    """Place words at a line, in a pill; return where it ends."""
    bold, kind = (True, "way") if style == "choice" else (False, "")
    lines = wrapped(words, room - 2 * _PILL, LINE, bold=bold)
    wide = max((width(line, LINE, bold=bold) for line in lines), default=0) + 2 * _PILL
    tall = len(lines) * LINE * _LEADING + _PILL
    drawing.pills.append(Pill(axis - wide / 2, y, wide, tall))
    for number, line in enumerate(lines, start=1):
        base = y + _PILL / 2 + number * LINE * _LEADING - LINE * 0.36
        drawing.texts.append(TextLine(style, axis, base, line, middle=True, kind=kind))
    return y + tall


def _box(drawing: Drawing, box: Box, x: float, y: float) -> float:
    """Place a box; return where it ends."""
    room, top = BOX - 2 * PADDING, y
    y += 13
    label = room - (width(box.step, LABEL) + _PILL if box.step else 0)
    for number, text in enumerate(_labels(box.label, label)):
        y += LABEL * (1.05 if number == 0 else _LEADING)
        if number == 0 and box.step:
            drawing.texts.append(TextLine("step", x + BOX - PADDING, y, box.step))
        drawing.texts.append(TextLine("label", x + PADDING, y, text, kind=box.kind))
    y += 4
    for text in wrapped(box.title, room, TITLE, bold=True):
        y += TITLE * _LEADING
        drawing.texts.append(TextLine("title", x + PADDING, y, text))
    for each in box.lines:
        y += 2
        for text in wrapped(each, room, LINE):
            y += LINE * _LEADING
            drawing.texts.append(TextLine("line", x + PADDING, y, text))
    y += 15
    drawing.frames.append(Frame(box, x, top, BOX, y - top))
    return y


def _labels(label: str, room: float) -> list[str]:
    spread = 1 + SPACED / (LABEL * 0.7)
    return [line.lower() for line in wrapped(label.upper(), room / spread, LABEL, bold=True)]


def _arms(drawing: Drawing, box: Box, axis: float, y: float) -> float:
    """Place the arms side by side and let those that lead on meet; return where that is."""
    bus, starts = y + _BUS, list(_axes(box, axis))
    tails: list[tuple[float, float]] = []
    bottom = bus
    for arm, start in zip(box.arms, starts, strict=True):
        room = sum(_arm_reach(arm.boxes, arm.label))
        end = _words(drawing, "choice", arm.label, start, bus + _STEM, room)
        drawing.lines.append(Arrow(((axis, y), (axis, bus), (start, bus), (start, end))))
        end = _sequence(drawing, arm.boxes, start, end)
        if leads_on(arm.boxes):
            tails.append((start, end))
        bottom = max(bottom, end)
    if not tails:
        return bottom
    meeting = bottom + _BUS
    for start, end in tails:
        drawing.lines.append(
            Arrow(((start, end), (start, meeting), (axis, meeting), (axis, meeting + 1)))
        )
    return meeting


def _finish(drawing: Drawing, done: Box, axis: float, y: float) -> float:
    top = _arrow(drawing, axis, y, "")
    wide, tall = width(done.title, LINE, bold=True) + 4 * _PILL, LINE + 2 * _PILL
    drawing.frames.append(Frame(done, axis - wide / 2, top, wide, tall))
    drawing.texts.append(
        TextLine("choice", axis, top + tall / 2 + LINE * 0.36, done.title, middle=True)
    )
    return top + tall


def _reach(boxes: Sequence[Box]) -> _Reach:
    left = right = BOX / 2
    for box in boxes:
        if box.arms:
            half = sum(_wide(box)) / 2 + _ARM_GAP * (len(box.arms) - 1) / 2
            left, right = max(left, half), max(right, half)
    return _Reach(left, right)


def _wide(box: Box) -> Iterator[float]:
    return (sum(_arm_reach(arm.boxes, arm.label)) for arm in box.arms)


def _arm_reach(boxes: Sequence[Box], label: str) -> _Reach:
    """An arm without steps needs only the room of its words."""
    if boxes:
        return _reach(boxes)
    half = min(BOX, width(label, LINE, bold=True) + 4 * _PILL) / 2
    return _Reach(half, half)


def _axes(box: Box, axis: float) -> Iterator[float]:
    """Yield the axis of each arm: all of them together stand in the middle below the box."""
    left = axis - (sum(_wide(box)) + _ARM_GAP * (len(box.arms) - 1)) / 2
    for arm in box.arms:
        reach = _arm_reach(arm.boxes, arm.label)
        yield left + reach.left
        left += sum(reach) + _ARM_GAP
