"""What a compressed frame is by its own first bytes: the header may name another compression."""

import struct
from dataclasses import dataclass

from ml.errors import ImageTruncated, ImageUnreadable
from ml.images.image_pixel import ImagePixel

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
JPEG2000_START = b"\xff\x4f\xff\x51"
JP2_START = b"\x00\x00\x00\x0cjP  "
# A JP2 file's boxes before the code stream are few and small.
JP2_BOXES = 64 * 1024
LOSSLESS_FRAME, JPEG_LS_FRAME = 0xC3, 0xF7
# ITU-T T.81 table B.1 without DHT, JPG and DAC, and T.87's.
FRAME_MARKERS = {*range(0xC0, 0xD0), JPEG_LS_FRAME} - {0xC4, 0xC8, 0xCC}
SCAN_MARKER = 0xDA
# The coefficients of a scan, from 0 to 63, and their bits: nothing else but these without
# progression (T.81 B.2.3), and some encoders leave them at zero.
SEQUENTIAL_MARKERS, SEQUENTIAL = (0xC0, 0xC1), b"\x00\x3f\x00"
# Frame, Huffman and arithmetic tables, quantisation, restart interval; applications and comment.
ESSENTIAL_MARKERS = {*range(0xC0, 0xD0), 0xDB, 0xDD}
OTHER_MARKERS = {*range(0xE0, 0xF0), 0xFE}
BARE_MARKERS = (0x01, *range(0xD0, 0xD8))
# ISO/IEC 15444-1 A.5.1 allows no more tiles; part 15 marks its streams in the capabilities.
MAX_TILES = 65535
HIGH_THROUGHPUT = 0x4000
CODING_STYLE_DEFAULT, START_OF_TILE = 0x52, 0x90
RLE_HEADER_BYTES = 64
MAX_RLE_SEGMENTS = 15


@dataclass(frozen=True, slots=True)
class Codestream:
    """Kind (a key of `ml.images.decoders.DECODERS`) and what the stream says of its image.

    An RLE stream says nothing but the number of its segments, so there the sizes are 0.
    `has_colour_transform` says that a JPEG 2000 decoder gives RGB, whatever went in.
    """

    kind: str
    rows: int = 0
    columns: int = 0
    components: int = 0
    precision: int = 0
    has_colour_transform: bool = False


def sniff_codestream(data: bytes) -> Codestream | None:
    """Recognise a frame's compression by its content; None when it is of no known kind.

    Raises ImageUnreadable and ImageTruncated for a stream whose header is broken.
    """
    try:
        if data.startswith(JPEG_START):
            return _read_jpeg(data)
        if data.startswith(JPEG2000_START):
            return _read_jpeg2000(data, 0)
        if data.startswith(JP2_START):
            start = data.find(JPEG2000_START, 0, JP2_BOXES)
            return _read_jpeg2000(data, start) if start > 0 else None
        return Codestream("RLE") if _is_rle(data) else None
    except (struct.error, IndexError) as error:
        raise ImageTruncated(detail="its compressed data ends in its header") from error


def check_codestream(stream: Codestream, data: bytes, image: ImagePixel) -> None:
    """Refuse, before anything is decoded, a stream that is not of the announced image."""
    if stream.kind == "RLE":
        _check_rle(data, image)
        return
    found = (stream.rows, stream.columns, stream.components)
    if found != (image.rows, image.columns, image.samples):
        announced = f"{image.rows} x {image.columns} x {image.samples}"
        detail = f"{announced} is announced, but {' x '.join(map(str, found))} was compressed"
        raise ImageUnreadable(detail=detail)
    if not 1 <= stream.precision <= 32:
        raise ImageUnreadable(detail=f"its samples have {stream.precision} bits")
    if stream.kind.startswith("JPEG ") and data.rfind(JPEG_END) < 0:
        raise ImageTruncated(detail="its compressed data has no end")


def _read_jpeg(data: bytes) -> Codestream | None:
    position = 2
    while True:
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF or marker in BARE_MARKERS:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in FRAME_MARKERS:
            return _read_jpeg_frame(data, position, marker)
        if marker == SCAN_MARKER or length < 2:
            return None
        position += 2 + length


def _read_jpeg_frame(data: bytes, position: int, marker: int) -> Codestream:
    precision, rows, columns, components = struct.unpack_from(">BHHB", data, position + 4)
    if marker == JPEG_LS_FRAME:
        kind = "JPEG LS"
    elif marker == LOSSLESS_FRAME:
        kind = "JPEG lossless"
    else:
        kind = "JPEG 8" if precision == 8 else "JPEG 12"
    return Codestream(kind, rows, columns, components, precision)


def keep_essentials(data: bytes) -> bytes:
    """The same JPEG without what its first scan doesn't need: applications' segments, comments.

    Raises ValueError where something else stands between the segments.
    """
    kept, position, is_sequential = [JPEG_START[:2]], 2, False
    while data[position : position + 1] == b"\xff":
        marker, length = (
            data[position + 1],
            int.from_bytes(data[position + 2 : position + 4], "big"),
        )
        end = position + 2 + length
        if marker == SCAN_MARKER:
            head = data[position : end - 3] + SEQUENTIAL if is_sequential else data[position:end]
            return b"".join([*kept, head, data[end:]])
        is_sequential |= marker in SEQUENTIAL_MARKERS
        if marker in ESSENTIAL_MARKERS:
            kept.append(data[position:end])
        elif marker not in OTHER_MARKERS:
            break
        position = end
    raise ValueError("the segments of its header are in disorder")


def _read_jpeg2000(data: bytes, start: int) -> Codestream:
    _, capabilities, *fields = struct.unpack_from(">HH8LH", data, start + 4)
    right, bottom, left, top, tile_width, tile_height, tiles_left, tiles_top, components = fields
    if not (tile_width and tile_height and left < right and top < bottom):
        raise ImageUnreadable(detail="its JPEG 2000 header announces no area")
    if tiles_left > left or tiles_top > top:
        raise ImageUnreadable(detail="its JPEG 2000 tiles begin inside of the image")
    across = -(-(right - tiles_left) // tile_width)
    if across * -(-(bottom - tiles_top) // tile_height) > MAX_TILES:
        raise ImageUnreadable(detail="its JPEG 2000 header announces too many tiles")
    depths = {data[start + 42 + 3 * number] for number in range(components)}
    precision = max((depth & 0x7F for depth in depths), default=-1) + 1
    kind = "HTJ2K" if capabilities & HIGH_THROUGHPUT else "J2K"
    is_transformed = components == 3 and _has_colour_transform(data, start + 2)
    return Codestream(kind, bottom - top, right - left, components, precision, is_transformed)


def _has_colour_transform(data: bytes, position: int) -> bool:
    """Whether the coding style default of the main header names one (A.6.1, table A.16)."""
    while data[position : position + 1] == b"\xff" and position + 9 < len(data):
        marker = data[position + 1]
        if marker == CODING_STYLE_DEFAULT:
            return data[position + 8] == 1
        if marker == START_OF_TILE:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _is_rle(data: bytes) -> bool:
    """Whether this begins with the header of PS3.5 G.5: a count, and rising offsets from 64."""
    if len(data) < RLE_HEADER_BYTES:
        return False
    count, *offsets = struct.unpack_from("<16L", data)
    used = offsets[:count]
    return 1 <= count <= MAX_RLE_SEGMENTS and used[0] == RLE_HEADER_BYTES and used == sorted(used)


def _check_rle(data: bytes, image: ImagePixel) -> None:
    count, *offsets = struct.unpack_from("<16L", data)
    expected = image.samples * -(-image.bits_allocated // 8)
    if count != expected:
        detail = f"{count} segments of run lengths where {expected} are needed"
        raise ImageUnreadable(detail=detail)
    needed = image.rows * image.columns
    bounds = [*offsets[:count], len(data)]
    for start, end in zip(bounds, bounds[1:], strict=False):
        # Two bytes stand for 128 at most.
        if end > len(data) or (end - start) * 64 < needed:
            raise ImageTruncated(detail="its run lengths end early")
