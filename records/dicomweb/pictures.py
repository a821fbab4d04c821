"""Frames as pictures: the rendering parameters of PS3.18 8.3.5, and the pictures they make."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from PIL import Image

from records.dicomweb.negotiation import JPEG
from records.errors import ParameterInvalid
from records.files.pixels import draw_frame
from records.models import Instance

PNG = "image/png"
PICTURE_TYPES = (JPEG, PNG)
WINDOW_FUNCTIONS = {
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}
DEFAULT_QUALITY = 90
THUMBNAIL_SIDE = 128
LONGEST_SIDE = 8192
NOT_SUPPORTED = ("annotation", "iccprofile")
Region = tuple[float, float, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Look:
    """How a frame is to be drawn.

    `viewport` is the largest (width, height), `region` the part of the image (left, top, width,
    height in pixels; None for all that is left, below zero to turn it over) that is to fill it.
    """

    window: tuple[float, float] | None = None
    window_function: str = ""
    viewport: tuple[int, int] | None = None
    region: Region | None = None
    quality: int = DEFAULT_QUALITY


def read_look(params: Mapping[str, str], *, is_thumbnail: bool = False) -> Look:
    """Read the rendering parameters; raises ParameterInvalid."""
    for name in NOT_SUPPORTED:
        if params.get(name) and params[name] != "no":
            raise ParameterInvalid(name=name, problem="it is not supported.")
    window, function = _read_window(params.get("window", ""))
    viewport, region = _read_viewport(params.get("viewport", ""))
    if is_thumbnail and viewport is None:
        viewport = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return Look(window, function, viewport, region, _read_quality(params.get("quality", "")))


def draw(instance: Instance, frame: int, look: Look, *, media_type: str) -> bytes:
    """Draw one frame, counted from 1; raises NothingToShow and NoSuchFrame."""
    pixels = draw_frame(instance, frame, look.window, window_function=look.window_function or None)
    picture = Image.fromarray(pixels)
    if look.region is not None:
        picture = _part(picture, look.region)
    if look.viewport is not None:
        picture = _fitted(picture, look.viewport)
    buffer = io.BytesIO()
    if media_type == PNG:
        picture.save(buffer, "PNG", compress_level=3)
    else:
        picture.save(buffer, "JPEG", quality=look.quality)
    return buffer.getvalue()


def _part(picture: Image.Image, region: Region) -> Image.Image:
    left, top, width, height = region
    right = picture.width if width is None else left + abs(width)
    bottom = picture.height if height is None else top + abs(height)
    part = picture.crop((round(left), round(top), round(right), round(bottom)))
    if width is not None and width < 0:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if height is not None and height < 0:
        part = part.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return part


def _fitted(picture: Image.Image, viewport: tuple[int, int]) -> Image.Image:
    """Scale to the largest size that fits into the viewport, keeping the proportions."""
    scale = min(viewport[0] / picture.width, viewport[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR)


def _read_window(text: str) -> tuple[tuple[float, float] | None, str]:
    """Read "center,width,function"."""
    if not text:
        return None, ""
    words = text.split(",")
    center, width = _numbers("window", words[:2], count=2)
    function = WINDOW_FUNCTIONS.get(words[2] if len(words) == 3 else "linear")
    if len(words) > 3 or function is None or width <= 0:
        problem = "give center, width and one of linear, linear-exact and sigmoid."
        raise ParameterInvalid(name="window", problem=problem)
    return (center, width), function


def _read_viewport(text: str) -> tuple[tuple[int, int] | None, Region | None]:
    """Read "width,height" and, where a part of the image is meant, ",left,top,width,height".

    Of the part anything may be left out: it begins at the corner, and goes to the other one. A
    side below zero turns the part over (PS3.18 8.3.5.1.3).
    """
    if not text:
        return None, None
    words = text.split(",")
    if len(words) not in (2, 6):
        raise ParameterInvalid(name="viewport", problem="give two or six numbers.")
    width, height = _numbers("viewport", words[:2], count=2)
    left, top = _numbers("viewport", [word or "0" for word in words[2:4]] or ["0", "0"], count=2)
    sides = [_side(word) for word in words[4:]]
    given = [abs(side) for side in sides if side is not None]
    if not all(1 <= side <= LONGEST_SIDE for side in (width, height, *given)) or not all(
        0 <= edge <= LONGEST_SIDE for edge in (left, top)
    ):
        raise ParameterInvalid(name="viewport", problem=f"sides are from 1 to {LONGEST_SIDE}.")
    region = (left, top, *sides) if len(words) == 6 else None
    return (int(width), int(height)), cast(Region | None, region)


def _side(word: str) -> float | None:
    return _numbers("viewport", [word], count=1)[0] if word else None


def _read_quality(text: str) -> int:
    if not text:
        return DEFAULT_QUALITY
    (quality,) = _numbers("quality", [text], count=1)
    if not 1 <= quality <= 100:
        raise ParameterInvalid(name="quality", problem="it is a number from 1 to 100.")
    return int(quality)


def _numbers(name: str, words: list[str], *, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise ParameterInvalid(name=name, problem="a number is missing or not one.")
    return numbers
