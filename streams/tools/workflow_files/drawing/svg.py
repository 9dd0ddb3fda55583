"""A picture as an SVG file: text as text, in the system's letters, light and dark, nothing from
elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from streams.tools.workflow_files.drawing.layout import (
    HEAD,
    LABEL,
    LINE,
    NOTE,
    SPACED,
    TITLE,
    Arrow,
    Drawing,
    Frame,
    TextLine,
    lay_out,
)
from streams.tools.workflow_files.drawing.picture import Kind, Picture

_COLOURS: Mapping[Kind, tuple[str, str]] = {
    "begins": ("#2563c9", "#82b1ff"), "ends": ("#b42318", "#ff9388"),
    "done": ("#5f6878", "#98a2b3"),
    "informative": ("#0b7a70", "#4fd1c1"), "promotional": ("#b93f0c", "#ff9d66"),
    "transactional": ("#45556b", "#a9b8cc"), "wait": ("#7a6740", "#d8c596"),
    "way": ("#7033d6", "#bda2ff"), "act": ("#566579", "#a3b3c7"), "notify": ("#8a5a00", "#edc661"),
    "call": ("#2563c9", "#82b1ff"), "goal": ("#177a3b", "#62d58d"), "exit": ("#5f6878", "#98a2b3"),
}  # fmt: skip
"""Light and dark; as text on their ground all have a contrast of 4.5 or more."""

_FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
_CORNER = 10
_STRIPE = 5

_LIGHT = {"ground": "#f7f6f3", "box": "#ffffff", "edge": "#dcd9d2", "text": "#1f2328",
          "quiet": "#5c626b", "line": "#a29d92", "pill": "#ece9e2"}  # fmt: skip
_DARK = {"ground": "#15171a", "box": "#1f2226", "edge": "#363b42", "text": "#eceef0",
         "quiet": "#a4acb6", "line": "#6f7782", "pill": "#2b2f35"}  # fmt: skip


def svg(picture: Picture) -> str:
    """Return the picture as the text of an SVG file."""
    drawing = lay_out(picture)
    wide, tall = f"{drawing.width:g}", f"{drawing.height:g}"
    name = escape(picture.id)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{tall}" '
        f'viewBox="0 0 {wide} {tall}" lang="{picture.language}" role="img" '
        f'aria-labelledby="{name}-title" aria-describedby="{name}-desc">',
        f'<title id="{name}-title">{_clean(picture.title)}</title>',
        f'<desc id="{name}-desc">{_clean(picture.told())}</desc>',
        f"<style>{_style(drawing)}</style>",
        f'<rect class="ground" width="{wide}" height="{tall}" rx="14"/>',
        *map(_line, drawing.lines),
        *(
            f'<rect class="pill" x="{_n(pill.x)}" y="{_n(pill.y)}" width="{_n(pill.width)}" '
            f'height="{_n(pill.height)}" rx="9"/>'
            for pill in drawing.pills
        ),
        *(part for frame in drawing.frames for part in _frame(frame)),
        *map(_text, drawing.texts),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style(drawing: Drawing) -> str:
    kinds = list(dict.fromkeys(frame.box.kind for frame in drawing.frames))
    sizes = (
        f"text{{font-family:{_FONT};font-size:{LINE}px}}"
        f".head{{font-size:{HEAD}px;font-weight:700}}.title{{font-size:{TITLE}px;font-weight:600}}"
        f".note{{font-size:{NOTE}px}}.step{{font-size:{LABEL}px;text-anchor:end}}"
        f".label{{font-size:{LABEL}px;font-weight:700;letter-spacing:{SPACED}px;"
        "text-transform:uppercase}.choice{font-weight:600}.middle{text-anchor:middle}"
        "path{fill:none;stroke-width:1.5}.tip{stroke:none}.dashed{stroke-dasharray:4 4}"
    )
    dark = _colours(_DARK, kinds, 1)
    return f"{sizes}{_colours(_LIGHT, kinds, 0)}@media (prefers-color-scheme:dark){{{dark}}}"


def _colours(of: Mapping[str, str], kinds: Sequence[Kind], scheme: int) -> str:
    fixed = (
        f".ground{{fill:{of['ground']}}}.box{{fill:{of['box']};stroke:{of['edge']}}}"
        f"text{{fill:{of['text']}}}.line,.note,.step,.due{{fill:{of['quiet']}}}"
        f"path{{stroke:{of['line']}}}.tip{{fill:{of['line']}}}.pill{{fill:{of['pill']}}}"
    )
    return fixed + "".join(f".{kind}{{fill:{_COLOURS[kind][scheme]}}}" for kind in kinds)


def _frame(frame: Frame) -> Iterator[str]:
    x, y, wide, tall = map(_n, (frame.x, frame.y, frame.width, frame.height))
    if frame.box.kind == "done":
        yield f'<rect class="box" x="{x}" y="{y}" width="{wide}" height="{tall}" rx="14"/>'
        return
    dashed = " dashed" if frame.box.kind == "ends" else ""
    size = f'width="{wide}" height="{tall}" rx="{_CORNER}"'
    yield f'<rect class="box{dashed}" x="{x}" y="{y}" {size}/>'
    yield f'<path class="{frame.box.kind}" style="stroke:none" d="{_stripe(frame)}"/>'


def _stripe(frame: Frame) -> str:
    """Return the coloured left edge of a box, round where the box is."""
    x, top, bottom = frame.x, frame.y, frame.y + frame.height
    sunk = _CORNER - math.sqrt(_CORNER**2 - (_CORNER - _STRIPE) ** 2)
    arc = f"A{_CORNER} {_CORNER} 0 0 0"
    return (
        f"M{_n(x + _STRIPE)} {_n(top + sunk)}{arc} {_n(x)} {_n(top + _CORNER)}"
        f"V{_n(bottom - _CORNER)}{arc} {_n(x + _STRIPE)} {_n(bottom - sunk)}z"
    )


def _line(line: Arrow) -> str:
    dashed = ' class="dashed"' if line.dashed else ""
    path = f'<path{dashed} d="{_rounded(line.points)}"/>'
    return path + _tip(line) if line.arrow else path


def _rounded(points: Sequence[tuple[float, float]]) -> str:
    """Return the path through the points, round at its corners."""
    made = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(here, before), _towards(here, after)
        made += f"L{_p(near)}Q{_p(here)} {_p(far)}"
    return made + f"L{_p(points[-1])}"


def _towards(here: tuple[float, float], there: tuple[float, float]) -> tuple[float, float]:
    """Return the point a corner's radius away from `here`, no further than half of the way."""
    across, down = there[0] - here[0], there[1] - here[1]
    length = max(abs(across), abs(down)) or 1
    part = min(_CORNER, length / 2) / length
    return here[0] + across * part, here[1] + down * part


def _tip(line: Arrow) -> str:
    (x0, y0), (x, y) = line.points[-2:]
    if y == y0:
        back = -8 if x > x0 else 8
        return f'<path class="tip" d="M{_n(x)} {_n(y)}l{back} -4.5v9z"/>'
    return f'<path class="tip" d="M{_n(x)} {_n(y)}l-4.5 -8h9z"/>'


def _text(text: TextLine) -> str:
    names = " ".join(name for name in (text.style, text.kind, "middle" * text.middle) if name)
    place = f'x="{_n(text.x)}" y="{_n(text.y)}"'
    return f'<text class="{names}" {place}>{_clean(text.text)}</text>'


def _clean(text: str) -> str:
    """Return text as XML can hold it: without control characters."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text), quote=False)


def _p(point: tuple[float, float]) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _n(number: float) -> str:
    return f"{round(number, 1):g}"
