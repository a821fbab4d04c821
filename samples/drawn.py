"""Colour pictures drawn by code, for the kinds of study of which no freely licensed image is had.

They show no person and no disease: a pigmented spot on skin, and the back of an eye. The same
seed gives the same pixels.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Levels = NDArray[np.float64]

SIDE = 512
KEPT_SIDE = 320
"""Drawn large and kept small: fine lines become smooth."""


def draw_skin(seed: int) -> Image.Image:
    """A brown spot with an uneven edge and a fine net of pigment, on pale skin with a few hairs."""
    rng = np.random.default_rng(seed)
    rows, columns = SIDE * 3 // 4, SIDE
    y, x = np.mgrid[:rows, :columns]
    skin = np.array([214.0, 168.0, 158.0]) + 14 * _clouds(rng, rows, columns, 60)[..., np.newaxis]
    angle = np.arctan2(y - rows * 0.52, x - columns * 0.48)
    radius = np.hypot((y - rows * 0.52) * 1.15, x - columns * 0.48)
    edge = (
        112
        + 14 * np.sin(3 * angle + 1)
        + 8 * np.sin(7 * angle)
        + 10 * _clouds(rng, rows, columns, 14)
    )
    inside = 1 / (1 + np.exp((radius - edge) / 9))
    net = 0.5 + 0.5 * np.sin(x / 5.1 + 2 * _clouds(rng, rows, columns, 12)) * np.sin(
        y / 4.7 + 2 * _clouds(rng, rows, columns, 12)
    )
    depth = inside * (0.62 + 0.16 * net + 0.14 * _clouds(rng, rows, columns, 30))
    spot = np.array([92.0, 54.0, 38.0])
    pixels = skin + depth[..., np.newaxis] * (spot - skin)
    picture = _as_image(pixels + rng.normal(0, 2.5, (rows, columns, 1)))
    return _reduced(_with_hairs(picture, rng))


def draw_fundus(seed: int) -> Image.Image:
    """A round orange field with a pale disc, a darker macula and branching vessels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    middle, field = SIDE / 2, SIDE * 0.47
    disc = (SIDE * 0.52, SIDE * 0.70)
    radius = np.hypot(y - middle, x - middle)
    light = 1 - 0.35 * (radius / field) ** 2 + 0.05 * _clouds(rng, SIDE, SIDE, 40)
    pixels = np.array([206.0, 92.0, 40.0]) * light[..., np.newaxis]
    macula = np.exp(-(np.hypot(y - SIDE * 0.54, x - SIDE * 0.40) ** 2) / (2 * 34**2))
    pixels *= 1 - 0.35 * macula[..., np.newaxis]
    pixels += _disc(y, x, disc)[..., np.newaxis] * (np.array([250.0, 214.0, 150.0]) - pixels)
    vessels = _vessels(rng, disc)[..., np.newaxis]
    pixels += vessels * (np.array([128.0, 32.0, 22.0]) - pixels)
    pixels += rng.normal(0, 2, (SIDE, SIDE, 1))
    pixels *= (1 / (1 + np.exp((radius - field) / 1.5)))[..., np.newaxis]
    return _reduced(_as_image(pixels))


def _disc(y: Levels, x: Levels, center: tuple[float, float]) -> Levels:
    distance = np.hypot((y - center[0]) / 1.1, x - center[1])
    return 0.85 / (1 + np.exp((distance - 34) / 4))


def _vessels(rng: np.random.Generator, start: tuple[float, float]) -> Levels:
    """Two arcades above and two below that leave the disc and branch, as a layer of 0..1."""
    layer = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(layer)
    for side in (-1, 1):
        for bend, width in ((0.010, 8.0), (0.013, 6.0), (-0.004, 4.0)):
            heading = np.pi + side * rng.uniform(0.9, 1.3) if bend > 0 else side * 1.2
            _grow(draw, rng, start, heading, -side * bend, width)
    return np.asarray(layer.filter(ImageFilter.GaussianBlur(1.1)), np.float64) / 255 * 0.8


def _grow(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    start: tuple[float, float],
    heading: float,
    bend: float,
    width: float,
) -> None:
    row, column = start
    while width > 1.2 and 0 <= row < SIDE and 0 <= column < SIDE:
        heading += bend + rng.normal(0, 0.05)
        end = row + 6 * np.sin(heading), column + 6 * np.cos(heading)
        draw.line([(column, row), (end[1], end[0])], fill=255, width=round(width))
        row, column = end
        width *= 0.985
        if rng.random() < 0.05:
            _grow(draw, rng, end, heading + rng.choice((-0.7, 0.7)), -bend, width * 0.6)


def _with_hairs(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    layer = picture.copy()
    draw = ImageDraw.Draw(layer)
    for _ in range(5):
        column, row = rng.uniform(0, picture.width), rng.uniform(0, picture.height)
        box = (column, row, column + rng.uniform(120, 260), row + rng.uniform(60, 160))
        first = rng.uniform(180, 300)
        draw.arc(box, first, first + 60, fill=(58, 44, 40), width=2)
    return layer.filter(ImageFilter.GaussianBlur(0.7))


def _clouds(rng: np.random.Generator, rows: int, columns: int, size: int) -> Levels:
    """Smooth noise of about -1..1 with lumps of `size` pixels."""
    small = rng.normal(0, 0.5, (rows // size + 3, columns // size + 3)).astype(np.float32)
    large = Image.fromarray(small).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float64)


def _reduced(picture: Image.Image) -> Image.Image:
    size = (picture.width * KEPT_SIDE // SIDE, picture.height * KEPT_SIDE // SIDE)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _as_image(pixels: Levels) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
