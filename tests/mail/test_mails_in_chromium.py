"""What customers see: every block and every mail in a real browser, on a phone and on a desk, in
the light and in the dark. Only what can be decided is asked; the pictures are for looking at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.mail.settings import Shop
from agents.mail.templates.sample import FULL, with_pictures
from streams.mail.templates import load_renderer, read_sources
from tests.mail.chromium import chromium, needs_chromium
from tests.mail.pages import EVERYTHING, own_variables, renderer_of

PHONE, DESK = 375, 1280
WAYS = [(width, dark) for width in (PHONE, DESK) for dark in (False, True)]

SHOPS = [
    Shop(name="Bottega del Colle", url="https://shop.example", support_email="aiuto@shop.example"),
    Shop(
        name="Neve & Notte",
        url="https://shop.example",
        support_email="aiuto@shop.example",
        color="#ffd84d",  # white on it can't be read
        postal_address="Via dei Colli 4, 10024 Moncalieri (TO)",
    ),
]

LOOK = """(() => {
  const luminance = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const background = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const box = element => element.getBoundingClientRect();
  const shown = element => box(element).width > 1 && getComputedStyle(element).opacity > 0;
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode, parent = text.parentElement;
    if (!text.data.trim() || !shown(parent)) continue;
    const style = getComputedStyle(parent);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = contrast(numbers(style.color), background(parent));
    if (ratio < (large ? 3 : 4.5)) faint.push([text.data.trim(), style.color, ratio]);
  }
  return {
    wide: document.documentElement.scrollWidth,
    widest: Math.max(...[...document.querySelectorAll('.sheet')].map(e => box(e).width)),
    page: getComputedStyle(document.body).backgroundColor,
    sheet: getComputedStyle(document.querySelector('.sheet')).backgroundColor,
    buttons: [...document.querySelectorAll('.button a')].map(e => [box(e).width, box(e).height]),
    images: [...document.images].map(e => [e.alt, box(e).width, box(e).height, e.naturalWidth]),
    faint,
    asked: performance.getEntriesByType('resource').map(e => e.name),
  };
})()"""


def check(seen: dict[str, Any], width: int, *, dark: bool) -> None:
    assert seen["wide"] <= width
    assert seen["widest"] <= 600
    assert (seen["page"], seen["sheet"]) == (
        ("rgb(18, 18, 17)", "rgb(30, 29, 27)")
        if dark
        else ("rgb(245, 243, 238)", "rgb(255, 255, 255)")
    )
    assert all(height >= 44 for _, height in seen["buttons"])
    if width == PHONE:  # as wide as a thumb may reach
        assert all(wide >= 300 for wide, _ in seen["buttons"])
    for alt, wide, high, natural in seen["images"]:
        assert alt
        assert min(wide, high) >= 90
        assert natural > 0
    assert seen["faint"] == []
    assert all(name.startswith("data:") for name in seen["asked"])


@needs_chromium
async def test_every_block_and_mail_on_every_screen(tmp_path: Path) -> None:
    everything = renderer_of(EVERYTHING)
    mails = load_renderer(Path("workflows"))
    pages: dict[str, str] = {}
    for number, shop in enumerate(SHOPS):
        known = {**FULL, "shop": shop}
        pages[f"blocks-{number}"] = everything.render("x", "it", known).html
    for mail, language in mails.pages:
        if language == "it":
            known = {**own_variables(mail), **FULL, "shop": SHOPS[0]}
            pages[mail] = mails.render(mail, language, known).html
    async with chromium(tmp_path / "profile") as browser:
        for name, html in pages.items():
            file = tmp_path / f"{name}.html"
            file.write_text(with_pictures(html), encoding="utf-8")
            for width, dark in WAYS if name.startswith("blocks") else [(PHONE, True)]:
                await browser.show(file, width, dark=dark)
                seen = await browser.ask(LOOK)
                try:
                    check(seen, width, dark=dark)
                except AssertionError:
                    (tmp_path / f"{name}.png").write_bytes(await browser.picture())
                    print(f"{name} at {width}, dark: {dark}; see {tmp_path}", seen)
                    raise


@needs_chromium
async def test_it_can_fail(tmp_path: Path) -> None:
    """The same questions on a page that overflows, can't be read in the dark and has no picture."""
    sources = read_sources(Path("workflows"))
    frame = sources["_theme/frame.html.j2"].replace(".sheet .panel td", ".nothing")
    wide = 'src="https://pictures.example/wide.jpg" alt="wide" style="max-width:none"'
    images = f'<img width="700" height="9" {wide}> <img src="https://a.example/x" alt="gone">'
    html = (
        renderer_of(f"{EVERYTHING}<p>{images}</p>", **{"_theme/frame.html.j2": frame})
        .render("x", "it", {**FULL, "shop": SHOPS[0]})
        .html
    )
    file = tmp_path / "bad.html"
    file.write_text(with_pictures(html), encoding="utf-8")
    async with chromium(tmp_path / "profile") as browser:
        await browser.show(file, PHONE, dark=True)
        seen = await browser.ask(LOOK)
    assert seen["wide"] > PHONE
    assert "Silver" in [text for text, *_ in seen["faint"]]
    assert [name for name, *_, natural in seen["images"] if not natural] == ["gone"]
    with pytest.raises(AssertionError):
        check(seen, PHONE, dark=True)
