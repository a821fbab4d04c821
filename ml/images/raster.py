"""PNG, JPEG, WebP and TIFF through Pillow: depth kept, EXIF orientation and profile applied."""

import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from ml.errors import (
    ImageHasSeveralPictures,
    ImageTooLarge,
    ImageTruncated,
    ImageUnreadable,
)
from ml.images.codestream import JPEG_START
from ml.images.colour import reduce_to_bytes
from ml.images.frame import MAX_FRAME_PIXELS, Frame, Voi, as_grey, check_size, select_frames
from ml.images.halves import is_halved, read_both_halves
from ml.images.losses import find_loss
from ml.images.profiles import ProfileUse, convert_colours, convert_picture
from ml.images.scans import decode_whole

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
# What Pillow raises on hostile or broken files.
PICTURE_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
GREY_MODES = ("1", "L", "LA", "La")
SAMPLE_BYTES = 2
# TIFF's New Subfile Type, and its bit for a reduced copy of another page.
SUBFILE_TYPE, REDUCED = 254, 1
# Colours of up to so many bits in 16 are cells of a shallower device, not a black picture.
SHALLOW_BITS = 12


@dataclass(frozen=True, slots=True)
class Picture:
    """The one picture of a file that is used, and what was left out of it.

    `pixels` are HxW grey (uint8, or float32 where deeper) or HxWx3 RGB (uint8, or uint16 with
    values of `bits` bits). `profile` is an ICC profile still to be applied, to deep colours.
    `transparent` is the share of pixels that let something through, `further` the number of
    pictures beside this one. `loss` is DICOM's term for how it was compressed with loss.
    """

    pixels: NDArray[Any]
    bits: int = 8
    profile: bytes = b""
    profile_use: ProfileUse = ProfileUse.NONE
    transparent: float = 0.0
    further: int = 0
    loss: str = ""

    def as_frame(self) -> Frame:
        """The picture as it is shown: colours of 8 bits in sRGB."""
        if self.pixels.ndim == 2:
            return _grey_frame(self.pixels, self.profile_use)
        colours, use = reduce_to_bytes(self.pixels, self.bits), self.profile_use
        if self.profile:
            colours, use = convert_colours(colours, self.profile)
        rows, columns = colours.shape[:2]
        return Frame(
            pixels=colours,
            is_colour=True,
            photometric_interpretation="RGB",
            rows=rows,
            columns=columns,
            voi=Voi("NONE"),
            profile_use=use,
        )


def is_raster(content: bytes) -> bool:
    """Whether the first bytes are those of a PNG, JPEG, WebP or TIFF file.

    A TIFF signature before a DICOM preamble's `DICM` is a dual-personality DICOM file, not a TIFF.
    """
    if content[128:132] == b"DICM":
        return False
    return content.startswith(SIGNATURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")


def read_raster(stream: BinaryIO, *, frames: Sequence[int] | None = None) -> list[Frame]:
    """Decode a picture; only a TIFF can have more than one frame."""
    return [picture.as_frame() for picture in read_pictures(stream, frames=frames)]


def read_pictures(
    stream: BinaryIO, *, frames: Sequence[int] | None = None, is_one_wanted: bool = False
) -> list[Picture]:
    """Decode a file's pictures, of which only the pages of a TIFF count as frames.

    Its reduced copies of a page aren't pages. Raises the errors of `ml.images.read_frames`, and
    ImageHasSeveralPictures for an animation, and for several pages where one is wanted.
    """
    start = stream.read(12)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if start[:4] == b"RIFF" and int.from_bytes(start[4:8], "little") + 8 > size:
        raise ImageTruncated(detail="it is shorter than it announces")
    try:
        with Image.open(stream, formats=FORMATS) as image:
            held = getattr(image, "n_frames", 1)
            if image.format == "WEBP" and held > 1:
                raise ImageHasSeveralPictures(count=held, kind="an animation")
            pages = _find_pages(image, held)
            if is_one_wanted and len(pages) > 1:
                raise ImageHasSeveralPictures(count=len(pages), kind="pages of a TIFF")
            chosen = select_frames(frames, len(pages))
            check_size(rows=image.height, columns=image.width, frames=len(chosen))
            if start.startswith(JPEG_START):
                _check_scans(image, stream)
            loss = find_loss(image, stream)
            read = [
                _read_page(image, stream, pages[index], further=held - len(pages))
                for index in chosen
            ]
            return [replace(picture, loss=loss) for picture in read]
    except Image.DecompressionBombError as error:
        stated = re.search(r"\((\d+) pixels\)", str(error))
        pixels = int(stated[1]) if stated else "too many"
        raise ImageTooLarge(pixels=pixels, limit=MAX_FRAME_PIXELS) from error
    except PICTURE_ERRORS as error:
        if any(word in str(error) for word in ("truncated", "broken", "unrecognized data stream")):
            raise ImageTruncated(detail=error) from error
        raise ImageUnreadable(detail=error) from error


def _find_pages(image: Image.Image, held: int) -> list[int | None]:
    """Where the pictures that count lie among those held; None where there is nothing to seek."""
    if image.format != "TIFF" or held == 1:
        return [None]
    pages: list[int | None] = []
    for index in range(held):
        image.seek(index)
        if not image.tag_v2.get(SUBFILE_TYPE, 0) & REDUCED:  # type: ignore[attr-defined]  # TIFF
            pages.append(index)
    first = pages[0] if pages else 0
    image.seek(first or 0)
    return pages or [0]


def _check_scans(image: Image.Image, stream: BinaryIO) -> None:
    """Decode a JPEG; raises ImageTruncated where a scan of it ends early.

    A part that was made up shows in the histogram too, which is less to hold than the picture.
    """
    stream.seek(0)
    content = stream.read()

    def count_levels(data: bytes) -> NDArray[np.int64]:
        if data is content:
            return np.array(image.histogram())
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as longer:
            return np.array(longer.histogram())

    decode_whole(content, count_levels)


def _read_page(image: Image.Image, stream: BinaryIO, index: int | None, *, further: int) -> Picture:
    if index is not None:
        image.seek(index)
        check_size(rows=image.height, columns=image.width)
    if is_halved(image):
        return _read_deep(image, stream, index, further=further)
    profile = image.info.get("icc_profile") or b""
    page = ImageOps.exif_transpose(image)
    transparent = _transparent_share(page)
    if page.mode in DEEP_MODES:
        deep = np.asarray(page).astype(np.float32)
        # A window of their own shows deep levels; a profile speaks of levels as they are shown.
        use = ProfileUse.IGNORED if profile else ProfileUse.NONE
        return Picture(deep, 16, profile_use=use, transparent=transparent, further=further)
    plain = page.convert("L" if page.mode in GREY_MODES else _colour_mode(page))
    use = ProfileUse.NONE
    if profile:
        plain, use = convert_picture(plain, profile)
    pixels = np.asarray(plain if plain.mode == "L" else plain.convert("RGB"))
    if pixels.ndim == 3 and (grey := as_grey(pixels)) is not None:
        pixels = grey
    return Picture(pixels, profile_use=use, transparent=transparent, further=further)


def _colour_mode(page: Image.Image) -> str:
    """The mode that a page's profile speaks of: a printer's inks, or RGB."""
    return "CMYK" if page.mode == "CMYK" else "RGB"


def _read_deep(image: Image.Image, stream: BinaryIO, index: int | None, *, further: int) -> Picture:
    bands = len(image.getbands())
    check_size(rows=image.height, columns=image.width, pixel_bytes=SAMPLE_BYTES * bands)

    def reopen() -> ImageFile.ImageFile:
        stream.seek(0)
        again = Image.open(stream, formats=FORMATS)
        if index is not None:
            again.seek(index)
        return again

    profile = image.info.get("icc_profile") or b""
    samples = read_both_halves(reopen)
    has_alpha = samples.shape[-1] in (2, 4)
    transparent = float(np.mean(samples[..., -1] < 0xFFFF)) if has_alpha else 0.0
    colours = samples[..., :3] if samples.shape[-1] >= 3 else None
    bits = _used_bits(samples[..., 0] if colours is None else colours)
    is_grey = colours is None or as_grey(reduce_to_bytes(colours, bits)) is not None
    if is_grey:
        levels = samples[..., 0 if colours is None else 1].astype(np.float32)
        use = ProfileUse.IGNORED if profile else ProfileUse.NONE
        return Picture(levels, 16, profile_use=use, transparent=transparent, further=further)
    return Picture(
        np.ascontiguousarray(colours), bits, profile, transparent=transparent, further=further
    )


def _used_bits(samples: NDArray[np.uint16]) -> int:
    """Bits of the cells that 16-bit samples are: a shallow device's, or all of them."""
    used = int(samples.max()).bit_length()
    return max(used, 8) if used <= SHALLOW_BITS else 8 * SAMPLE_BYTES


def _transparent_share(page: Image.Image) -> float:
    """The share of pixels that let through what is beneath, whatever colour is stored there."""
    if not page.has_transparency_data:
        return 0.0
    alpha = page.convert("RGBA").getchannel("A") if page.mode in ("P", "L", "RGB") else None
    if alpha is None:
        alpha = page.getchannel("A") if "A" in page.getbands() else None
    return float(np.mean(np.asarray(alpha) < 0xFF)) if alpha is not None else 0.0


def _grey_frame(pixels: NDArray[Any], use: ProfileUse) -> Frame:
    rows, columns = pixels.shape
    is_deep = pixels.dtype != np.uint8
    finite = pixels[np.isfinite(pixels)] if is_deep else pixels
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Frame(
        pixels=pixels,
        is_colour=False,
        photometric_interpretation="MONOCHROME2",
        rows=rows,
        columns=columns,
        voi=Voi("RANGE", low=low, high=high) if is_deep else Voi("NONE"),
        profile_use=use,
    )
