"""Damaged copies of images: every one follows from the seeds and its number alone."""

import random
import re
from collections.abc import Callable, Sequence

MAX_BYTES = 200_000
# Group 0028 in either byte order, where the description of the pixels stands.
DESCRIPTION = re.compile(rb"\x28\x00[\x00-\x31][\x00-\x11]|\x00\x28[\x00-\x11][\x00-\x31]")
# Items, pixel data, and the markers that compressed streams are made of.
MARKS = re.compile(
    rb"\xfe\xff[\x00\xdd]\xe0|\xe0\x7f[\x08-\x10]\x00|\xff[\xc0-\xcf\xd8-\xdf\xf7]|\xff[\x4f-\x64]"
)
INTERESTING = (0, 1, 2, 7, 8, 12, 15, 16, 24, 32, 64, 127, 128, 254, 255, 256, 4096, 32767, 32768)
EXTREMES = (65535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
MAX_CHANGES = 6

Change = Callable[[bytearray, random.Random], None]


def make_case(seeds: Sequence[bytes], number: int, salt: int) -> bytes:
    """The damaged file `number`; the same salt and seeds always give the same one."""
    rng = random.Random(salt << 40 | number)
    case = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, MAX_CHANGES)):
        rng.choice(CHANGES)(case, rng)
        if rng.random() < 0.05:
            _splice(case, rng.choice(seeds), rng)
    return bytes(case[:MAX_BYTES])


def _place(case: bytearray, rng: random.Random) -> int:
    return rng.randrange(max(len(case), 1))


def _flip_bit(case: bytearray, rng: random.Random) -> None:
    if case:
        case[_place(case, rng)] ^= 1 << rng.randrange(8)


def _put_number(case: bytearray, rng: random.Random) -> None:
    _write_number(case, _place(case, rng), rng)


def _put_described(case: bytearray, rng: random.Random) -> None:
    """A number into an element that describes the pixels: where the value or the length stands."""
    found = [match.start() for match in DESCRIPTION.finditer(case)]
    if found:
        _write_number(case, rng.choice(found) + rng.choice((4, 6, 8, 8, 8, 8, 10)), rng)


def _put_marked(case: bytearray, rng: random.Random) -> None:
    """A number behind an item or a marker: its length, or what the marker's segment begins with."""
    found = [match.start() for match in MARKS.finditer(case)]
    if found:
        _write_number(case, rng.choice(found) + rng.randrange(2, 40), rng)


def _write_number(case: bytearray, place: int, rng: random.Random) -> None:
    number = rng.choice((*INTERESTING, *EXTREMES, rng.randrange(1 << 16)))
    size = 4 if number > 0xFFFF else rng.choice((1, 2, 2, 4))
    number &= (1 << 8 * size) - 1
    case[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _remove(case: bytearray, rng: random.Random) -> None:
    place = _place(case, rng)
    del case[place : place + rng.choice((1, 2, 4, 8, 64, 512))]


def _cut(case: bytearray, rng: random.Random) -> None:
    del case[_place(case, rng) :]


def _repeat(case: bytearray, rng: random.Random) -> None:
    start = _place(case, rng)
    chunk = case[start : start + rng.choice((1, 2, 4, 16, 256))]
    place = _place(case, rng)
    case[place:place] = chunk * rng.choice((1, 1, 2, 16))


def _overwrite(case: bytearray, rng: random.Random) -> None:
    place, size = _place(case, rng), rng.choice((1, 4, 16, 64))
    case[place : place + size] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))


def _splice(case: bytearray, other: bytes, rng: random.Random) -> None:
    start = rng.randrange(max(len(other), 1))
    place = _place(case, rng)
    case[place : place + rng.randrange(1, 512)] = other[start : start + rng.randrange(1, 512)]


CHANGES: tuple[Change, ...] = (
    _flip_bit,
    _put_number,
    _put_described,
    _put_described,
    _put_described,
    _put_marked,
    _put_marked,
    _remove,
    _cut,
    _repeat,
    _overwrite,
)
