"""An object in another little endian syntax: what stands around its pixels, and these."""

from dataclasses import dataclass

from pydicom import Dataset

from ml.errors import ImageTooLarge
from records.dicom.reading.stored import PixelElement, StoredObject
from records.dicom.writing.encoding import (
    LONGEST_PIXELS,
    encode_around_pixels,
    pixel_head,
    swap_words,
)
from records.dicom.writing.frames import frame_count, is_plain, native_frames

Place = tuple[int, int]
"""Where a run of bytes lies in the stored file: its start and its length."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A file to be put together: `before`, the pixels, `after`.

    The pixels are copied from `copied`, or else are `frame_count` frames of `frame_bytes` bytes
    each; neither where the object has none. An odd number of bytes is followed by one more.
    """

    before: bytes
    after: bytes
    copied: Place | None = None
    frame_count: int = 0
    frame_bytes: int = 0


def outline(stored: StoredObject, *, syntax: str) -> Outline:
    """Write all of an object but its pixels in `syntax`, explicit or implicit, little endian.

    Raises the errors of `ml.images` where the pixels can't be decoded.
    """
    stored.load_all()
    if not stored.syntax.is_little_endian:
        swap_words(stored.dataset)
    if stored.pixels is None:
        return Outline(*encode_around_pixels(stored.dataset, syntax=syntax))
    if _lies_ready(stored, stored.pixels):
        before, after = encode_around_pixels(stored.dataset, syntax=syntax)
        head = _head(stored.pixels, stored.pixels.vr, stored.pixels.length, syntax)
        return Outline(before + head, after, copied=(stored.pixels.start, stored.pixels.length))
    return _decoded_outline(stored, stored.pixels, syntax)


def _lies_ready(stored: StoredObject, pixels: PixelElement) -> bool:
    """Whether the pixels' value can be copied from the stored file as it is."""
    is_native = stored.syntax.is_little_endian and not pixels.is_encapsulated
    return is_native and not stored.is_inflated


def _decoded_outline(stored: StoredObject, pixels: PixelElement, syntax: str) -> Outline:
    """The first frame is decoded at once, so that what can't be decoded fails here."""
    count = frame_count(stored)
    frame_bytes = len(native_frames(stored, pixels, [0])[0])
    total = count * frame_bytes
    if total > LONGEST_PIXELS:
        raise ImageTooLarge(pixels=total, limit=LONGEST_PIXELS)
    if not is_plain(stored, pixels):
        _describe_decoded(stored.dataset, frame_bytes)
    bits = int(stored.dataset.get("BitsAllocated") or 8)
    vr = pixels.vr if pixels.vr in ("OF", "OD") else "OB" if bits <= 8 else "OW"
    before, after = encode_around_pixels(stored.dataset, syntax=syntax)
    head = _head(pixels, vr, total + total % 2, syntax)
    return Outline(before + head, after, frame_count=count, frame_bytes=frame_bytes)


def _describe_decoded(dataset: Dataset, frame_bytes: int) -> None:
    """Bring a header into line with what the decoders of `ml.images` give."""
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if samples == 1 and dataset.get("BitsAllocated") == 1:
        return
    dataset.BitsAllocated = 8 * frame_bytes // (int(dataset.Rows) * int(dataset.Columns) * samples)
    if samples > 1:
        dataset.PhotometricInterpretation = "RGB"
        dataset.PlanarConfiguration = 0
        dataset.BitsStored = min(int(dataset.get("BitsStored") or 8), dataset.BitsAllocated)
        dataset.HighBit = dataset.BitsStored - 1


def _head(pixels: PixelElement, vr: str, length: int, syntax: str) -> bytes:
    return pixel_head(tag=pixels.tag, vr=vr, length=length + length % 2, syntax=syntax)
