"""Unpacking deflated data within a bound."""

import tracemalloc
import zlib

import pytest

from ml.inflating import Fault, NotInflated, inflate

CONTENT = b"0123456789" * 100


def deflate(content: bytes, *, is_zlib: bool = False) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("is_zlib", [False, True])
def test_inflate_unpacks_what_is_as_long_as_the_limit(is_zlib):
    packed = deflate(CONTENT, is_zlib=is_zlib)
    assert inflate(packed, limit=len(CONTENT), is_zlib=is_zlib) == CONTENT


@pytest.mark.parametrize(
    ("packed", "fault"),
    [
        (deflate(CONTENT + b"0"), Fault.TOO_LARGE),
        (deflate(CONTENT)[:-3], Fault.CUT_SHORT),
        (b"", Fault.CUT_SHORT),
        (b"\xff" + deflate(CONTENT), Fault.BROKEN),
        (deflate(CONTENT, is_zlib=True), Fault.BROKEN),
    ],
    ids=["longer", "cut", "empty", "broken", "wrapped"],
)
def test_inflate_says_why_there_is_nothing(packed, fault):
    with pytest.raises(NotInflated) as caught:
        inflate(packed, limit=len(CONTENT))
    assert caught.value.fault is fault


def test_inflate_takes_no_more_memory_than_the_limit():
    packed = deflate(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(NotInflated):
        inflate(packed, limit=1024 * 1024)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize("packed", [deflate(CONTENT), deflate(CONTENT)[:-3]], ids=["whole", "cut"])
@pytest.mark.parametrize("limit", [0, 20])
def test_inflate_gives_the_start_alone(packed, limit):
    assert inflate(packed, limit=limit, is_start=True) == CONTENT[:limit]
