"""Whether the scans of a JPEG hold their whole image: libraries fill up what is missing."""

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImageTruncated, ImageUnreadable

END, SCAN, RESTART_INTERVAL = 0xD9, 0xDA, 0xDD
BARE_MARKERS = (0x01, *range(0xD0, 0xD9))
# A marker begins with one or more bytes of 255; inside of a scan, restarts are part of the data.
MARKER = re.compile(rb"\xff[^\x00\xff]")
SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# Without a marker, and in no pattern that a code of any table stands for.
FILLER = bytes.fromhex("a55a3cc3966987784be12d1e") * 3
# A progressive image has a few scans for each of its components.
MAX_SCANS = 256

Decode = Callable[[bytes], NDArray[Any]]


def decode_whole(data: bytes, decode: Decode, *, is_strict: bool = False) -> NDArray[Any]:
    """What `decode` makes of a JPEG; raises ImageTruncated where a scan of it ends early.

    Bytes behind the last value of a scan change nothing, and behind a scan that was cut short they
    are taken for values. A decoder that `is_strict` gives up over the second place with such bytes.
    """
    expected = {_decode_digest(longer, decode) for longer in _lengthen(data, one_by_one=is_strict)}
    values = decode(data)
    if expected != {_digest(values)}:
        raise ImageTruncated(detail="its compressed data ends early")
    return values


def _decode_digest(data: bytes, decode: Decode) -> int | None:
    """None where it can't be decoded."""
    try:
        return _digest(decode(data))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a decoder may raise anything
        return None


def _digest(values: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data)


def _lengthen(data: bytes, *, one_by_one: bool) -> Iterator[bytes]:
    """Copies with more bytes behind the scans, and with one more restart where there may be any.

    Raises ImageTruncated for a JPEG without an end, and ImageUnreadable for one without order.
    """
    ends, has_restarts = _find_scan_ends(data)
    if not ends:
        raise ImageUnreadable(detail="its compressed data has no scan")
    fillings = [dict.fromkeys(ends, FILLER)]
    if has_restarts:
        fillings.append({place: _restart(number) + FILLER for place, number in ends.items()})
    for filling in fillings:
        for places in [[place] for place in filling] if one_by_one else [list(filling)]:
            yield _insert(data, {place: filling[place] for place in places})


def _restart(number: int) -> bytes:
    return bytes([0xFF, 0xD0 + number % 8])


def _insert(data: bytes, filling: dict[int, bytes]) -> bytes:
    parts, last = [], 0
    for place, filler in filling.items():
        parts += [data[last:place], filler]
        last = place
    return b"".join([*parts, data[last:]])


def _find_scan_ends(data: bytes) -> tuple[dict[int, int], bool]:
    """How many restarts each scan has, by the place where it ends; and whether any are announced.

    Markers and segments as in ITU-T T.81 B.1.1.
    """
    ends: dict[int, int] = {}
    has_restarts, position = False, 2
    while found := MARKER.search(data, position):
        position, marker = found.end(), data[found.end() - 1]
        if marker == END:
            return ends, has_restarts
        if marker in BARE_MARKERS:
            continue
        has_restarts |= marker == RESTART_INTERVAL
        position += int.from_bytes(data[position : position + 2], "big")
        if marker == SCAN:
            start, position = position, _find_end(data, position)
            ends[position] = sum(1 for _ in RESTART.finditer(data, start, position))
        if len(ends) > MAX_SCANS:
            raise ImageUnreadable(detail=f"its compressed data has more than {MAX_SCANS} scans")
    raise ImageTruncated(detail="its compressed data has no end")


def _find_end(data: bytes, start: int) -> int:
    found = SCAN_END.search(data, start)
    return found.start() if found else len(data)
