"""Random changes of what tells one source of images from another and is no disease.

Sharpness, compression, colour, lighting, style, framing and what is drawn over an image go with
the device and the hospital. A network that has seen them vary can't lean on them.
"""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from ml.workshop.task_config import AugmentationConfig

Generator = np.random.Generator
Gains = NDArray[np.float64]

BEST_QUALITY = 95
# Chroma as fine as brightness, or of half its resolution.
SUBSAMPLINGS = (0, 2)
# Rows and columns on which the light of a whole image is measured.
COARSE = 32
# Frequencies along an axis that are light and style rather than content (Yang 2020).
LOW_FREQUENCIES = (1, 4)
# Minkowski norm of "shades of grey" colour constancy (Finlayson 2004).
NORM = 6
# Length of an even smear of the same standard deviation as a Gaussian of 1.
SMEAR = 12**0.5
# RGB to brightness and two axes of colour, around which a hue is turned.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FROM_YIQ = np.linalg.inv(TO_YIQ)
LETTERS = ("R", "L", "A", "P", "AP", "PA", "SUPINE", "PORTABLE", "a", "b", "c", "1", "2", "5 mm")
MAX_MARKS = 3


def blur(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Out of focus or moved: the largest standard deviation is a share of the shorter side."""
    sigma = rng.uniform(0, config.blur) * min(image.size)
    if rng.random() < 0.5:
        return image.filter(ImageFilter.GaussianBlur(sigma))
    return _smear(image, SMEAR * sigma, rng.uniform(0, np.pi))


def _smear(image: Image.Image, length: float, angle: float) -> Image.Image:
    """The mean of copies along a line of that length, in pixels; the edges are drawn out."""
    copies = max(2, round(length))
    along = np.linspace(-length / 2, length / 2, copies)
    columns, rows = (np.rint(along * part).astype(int) for part in (np.cos(angle), np.sin(angle)))
    pixels = np.asarray(image)
    margin = int(np.ceil(length / 2)) + 1
    padding = ((margin, margin), (margin, margin), (0, 0))[: pixels.ndim]
    padded = np.pad(pixels, padding, mode="edge")
    total = np.zeros(pixels.shape, np.uint32)
    for row, column in zip(rows + margin, columns + margin, strict=True):
        total += padded[row : row + pixels.shape[0], column : column + pixels.shape[1]]
    return Image.fromarray((total // copies).astype(np.uint8))


def compress(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """A JPEG of a drawn quality, low ones as often as high ones, decoded again."""
    quality = np.exp(rng.uniform(np.log(config.min_quality), np.log(BEST_QUALITY)))
    buffer = io.BytesIO()
    chroma = int(rng.choice(SUBSAMPLINGS))
    options = {"subsampling": chroma} if image.mode == "RGB" else {}
    image.save(buffer, "JPEG", quality=round(quality), **options)
    return Image.open(buffer).convert(image.mode)


def recolour(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Another device's hue, saturation and white balance; a grey image stays as it is."""
    if image.mode != "RGB":
        return image
    angle = 2 * np.pi * rng.uniform(-config.hue, config.hue)
    saturation = np.exp(rng.uniform(-config.saturation, config.saturation))
    gains = np.exp(rng.uniform(-config.white_balance, config.white_balance, 3))
    turned = saturation * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    colour = np.eye(3)
    colour[1:, 1:] = turned
    return _apply_matrix(image, np.diag(gains) @ FROM_YIQ @ colour @ TO_YIQ)


def neutralise(image: Image.Image, rng: Generator) -> Image.Image:
    """Take the light's colour away by a drawn part, as shades of grey estimate it."""
    if image.mode != "RGB":
        return image
    light = (_coarse(image) ** NORM).mean(axis=(0, 1)) ** (1 / NORM) + 1
    gains: Gains = (light.mean() / light) ** rng.random()
    return _apply_matrix(image, np.diag(gains))


def _apply_matrix(image: Image.Image, matrix: NDArray[np.float64]) -> Image.Image:
    with_offsets = np.column_stack([matrix, np.zeros(3)])
    return image.convert("RGB", tuple(with_offsets.ravel().tolist()))


def restyle(
    image: Image.Image, other: Image.Image, config: AugmentationConfig, rng: Generator
) -> Image.Image:
    """Part of the way to another image's grey levels, or to its light.

    Half of the images get the other's histogram, band by band; half its amplitudes at low
    frequencies, their own phases kept (Fourier domain adaptation, Yang 2020).
    """
    other = other.convert(image.mode)
    strength = rng.uniform(0, config.style)
    if rng.random() < 0.5:
        return _match_levels(image, other, strength)
    return _match_light(image, other, strength, int(rng.integers(*LOW_FREQUENCIES)))


def _match_levels(image: Image.Image, other: Image.Image, strength: float) -> Image.Image:
    bands = len(image.getbands())
    own, foreign = (
        np.cumsum(np.reshape(one.histogram(), (bands, 256)), axis=1) / (one.width * one.height)
        for one in (image, other)
    )
    levels = np.arange(256)
    tables = [
        (1 - strength) * levels + strength * np.interp(own[band], foreign[band], levels)
        for band in range(bands)
    ]
    return image.point(np.clip(np.rint(np.concatenate(tables)), 0, 255).astype(int).tolist())


def _match_light(
    image: Image.Image, other: Image.Image, strength: float, radius: int
) -> Image.Image:
    """Low frequencies are all in a small copy, so the difference is made there and enlarged."""
    own, foreign = (np.fft.fft2(_coarse(one), axes=(0, 1)) for one in (image, other))
    near = np.abs(np.fft.fftfreq(COARSE, 1 / COARSE)) <= radius
    amplitude = np.abs(own)
    change = np.where(
        near[:, np.newaxis, np.newaxis] & near[:, np.newaxis],
        strength * (np.abs(foreign) - amplitude) * own / np.maximum(amplitude, 1e-6),
        0,
    )
    light = np.fft.ifft2(change, axes=(0, 1)).real.astype(np.float32)
    bands = [
        Image.fromarray(np.ascontiguousarray(light[..., band])).resize(image.size)
        for band in range(light.shape[-1])
    ]
    change_of_levels = np.stack([np.asarray(band) for band in bands], axis=-1)
    levels = np.asarray(image, np.float32)
    changed = levels + change_of_levels.reshape(levels.shape)
    return Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))


def _coarse(image: Image.Image) -> NDArray[np.float64]:
    """A small copy: COARSE x COARSE x bands."""
    small = image.resize((COARSE, COARSE), Image.Resampling.BOX)
    return np.asarray(small, np.float64).reshape(COARSE, COARSE, -1)


def cut_square(image: Image.Image) -> Image.Image:
    """The middle square of a wide or high image, drawn out to the image's size.

    Every image is squeezed to the network's square: one that had been cut square by its camera
    shows its content unsqueezed.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def frame(image: Image.Image, rng: Generator) -> Image.Image:
    """Black bars, a round black frame, or light that falls off to the corners."""
    return (_put_bars, _put_round_frame, _put_vignette)[int(rng.integers(3))](image, rng)


def _put_bars(image: Image.Image, rng: Generator) -> Image.Image:
    pen = ImageDraw.Draw(image)
    width, height = image.size
    across, down = rng.uniform(0, 0.12, 2) * (rng.random(2) < 0.6)
    bar_x, bar_y = round(across * width), round(down * height)
    boxes = (
        (0, 0, bar_x - 1, height),
        (width - bar_x, 0, width, height),
        (0, 0, width, bar_y - 1),
        (0, height - bar_y, width, height),
    )
    for left, top, right, bottom in boxes:
        if right >= left and bottom >= top:
            pen.rectangle((left, top, right, bottom), fill=(0,) * len(image.getbands()))
    return image


def _put_round_frame(image: Image.Image, rng: Generator) -> Image.Image:
    size = np.array(image.size)
    middle = size * (0.5 + rng.uniform(-0.04, 0.04, 2))
    radii = size * rng.uniform(0.45, 0.62)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((*(middle - radii), *(middle + radii)), fill=255)
    return Image.composite(image, Image.new(image.mode, image.size), mask)


def _put_vignette(image: Image.Image, rng: Generator) -> Image.Image:
    along = np.linspace(-1, 1, COARSE)
    x, y = along - rng.uniform(-0.2, 0.2), along - rng.uniform(-0.2, 0.2)
    distance = (x**2 + y[:, np.newaxis] ** 2) / 2
    light = np.clip(1 - rng.uniform(0.2, 0.9) * distance, 0, 1)
    mask = Image.fromarray((255 * light).astype(np.uint8)).resize(image.size)
    return ImageChops.multiply(image, mask.convert(image.mode))


def mark(image: Image.Image, rng: Generator) -> Image.Image:
    """Up to three arrows or letters, mostly white, as people and devices draw them."""
    pen = ImageDraw.Draw(image)
    bands = len(image.getbands())
    for _ in range(int(rng.integers(1, MAX_MARKS + 1))):
        level = 255 if rng.random() < 0.6 else int(rng.integers(256))
        ink = (
            (level,) * bands if rng.random() < 0.7 else tuple(rng.integers(0, 256, bands).tolist())
        )
        place = rng.uniform(0.05, 0.9, 2) * image.size
        if rng.random() < 0.5:
            _draw_arrow(pen, place, min(image.size), ink, rng)
        else:
            size = max(8, round(rng.uniform(0.05, 0.12) * min(image.size)))
            text = LETTERS[int(rng.integers(len(LETTERS)))]
            pen.text((float(place[0]), float(place[1])), text, fill=ink, font=_load_font(size))
    return image


@lru_cache(maxsize=64)
def _load_font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _draw_arrow(
    pen: ImageDraw.ImageDraw,
    tip: NDArray[np.float64],
    side: int,
    ink: tuple[int, ...],
    rng: Generator,
) -> None:
    angle = rng.uniform(0, 2 * np.pi)
    length, width = rng.uniform(0.08, 0.25) * side, max(1, round(rng.uniform(0.005, 0.02) * side))
    back = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-back[1], back[0]])
    neck = tip + 0.35 * length * back
    wing = 0.18 * length * across
    pen.line([tuple(neck), tuple(tip + length * back)], fill=ink, width=width)
    pen.polygon([tuple(tip), tuple(neck + wing), tuple(neck - wing)], fill=ink)
