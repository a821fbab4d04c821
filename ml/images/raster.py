"""PNG, JPEG, WebP and TIFF through Pillow: 16-bit kept, EXIF orientation applied."""

import io
import struct
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ml.errors import ImageTooLarge, ImageTruncated, ImageUnreadable
from ml.images.codestream import JPEG_START
from ml.images.frame import MAX_FRAME_PIXELS, Frame, Voi, as_grey, check_size, select_frames
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


def is_raster(content: bytes) -> bool:
    """Whether the first bytes are those of a PNG, JPEG, WebP or TIFF file.

    A TIFF signature before a DICOM preamble's `DICM` is a dual-personality DICOM file, not a TIFF.
    """
    if content[128:132] == b"DICM":
        return False
    return content.startswith(SIGNATURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")


def read_raster(stream: BinaryIO, *, frames: Sequence[int] | None = None) -> list[Frame]:
    """Decode a picture; only a TIFF can have more than one frame."""
    start = stream.read(12)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if start[:4] == b"RIFF" and int.from_bytes(start[4:8], "little") + 8 > size:
        raise ImageTruncated(detail="it is shorter than it announces")
    try:
        with Image.open(stream, formats=FORMATS) as image:
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            chosen = select_frames(frames, count)
            check_size(rows=image.height, columns=image.width, frames=len(chosen))
            if start.startswith(JPEG_START):
                _check_scans(image, stream)
            return [_read_page(image, index if count > 1 else None) for index in chosen]
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(pixels="too many", limit=MAX_FRAME_PIXELS) from error
    except PICTURE_ERRORS as error:
        if any(word in str(error) for word in ("truncated", "broken", "unrecognized data stream")):
            raise ImageTruncated(detail=error) from error
        raise ImageUnreadable(detail=error) from error


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


def _read_page(image: Image.Image, index: int | None) -> Frame:
    if index is not None:
        image.seek(index)
        check_size(rows=image.height, columns=image.width)
    page = ImageOps.exif_transpose(image)
    if page.mode in DEEP_MODES:
        return _grey_frame(np.asarray(page).astype(np.float32))
    if page.mode in ("1", "L", "LA", "La"):
        return _grey_frame(np.asarray(page.convert("L")))
    colours = np.asarray(page.convert("RGB"))
    if (grey := as_grey(colours)) is not None:
        return _grey_frame(grey)
    rows, columns = colours.shape[:2]
    return Frame(
        pixels=colours,
        is_colour=True,
        photometric_interpretation="RGB",
        rows=rows,
        columns=columns,
        voi=Voi("NONE"),
    )


def _grey_frame(pixels: NDArray[np.float32] | NDArray[np.uint8]) -> Frame:
    rows, columns = pixels.shape
    is_deep = pixels.dtype != np.uint8
    voi = (
        Voi("RANGE", low=float(pixels.min()), high=float(pixels.max())) if is_deep else Voi("NONE")
    )
    return Frame(
        pixels=pixels,
        is_colour=False,
        photometric_interpretation="MONOCHROME2",
        rows=rows,
        columns=columns,
        voi=voi,
    )
