"""The only way from bytes to pixels: DICOM, PNG, JPEG, WebP and TIFF, recognised by content."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ml.errors import ImageUnreadable
from ml.images.dicom import is_dicom, iterate_dicom, read_dicom, read_stored_values
from ml.images.display import encode_png, to_display
from ml.images.frame import Frame, Voi
from ml.images.profiles import ProfileUse
from ml.images.raster import Picture, is_raster, read_pictures, read_raster

__all__ = [
    "Frame",
    "Picture",
    "ProfileUse",
    "Voi",
    "encode_png",
    "iterate_frames",
    "read_frames",
    "read_picture",
    "read_stored_values",
    "to_display",
]

Source = Path | str | bytes | BinaryIO


def read_frames(source: Source, *, frames: Sequence[int] | None = None) -> list[Frame]:
    """Decode the frames of an image (all of them, or those with the given indices, from 0).

    Raises ImageUnreadable, ImageHasNoPixels, ImageTooLarge, ImageTruncated,
    UnsupportedTransferSyntax, FrameOutOfRange, ImageHasSeveralPictures. The sizes are checked
    before anything is decoded.

    >>> (frame,) = read_frames("samples/brain-glioma/01.dcm")
    >>> frame.pixels.shape
    (224, 224)
    >>> to_display(frame).dtype  # as a reading room shows it
    dtype('uint8')
    """
    content = _read_bytes(source)
    if not content:
        raise ImageUnreadable(detail="it is empty")
    if is_raster(content):
        return read_raster(io.BytesIO(content), frames=frames)
    if is_dicom(content):
        return read_dicom(content, frames=frames)
    raise ImageUnreadable(detail="its content is of no supported kind")


def read_picture(content: bytes) -> Picture:
    """The picture of a PNG, JPEG, WebP or TIFF file, at its depth.

    The errors are those of `read_frames`, and ImageHasSeveralPictures for a TIFF of several pages.
    """
    if not is_raster(content):
        raise ImageUnreadable(detail="its content is of no supported kind")
    return read_pictures(io.BytesIO(content), is_one_wanted=True)[0]


def iterate_frames(content: bytes, frames: Iterable[int]) -> Iterator[Frame]:
    """Decode frames of a DICOM image one after another, for as long as somebody asks for the next.

    None of them is held. The errors are those of `read_frames`, raised where they occur.
    """
    yield from iterate_dicom(content, frames)


def _read_bytes(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | Path):
        try:
            return Path(source).read_bytes()
        except OSError as error:
            raise ImageUnreadable(detail=error.strerror or "it can't be opened") from error
    return source.read()
