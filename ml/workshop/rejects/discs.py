"""Rejects drawn by code that are shaped and coloured as eyes, skin or skulls are."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Generator = np.random.Generator
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]


def _draw_colour(rng: Generator) -> Colour:
    """Orange, red, brown or rose: what a fundus or skin may have."""
    red = rng.uniform(120, 250)
    green = red * rng.uniform(0.25, 0.9)
    return int(red), int(green), int(green * rng.uniform(0.1, 0.95))


def _draw_ground(rng: Generator) -> Colour:
    grounds = ((0, 0, 0), (255, 255, 255), (128, 128, 128), _draw_colour(rng))
    return grounds[int(rng.choice(4, p=(0.6, 0.15, 0.1, 0.15)))]


def _shade(image: Image.Image, rng: Generator) -> Pixels:
    """The drawing with blurred edges, a light from one side, or noise, or none of it."""
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2)))
    levels = np.asarray(image, np.float64)
    if rng.random() < 0.5:
        down, across = np.mgrid[: image.height, : image.width] / max(image.size)
        light = 1 + rng.uniform(-0.5, 0.5) * (down - 0.5) + rng.uniform(-0.5, 0.5) * (across - 0.5)
        levels = levels * (light[..., np.newaxis] if levels.ndim == 3 else light)
    if rng.random() < 0.5:
        levels = levels + rng.uniform(0, 6) * rng.normal(size=levels.shape)
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def _place(rng: Generator, side: int, *, least: float, most: float) -> tuple[float, ...]:
    """The box of an ellipse whose diameters are so large a part of the side."""
    wide = side * rng.uniform(least, most)
    high = wide * rng.uniform(0.85, 1.15)
    left, top = (side - wide) * rng.uniform(0.3, 0.7), (side - high) * rng.uniform(0.3, 0.7)
    return left, top, left + wide, top + high


def draw_disc(rng: Generator, side: int) -> Pixels:
    """One filled disc in the colours of a fundus or of skin."""
    image = Image.new("RGB", (side, side), _draw_ground(rng))
    ImageDraw.Draw(image).ellipse(_place(rng, side, least=0.3, most=1), fill=_draw_colour(rng))
    return _shade(image, rng)


def draw_lined_disc(rng: Generator, side: int) -> Pixels:
    """The same with lines, spots, or both on it."""
    image = Image.new("RGB", (side, side), _draw_ground(rng))
    pen = ImageDraw.Draw(image)
    pen.ellipse(_place(rng, side, least=0.5, most=1), fill=_draw_colour(rng))
    for _ in range(int(rng.integers(4, 60))):
        colour, (x, y) = _draw_colour(rng), rng.uniform(0.1, 0.9, 2) * side
        if rng.random() < 0.7:
            ends = (x, y, *(np.array([x, y]) + rng.normal(0, side / 6, 2)).tolist())
            dark = tuple(int(part * rng.uniform(0.3, 0.8)) for part in colour)
            pen.line(ends, fill=dark, width=int(rng.integers(1, 7)))
        else:
            radius = rng.uniform(0.01, 0.12) * side
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return _shade(image, rng)


def draw_phantom(rng: Generator, side: int) -> Pixels:
    """A test object of grey ellipses in each other, as Shepp and Logan drew a head."""
    image = Image.new("L", (side, side), int(rng.integers(0, 30)))
    pen = ImageDraw.Draw(image)
    outer = _place(rng, side, least=0.5, most=0.95)
    pen.ellipse(outer, fill=int(rng.integers(150, 256)))
    rim = rng.uniform(0.01, 0.08) * side
    inner = (outer[0] + rim, outer[1] + rim, outer[2] - rim, outer[3] - rim)
    pen.ellipse(inner, fill=int(rng.integers(20, 150)))
    for _ in range(int(rng.integers(2, 9))):
        x = rng.uniform(inner[0] + 0.15 * side, inner[2] - 0.15 * side)
        y = rng.uniform(inner[1] + 0.15 * side, inner[3] - 0.15 * side)
        wide, high = rng.uniform(0.01, 0.14, 2) * side
        pen.ellipse((x - wide, y - high, x + wide, y + high), fill=int(rng.integers(256)))
    return _shade(image, rng)
