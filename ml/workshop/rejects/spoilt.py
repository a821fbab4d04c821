"""Rejects made of a task's own images: side by side, with few levels left, drawn upon."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Generator = np.random.Generator
Pixels = NDArray[np.uint8]

SHEET = "contact_sheet"
CHANGED_KINDS = ("two_level", "posterized", "annotated")
OWN_KINDS = (SHEET, *CHANGED_KINDS)
SHEET_SIDE = 256
SHEET_CELLS = (2, 3, 4)
MAX_CELLS = max(SHEET_CELLS) ** 2
POSTERIZED_LEVELS = (3, 6)
MARKS = ("A", "B", "1", "2", "Fig. 1", "RIGHT", "LEFT", "pre", "post", "COPY", "?")


def lay_out_sheet(pictures: Sequence[Pixels], rng: Generator) -> Pixels:
    """Two to four of the pictures (HxW or HxWx3) a row, on black, grey or white, maybe ragged."""
    count = int(rng.choice(SHEET_CELLS))
    gap = int(rng.integers(0, 9))
    ground = int(rng.choice((0, 0, 128, 255)))
    sheet = Image.new("RGB", (SHEET_SIDE, SHEET_SIDE), (ground,) * 3)
    cell = SHEET_SIDE // count
    missing = int(rng.integers(0, count))
    for place, picture in enumerate(pictures[: count * count - missing]):
        image = Image.fromarray(picture).convert("RGB").resize((cell - gap, cell - gap))
        sheet.paste(image, ((place % count) * cell, (place // count) * cell))
    is_grey = all(picture.ndim == 2 for picture in pictures)
    return np.asarray(sheet.convert("L") if is_grey else sheet)


def change_own(picture: Pixels, kind: str, rng: Generator) -> Pixels:
    """A picture (HxW or HxWx3) with two levels, some levels, or marks on it."""
    if kind == "two_level":
        grey = np.asarray(Image.fromarray(picture).convert("L"))
        source = picture if rng.random() < 0.5 else grey
        limit = np.quantile(grey, rng.uniform(0.3, 0.9))
        return np.asarray(np.where(source > limit, 255, 0), np.uint8)
    if kind == "posterized":
        steps = int(rng.integers(*POSTERIZED_LEVELS)) - 1
        return np.asarray(np.rint(np.rint(picture / 255 * steps) * (255 / steps)), np.uint8)
    return _annotate(picture, rng)


def _annotate(picture: Pixels, rng: Generator) -> Pixels:
    """Arrows and large letters, as figures of papers and slides have them."""
    image = Image.fromarray(picture).copy()
    pen, side = ImageDraw.Draw(image), min(image.size)
    bands = len(image.getbands())
    for _ in range(int(rng.integers(2, 6))):
        ink = (
            tuple(rng.choice((0, 255), bands).tolist()) if bands > 1 else int(rng.choice((0, 255)))
        )
        x, y = (rng.uniform(0.1, 0.9, 2) * image.size).tolist()
        if rng.random() < 0.5:
            size = int(rng.uniform(0.1, 0.25) * side)
            pen.text((x, y), str(rng.choice(MARKS)), fill=ink, font=ImageFont.load_default(size))
        else:
            _draw_arrow(pen, (x, y), rng.uniform(0.12, 0.35) * side, ink, rng)
    return np.asarray(image)


def _draw_arrow(
    pen: ImageDraw.ImageDraw,
    tip: tuple[float, float],
    length: float,
    ink: int | tuple[int, ...],
    rng: Generator,
) -> None:
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-along[1], along[0]])
    end, neck = np.array(tip) + along * length, np.array(tip) + along * length * 0.35
    pen.line([tip, tuple(end)], fill=ink, width=max(2, int(length * 0.12)))
    wings = [tuple(neck + aside * length * 0.2), tuple(neck - aside * length * 0.2)]
    pen.polygon([tip, *wings], fill=ink)
