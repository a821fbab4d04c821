"""Compressed pixel data as it is encapsulated (PS3.5 A.4): fragments, and the frames they make."""

import struct
from collections.abc import Iterable, Iterator, Sequence

from pydicom.dataset import Dataset

from ml.errors import ImageTruncated, ImageUnreadable
from ml.images.codestream import JPEG2000_START, JPEG_END, JPEG_START, sniff_codestream

ITEM = b"\xfe\xff\x00\xe0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0"
UNDEFINED_LENGTH = 0xFFFFFFFF
BEGINNING_BYTES = 64 * 1024

Fragments = list[tuple[int, bytes]]


def read_fragments(body: bytes, position: int) -> tuple[bytes, Fragments]:
    """The offset table, and every fragment with its offset from the first one's item.

    Followed by the items' lengths, not by searching for the end: its bytes may occur in a fragment.
    A missing end is let through; raises ImageTruncated and ImageUnreadable.
    """
    items: Fragments = []
    while position + 8 <= len(body):
        tag, (length,) = body[position : position + 4], struct.unpack_from("<L", body, position + 4)
        if tag == SEQUENCE_END:
            break
        if tag != ITEM or length == UNDEFINED_LENGTH:
            raise ImageUnreadable(detail="its compressed pixel data is not made of fragments")
        if position + 8 + length > len(body):
            raise ImageTruncated(detail="it ends in the middle of its compressed pixels")
        items.append((position, body[position + 8 : position + 8 + length]))
        position += 8 + length
    if len(items) < 2:
        raise ImageTruncated(detail="its compressed pixel data is empty")
    first = items[1][0]
    return items[0][1], [(start - first, data) for start, data in items[1:]]


def read_beginning(body: bytes, position: int) -> bytes:
    """How the first fragment begins; empty where there is none, or something else."""
    if body[position : position + 4] != ITEM or position + 8 > len(body):
        return b""
    (table,) = struct.unpack_from("<L", body, position + 4)
    start = position + 8 + table
    return body[start + 8 : start + 8 + BEGINNING_BYTES] if body[start : start + 4] == ITEM else b""


def split_frames(
    dataset: Dataset, table: bytes, fragments: Fragments, count: int, wanted: Iterable[int]
) -> Iterator[bytes]:
    """The compressed bytes of the wanted frames of `count`; raises as `read_fragments` does."""
    if len(fragments) < count:
        raise ImageTruncated(detail=f"it holds {len(fragments)} of {count} frames")
    if len(fragments) == count:
        starts = list(range(count))
    else:
        starts = _find_starts(_read_offsets(dataset, table), fragments, count)
    bounds = [*starts, len(fragments)]
    for index in wanted:
        yield b"".join(data for _, data in fragments[bounds[index] : bounds[index + 1]])


def _find_starts(offsets: Sequence[int], fragments: Fragments, count: int) -> list[int]:
    """The number of each frame's first fragment, by the offset table or else by the streams.

    Of more frames than the header states there is one number more: where the stated ones end.
    """
    numbers = {offset: number for number, (offset, _) in enumerate(fragments)}
    starts = [numbers.get(offset, -1) for offset in offsets[: count + 1]]
    if len(starts) < count or starts[0] != 0 or -1 in starts or starts != sorted(set(starts)):
        starts = _find_streams(fragments)[: count + 1]
    if count == 1 and len(starts) < 2:
        return [0]
    if len(starts) < count or starts[0] != 0:
        raise ImageUnreadable(detail=f"{len(fragments)} fragments can't be told as {count} frames")
    return starts


def _find_streams(fragments: Fragments) -> list[int]:
    """The numbers of the fragments with which a code stream begins: one after the end of another.

    A frame of run lengths is always one fragment (PS3.5 A.4.2).
    """
    contents = [data for _, data in fragments]
    if all(contents) and _are_run_lengths(contents):
        return list(range(len(contents)))
    signatures = (JPEG_START, JPEG2000_START)
    starts = [number for number, data in enumerate(contents) if data.startswith(signatures)]
    after_ends = [
        number
        for number in starts
        if not number or contents[number - 1].rstrip(b"\0").endswith(JPEG_END)
    ]
    return after_ends if len(after_ends) > 1 else starts


def _are_run_lengths(contents: Sequence[bytes]) -> bool:
    return all(
        (stream := sniff_codestream(data)) is not None and stream.kind == "RLE" for data in contents
    )


def _read_offsets(dataset: Dataset, table: bytes) -> tuple[int, ...]:
    extended = dataset.get("ExtendedOffsetTable")
    if isinstance(extended, bytes) and not table:
        return struct.unpack(f"<{len(extended) // 8}Q", extended[: len(extended) // 8 * 8])
    return struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4])
