"""The pixel data element: found, told native from compressed by its content, and decoded."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ml.errors import ImageTruncated, ImageUnreadable, UnsupportedTransferSyntax
from ml.images.codestream import check_codestream, sniff_codestream
from ml.images.colour import finish_colours
from ml.images.decoders import AllDecodersFailed, decode_codestream
from ml.images.encapsulation import (
    ITEM,
    UNDEFINED_LENGTH,
    read_beginning,
    read_fragments,
    split_frames,
)
from ml.images.image_pixel import ImagePixel
from ml.images.native import clear_unused_bits, read_native
from ml.inflating import inflate

Decoded = NDArray[Any]

KEYWORDS = {
    (0x7FE0, 0x0008): "FloatPixelData",
    (0x7FE0, 0x0009): "DoubleFloatPixelData",
    (0x7FE0, 0x0010): "PixelData",
}
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN")
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# Encapsulated Uncompressed Explicit VR Little Endian, Deflated Image Frame Compression.
PLAIN_FRAMES, DEFLATED_FRAMES = UID("1.2.840.10008.1.2.1.98"), UID("1.2.840.10008.1.2.8.1")
TRUNCATION_WORDS = ("truncated", "broken data stream", "end of the data", "insufficient")


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the value of the pixel data element lies in the bytes, and how it is written."""

    keyword: str
    body: bytes
    start: int
    length: int
    is_little_endian: bool
    is_words: bool


def find_pixel_element(
    body: bytes, position: int, *, is_implicit: bool, is_little_endian: bool
) -> PixelElement | None:
    """The pixel data element at `position`, or None where there is another one or nothing."""
    order = "<" if is_little_endian else ">"
    head = body[position : position + 12]
    if len(head) < 8:
        return None
    keyword = KEYWORDS.get(struct.unpack(f"{order}HH", head[:4]))
    if keyword is None:
        return None
    # Some writers name an explicit syntax and leave the types out all the same.
    is_long = not is_implicit and head[4:6] in LONG_VRS and len(head) == 12
    (length,) = struct.unpack(f"{order}L", head[8:] if is_long else head[4:8])
    return PixelElement(
        keyword=keyword,
        body=body,
        start=position + (12 if is_long else 8),
        length=length,
        is_little_endian=is_little_endian,
        is_words=is_long and head[4:6] == b"OW",
    )


def decode_frames(
    dataset: Dataset, element: PixelElement, image: ImagePixel, chosen: Iterable[int]
) -> Iterator[Decoded]:
    """The chosen frames: HxW stored values, or HxWx3 RGB, in bytes unless it keeps its depth.

    Raises UnsupportedTransferSyntax, ImageTruncated, ImageUnreadable, and what numpy raises for
    values that don't fit their description.
    """
    uid = UID(str(dataset.file_meta.TransferSyntaxUID))
    if not _is_encapsulated(element, image, uid):
        yield from _decode_native(element, image, chosen, uid)
        return
    table, fragments = read_fragments(element.body, element.start)
    for data in split_frames(dataset, table, fragments, image.frames, chosen):
        yield _decode_compressed(data, image, uid)


def check_syntax(element: PixelElement, uid: UID) -> None:
    """Raise UnsupportedTransferSyntax for streams, video for one, that nothing here decodes.

    Asked before anything else, whose rules are not theirs: a video of many frames is one stream.
    """
    if element.length != UNDEFINED_LENGTH or uid in (*NATIVE, PLAIN_FRAMES, DEFLATED_FRAMES):
        return
    try:
        is_known = sniff_codestream(read_beginning(element.body, element.start)) is not None
    except (ImageTruncated, ImageUnreadable):
        # Of a kind that is known, whatever is wrong with it.
        return
    if not is_known:
        _check_decodable(uid)


def _is_encapsulated(element: PixelElement, image: ImagePixel, uid: UID) -> bool:
    """By its form: the syntax may name a compression from before or after a conversion."""
    if element.length == UNDEFINED_LENGTH:
        return True
    if element.body[element.start : element.start + len(ITEM)] != ITEM:
        return False
    return uid not in NATIVE or element.length - image.native_bytes not in (0, 1)


def _decode_native(
    element: PixelElement, image: ImagePixel, chosen: Iterable[int], uid: UID
) -> Iterator[Decoded]:
    end = min(element.start + element.length, len(element.body))
    data = memoryview(element.body)[element.start : end]
    image = _with_colours_held(image, element)
    _check_native(element, image, uid, held=len(data))
    is_swapped = element.is_words and not element.is_little_endian and image.bits_allocated <= 8
    for index in chosen:
        values = read_native(
            data,
            index,
            image,
            is_little_endian=element.is_little_endian,
            is_swapped=is_swapped,
        )
        yield _finish(values, image)


def _check_native(element: PixelElement, image: ImagePixel, uid: UID, *, held: int) -> None:
    if uid not in NATIVE:
        if uid not in AllTransferSyntaxes:
            raise UnsupportedTransferSyntax(uid=uid)
        if element.length - image.native_bytes not in (0, 1):
            raise ImageUnreadable(detail="its pixel data is neither compressed nor of its size")
    if held < image.native_bytes:
        detail = f"it holds {held} of {image.native_bytes} bytes of pixels"
        raise ImageTruncated(detail=detail)


def _with_colours_held(image: ImagePixel, element: PixelElement) -> ImagePixel:
    """Colours that a header calls halved lie whole where there is room for all of them."""
    whole = replace(image, has_full_colours=True)
    return whole if image.is_halved and element.length >= whole.native_bytes else image


def _finish(values: Decoded, image: ImagePixel) -> Decoded:
    cleared = clear_unused_bits(values, image)
    if image.samples == 1:
        return cleared
    return finish_colours(
        cleared, image.bits_stored, image.photometric, keeps_depth=image.keeps_depth
    )


def _decode_compressed(data: bytes, image: ImagePixel, uid: UID) -> Decoded:
    if uid in (PLAIN_FRAMES, DEFLATED_FRAMES):
        return _decode_uncompressed(data, replace(image, frames=1), uid)
    stream = sniff_codestream(data)
    if stream is None:
        _raise_unknown(uid)
    check_codestream(stream, data, image)
    try:
        return decode_codestream(data, stream, image)
    except AllDecodersFailed as error:
        text = (str(error.args[0]).splitlines() or ["unknown"])[0][:200]
        if any(word in text for word in TRUNCATION_WORDS):
            raise ImageTruncated(detail="its compressed data ends early") from error
        raise ImageUnreadable(detail=f"its pixel data can't be decoded ({text})") from error


def _raise_unknown(uid: UID) -> NoReturn:
    """A stream that nobody knows: of a syntax that can't be decoded here, or just broken."""
    if uid not in NATIVE:
        _check_decodable(uid)
    raise ImageUnreadable(detail="its compressed pixels are of no known kind")


def _check_decodable(uid: UID) -> None:
    try:
        get_decoder(uid)
    except NotImplementedError as error:
        raise UnsupportedTransferSyntax(uid=uid) from error


def _decode_uncompressed(data: bytes, image: ImagePixel, uid: UID) -> Decoded:
    """A frame in a fragment of its own, plain or deflated (PS3.5 A.4.11, A.4.13)."""
    if uid == DEFLATED_FRAMES:
        data = inflate(data, limit=image.native_bytes, is_start=True)
    if len(data) < image.native_bytes:
        raise ImageTruncated(detail=f"it holds {len(data)} of {image.native_bytes} bytes of pixels")
    values = read_native(memoryview(data), 0, image, is_little_endian=True, is_swapped=False)
    return _finish(values, image)
