"""What is drawn over a picture: boxes with names, and lines of words on a bar, as large as the picture asks for."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from videohub.escaping import visible

Canvas: TypeAlias = ImageDraw.ImageDraw
Colour: TypeAlias = tuple[int, int, int]

# Told apart by most people who see colours otherwise, too. Source: Okabe and Ito, Color Universal Design, 2008.
COLOURS: tuple[Colour, ...] = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167))

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_BAR = (0, 0, 0, 150)  # half transparent
_DENSE = 225  # nearly not: black letters on a colour, over whatever the picture shows
_SMALLEST = 11  # pixels of a letter that can be read
_SHARE = 26  # of the short side that a line is high
_DOTS = "..."


def drawn_on(picture: Image.Image) -> Canvas:
    """Return what draws on an RGB picture, in place. A colour's fourth value, if any, says how dense it is, to 255."""
    return ImageDraw.Draw(picture, "RGBA")


def box(canvas: Canvas, corners: Sequence[float], *, colour: Colour = COLOURS[0]) -> None:
    """Draw the outline of a box.

    Args:
        canvas: From `drawn_on`.
        corners: x1, y1, x2, y2 in pixels; what lies outside of the picture is cut off.
        colour: Of the outline.
    """
    left, top, right, bottom, stroke = _inside(canvas, corners)
    canvas.rectangle((left, top, right, bottom), outline=colour, width=stroke)


def label(canvas: Canvas, corners: Sequence[float], lines: Sequence[str], *, colour: Colour = COLOURS[0]) -> None:
    """Draw lines of words above a box, or inside where there is no room above; after all boxes, so that none crosses.

    Args:
        canvas: From `drawn_on`.
        corners: Of the box, as above.
        lines: The first one on top; what is too long for the picture is cut, and ends in dots. They are shown, never
            obeyed: see `escaping.visible`.
        colour: Of the bar behind them.
    """
    if not lines:
        return
    width, height = canvas.im.size
    left, top, _, _, stroke = _inside(canvas, corners)
    font, step, edge = _letters(width, height)
    shown = [_fitting(line, font, width - 2 * edge) for line in lines]
    across = round(max(font.getlength(line) for line in shown)) + 2 * edge
    down = step * len(shown) + edge
    left = max(0, min(left, width - across))
    top = top - down if top >= down else min(top + stroke, max(0, height - down))
    canvas.rectangle((left, top, left + across - 1, top + down - 1), fill=(*colour, _DENSE))
    for number, line in enumerate(shown):
        canvas.text((left + edge, top + edge // 2 + number * step), line, font=font, fill=_BLACK)


def caption(canvas: Canvas, lines: Sequence[str]) -> None:
    """Draw lines of words on a half transparent bar along the bottom of the picture; arguments as those of `label`."""
    if not lines:
        return
    width, height = canvas.im.size
    font, step, edge = _letters(width, height)
    top = max(0, height - step * len(lines) - edge)
    canvas.rectangle((0, top, width - 1, height - 1), fill=_BAR)
    for number, line in enumerate(lines):
        shown = _fitting(line, font, width - 2 * edge)
        canvas.text((edge, top + edge // 2 + number * step), shown, font=font, fill=_WHITE)


def _inside(canvas: Canvas, corners: Sequence[float]) -> tuple[int, int, int, int, int]:
    """Return left, top, right and bottom of what the picture shows of a box, and how thick its outline is."""
    width, height = canvas.im.size
    left, right = (min(max(round(x), 0), width - 1) for x in (corners[0], corners[2]))
    top, bottom = (min(max(round(y), 0), height - 1) for y in (corners[1], corners[3]))
    return left, top, right, bottom, max(2, min(width, height) // 180)


@lru_cache(maxsize=16)
def _letters(width: int, height: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, int, int]:
    """Return the font for a picture of this size, how far its lines are apart, and the room around them, in pixels."""
    size = max(_SMALLEST, min(width, height) // _SHARE)
    return ImageFont.load_default(size), round(size * 1.3), max(4, size // 2)


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """Return as much of a line as fits into so many pixels."""
    most = max(room, 0) + 1  # letters, each of a pixel at least: a stranger's name may have millions
    shown = visible(line[:most])
    if len(line) <= most and font.getlength(shown) <= room:
        return shown
    ends = range(1, len(shown) + 1)
    kept = bisect.bisect_right(ends, room, key=lambda end: math.ceil(font.getlength(shown[:end] + _DOTS)))
    return shown[:kept].rstrip() + _DOTS
