"""ICC profiles: colours as their device meant them, converted to sRGB (PS3.3 C.11.15)."""

import io
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SRGB = ImageCms.createProfile("sRGB")
# Tables for printers take a megabyte or two.
MAX_PROFILE_BYTES = 8 * 1024 * 1024
# Levels of each channel that are tried, and how far sRGB itself may be off by rounding.
STEPS, ROUNDING = 9, 2
SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}


class ProfileUse(StrEnum):
    """What became of an image's ICC profile; NONE where it has none, or sRGB's."""

    NONE = ""
    APPLIED = "applied"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A way to sRGB from pictures of `mode`; without a transform they are in sRGB already."""

    mode: str
    transform: ImageCms.ImageCmsTransform | None


def convert_picture(picture: Image.Image, profile: bytes) -> tuple[Image.Image, ProfileUse]:
    """A picture of mode L, RGB or CMYK in sRGB; as it is where the profile isn't one for it."""
    conversion = _find_conversion(profile, picture.mode)
    if conversion is None:
        return picture, ProfileUse.IGNORED
    if conversion.transform is None:
        return picture, ProfileUse.NONE
    given = picture if picture.mode == conversion.mode else picture.convert(conversion.mode)
    converted = conversion.transform.apply(given)
    return converted.getchannel("G") if picture.mode == "L" else converted, ProfileUse.APPLIED


def convert_colours(
    colours: NDArray[np.uint8], profile: bytes
) -> tuple[NDArray[np.uint8], ProfileUse]:
    """HxWx3 bytes in sRGB; as they are where the profile isn't one of RGB colours."""
    converted, use = convert_picture(Image.fromarray(colours), profile)
    return (np.asarray(converted) if use is ProfileUse.APPLIED else colours), use


@lru_cache(maxsize=8)
def _find_conversion(profile: bytes, mode: str) -> _Conversion | None:
    """None for a profile that is broken, or not one for pictures of this mode."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in SPACES.get(mode, ()):
            return None
        given = "RGB" if mode == "L" and space == "RGB" else mode
        transform = ImageCms.buildTransform(source, SRGB, given, "RGB")
        return _Conversion(given, None if _changes_nothing(transform, given) else transform)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    if mode == "CMYK":
        return False
    if mode == "L":
        levels = np.arange(256, dtype=np.uint8)
        tried = Image.fromarray(levels[None])
        plain = np.stack([levels[None]] * 3, axis=-1)
    else:
        plain = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
        tried = Image.fromarray(plain)
    converted = np.asarray(transform.apply(tried), np.int16)
    return bool(np.abs(converted - plain).max() <= ROUNDING)
