"""Multipart messages: whatever is written is read back, however the bytes arrive."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.dicomweb.multipart import READ_BYTES, MultipartReader, new_boundary, write_parts
from records.errors import MultipartBroken

BOUNDARY = "a+b"
NEAR_MISSES = st.sampled_from(
    [b"\r\n--a+b", b"\r\n--a+bc\r\n", b"--a+b", b"\r\n--a+", b"\r\n", b"\r", b"--", b"\0"]
)
CONTENTS = st.lists(st.lists(NEAR_MISSES | st.binary(max_size=40)).map(b"".join), max_size=5)


class Trickle:
    """A stream that gives a few bytes at a time, as a network does."""

    def __init__(self, content: bytes, size: int) -> None:
        self._stream = io.BytesIO(content)
        self._size = size

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(min(size, self._size))


def is_content(content: bytes) -> bool:
    """Tell whether a content may stand in a message: it holds no whole delimiter."""
    return b"\r\n--a+b\r\n" not in b"\r\n" + content + b"\r\n--" and b"\r\n--a+b--" not in content


def read_all(source: Trickle, size: int = READ_BYTES) -> list[bytes]:
    found = []
    for part in MultipartReader(source, BOUNDARY):
        content = b""
        while data := part.read(size):
            content += data
        found.append(content)
    return found


@given(CONTENTS, st.integers(1, 30), st.integers(1, 30))
def test_reader_gives_back_every_part_however_it_is_cut(contents, arriving, asked):
    contents = [content for content in contents if is_content(content)]
    parts = [({"Content-Type": "x/y"}, [content]) for content in contents]
    body = b"".join(write_parts(parts, boundary=BOUNDARY))

    assert read_all(Trickle(b"preamble\r\n" + body + b"epilogue", arriving), asked) == contents


@given(st.binary(max_size=60), st.integers(1, 30), st.data())
def test_reader_refuses_every_message_that_is_cut_short(content, arriving, data):
    body = b"".join(write_parts([({"Content-Type": "x/y"}, [content])], boundary=BOUNDARY))
    end = data.draw(st.integers(0, body.index(b"--a+b--") + len(b"--a+b-")))

    with pytest.raises(MultipartBroken):
        read_all(Trickle(body[:end], arriving))


def test_reader_skips_what_nobody_read_of_a_part():
    parts = [({"Content-Type": "x/y", "Name": str(number)}, [b"x" * 10**6]) for number in (1, 2)]
    body = io.BytesIO(b"".join(write_parts(parts, boundary=BOUNDARY)))

    names = [part.headers["name"] for part in MultipartReader(body, BOUNDARY)]

    assert names == ["1", "2"]


def test_new_boundary_differs_each_time():
    assert new_boundary() != new_boundary()
