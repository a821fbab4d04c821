"""Rejects drawn by code: noise, blank and shaded fields, shapes, text, screenshots, discs."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ml.workshop.rejects.discs import draw_disc, draw_lined_disc, draw_phantom
from ml.workshop.rejects.reject import Reject, encode_reject

Generator = np.random.Generator
Pixels = NDArray[np.uint8]

WORDS = tuple(
    re.findall(
        r"\w+",
        """report of the examination date name ward findings none seen left right comparison
        previous impression signed clinic letter telephone page request referred dose total sum
        order number table figure result value unit lamp river stone winter market bridge""",
    )
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What differs between the parts: the seed, the sides of the images, and ranges."""

    seed: int
    sides: tuple[int, ...]
    font_sizes: tuple[int, int]
    noise: tuple[float, float]
    shapes: tuple[int, int]


PARAMETERS = {
    "fit": Parameters(11, (160, 224, 300), (9, 15), (20, 60), (2, 6)),
    "test": Parameters(4057, (192, 256, 384), (12, 22), (35, 110), (4, 12)),
}


def _draw_side(rng: Generator, parameters: Parameters) -> tuple[int, int]:
    rows = int(rng.choice(parameters.sides))
    return rows, int(rows * rng.uniform(0.8, 1.25))


def _clip(levels: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def draw_white_noise(rng: Generator, parameters: Parameters) -> Pixels:
    """Independent grey levels."""
    size = _draw_side(rng, parameters)
    return _clip(rng.uniform(60, 190) + rng.uniform(*parameters.noise) * rng.normal(size=size))


def draw_pink_noise(rng: Generator, parameters: Parameters) -> Pixels:
    """Noise whose power falls with frequency, as that of natural images does."""
    rows, columns = _draw_side(rng, parameters)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, np.newaxis], np.fft.rfftfreq(columns))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(rows, columns)))
    field = np.fft.irfft2(spectrum / frequency ** rng.uniform(0.8, 1.6), (rows, columns))
    field = (field - field.mean()) / field.std()
    return _clip(127 + rng.uniform(*parameters.noise) * field)


def draw_salt_and_pepper(rng: Generator, parameters: Parameters) -> Pixels:
    """A flat field with pixels stuck at either end."""
    size = _draw_side(rng, parameters)
    chance = rng.random(size)
    share = rng.uniform(0.05, 0.4)
    levels = np.full(size, rng.uniform(40, 210))
    return _clip(np.where(chance < share / 2, 0, np.where(chance > 1 - share / 2, 255, levels)))


def draw_blank(rng: Generator, parameters: Parameters) -> Pixels:
    """A flat field, exactly or with a detector's faint noise."""
    grey = float(rng.choice([0, 255, int(rng.integers(256))]))
    levels = np.full(_draw_side(rng, parameters), grey)
    if rng.random() < 0.7:
        levels = levels + rng.uniform(0.5, 4) * rng.normal(size=levels.shape)
    return _clip(levels)


def draw_gradient(rng: Generator, parameters: Parameters) -> Pixels:
    """A linear or round ramp of grey."""
    rows, columns = _draw_side(rng, parameters)
    down, across = np.mgrid[:rows, :columns] / np.array([rows, columns])[:, np.newaxis, np.newaxis]
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * down + np.sin(angle) * across
    else:
        ramp = np.hypot(down - rng.random(), across - rng.random())
        ramp = ramp if rng.random() < 0.5 else -ramp
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    noise = rng.uniform(0, 3) * rng.normal(size=ramp.shape)
    return _clip(rng.uniform(0, 60) + ramp * rng.uniform(90, 190) + noise)


def draw_shapes(rng: Generator, parameters: Parameters) -> Pixels:
    """Discs, boxes and lines of flat grey."""
    rows, columns = _draw_side(rng, parameters)
    image = Image.new("L", (columns, rows), int(rng.integers(256)))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(*parameters.shapes)):
        left, right = np.sort(rng.uniform(0, columns, 2)).tolist()
        top, bottom = np.sort(rng.uniform(0, rows, 2)).tolist()
        grey = int(rng.integers(256))
        shape = rng.integers(3)
        if shape == 0:
            pen.ellipse((left, top, right, bottom), fill=grey)
        elif shape == 1:
            pen.rectangle((left, top, right, bottom), fill=grey)
        else:
            pen.line((left, top, right, bottom), fill=grey, width=int(rng.integers(1, 12)))
    return np.asarray(image)


def _draw_lines(image: Image.Image, rng: Generator, size: int, ink: int, margin: int) -> None:
    """Fill the image from the margin on with lines of words."""
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    top = margin
    while top < image.height - margin - size:
        count = int(image.width / size / rng.uniform(2.2, 4))
        text = " ".join(rng.choice(WORDS, max(1, count)))
        pen.text((margin, top), text, fill=(ink,) * len(image.getbands()), font=font)
        top += round(size * rng.uniform(1.3, 2.2))


def draw_text_page(rng: Generator, parameters: Parameters) -> Pixels:
    """A printed page, scanned or typed, dark on light or the reverse, a little aslant."""
    rows, columns = _draw_side(rng, parameters)
    paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 90))
    if rng.random() < 0.25:
        paper, ink = ink // 3, paper
    page = Image.new("L", (columns, rows), paper)
    _draw_lines(page, rng, int(rng.integers(*parameters.font_sizes)), ink, int(rng.integers(4, 30)))
    page = page.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor=paper)
    if rng.random() < 0.5:
        page = page.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    levels = np.asarray(page, np.float32)
    return _clip(levels + rng.uniform(0, 6) * rng.normal(size=levels.shape))


def draw_screenshot(rng: Generator, parameters: Parameters) -> Pixels:
    """A window of a program: bars, panels, buttons and text, in colour or grey."""
    rows, columns = _draw_side(rng, parameters)
    back = rng.integers(20, 250, 3)
    image = Image.new("RGB", (columns, rows), tuple(back.tolist()))
    pen = ImageDraw.Draw(image)
    bar = int(rng.uniform(0.06, 0.14) * rows)
    pen.rectangle((0, 0, columns, bar), fill=tuple(rng.integers(0, 256, 3).tolist()))
    side = int(rng.uniform(0.15, 0.35) * columns)
    pen.rectangle((0, bar, side, rows), fill=tuple(rng.integers(0, 256, 3).tolist()))
    for top in range(bar + 6, rows - 12, int(rng.integers(14, 30))):
        pen.rectangle((5, top, side - 6, top + 8), outline=tuple(rng.integers(0, 256, 3).tolist()))
    panel = image.crop((side + 4, bar + 4, columns, rows))
    ink = 20 if back.mean() > 127 else 235
    _draw_lines(panel, rng, int(rng.integers(*parameters.font_sizes)), ink, 6)
    image.paste(panel, (side + 4, bar + 4))
    return np.asarray(image if rng.random() < 0.4 else image.convert("L"))


def _at_side(draw: Callable[[Generator, int], Pixels]) -> Callable[[Generator, Parameters], Pixels]:
    """A drawing of a square as one that takes its side from the parameters."""
    return lambda rng, parameters: draw(rng, int(rng.choice(parameters.sides)))


# Each kind with how many of it there are.
DRAWINGS: dict[str, tuple[Callable[[Generator, Parameters], Pixels], int]] = {
    "white_noise": (draw_white_noise, 20),
    "pink_noise": (draw_pink_noise, 20),
    "salt_and_pepper": (draw_salt_and_pepper, 15),
    "blank": (draw_blank, 15),
    "gradient": (draw_gradient, 20),
    "shapes": (draw_shapes, 20),
    "text_page": (draw_text_page, 35),
    "screenshot": (draw_screenshot, 30),
    "disc": (_at_side(draw_disc), 40),
    "lined_disc": (_at_side(draw_lined_disc), 40),
    "phantom": (_at_side(draw_phantom), 40),
}
DRAWN_KINDS = tuple(DRAWINGS)


def draw_rejects(part: str, left_out: Collection[str], *, at_least: int) -> list[Reject]:
    """Drawings of every kind not left out; in proportion more of them if `at_least` asks so."""
    kinds = [kind for kind in DRAWN_KINDS if kind not in left_out]
    usual = sum(DRAWINGS[kind][1] for kind in kinds)
    factor = max(1.0, at_least / usual) if usual and part == "test" else 1.0
    return [
        _draw(kind, part, number)
        for kind in kinds
        for number in range(int(np.ceil(DRAWINGS[kind][1] * factor)))
    ]


def _draw(kind: str, part: str, number: int) -> Reject:
    """One drawing; its seed depends on nothing but the part, the kind and its number."""
    parameters = PARAMETERS[part]
    rng = np.random.default_rng([parameters.seed, DRAWN_KINDS.index(kind), number])
    return encode_reject(kind, f"{part}/{kind}/{number}", DRAWINGS[kind][0](rng, parameters))
