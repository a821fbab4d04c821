"""Pictures of 16 bits a sample: every bit is kept, whatever the library behind keeps."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ml.images import read_frames, read_picture, to_display
from tests.ml.pictures import encode_picture

GREY_ALPHA, COLOURS, COLOURS_ALPHA = 4, 2, 6
CHANNELS = {GREY_ALPHA: 2, COLOURS: 3, COLOURS_ALPHA: 4}


def make_deep_png(
    samples: np.ndarray, kind: int, *, first_filter: int = 0, **chunks: bytes
) -> bytes:
    """A PNG written by hand (RFC 2083), each row by the next of its five filters."""
    rows, columns, channels = samples.shape
    width, stride = 2 * channels, 2 * channels * columns
    above, lines = bytes(stride), []
    for number, row in enumerate(samples.astype(">u2")):
        line, filter_ = row.tobytes(), (first_filter + number) % 5
        lines.append(bytes([filter_]) + _filtered(line, above, width, filter_))
        above = line
    header = struct.pack(">LLBBBBB", columns, rows, 16, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *((name.encode(), data) for name, data in chunks.items())]
    parts += [(b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _filtered(line: bytes, above: bytes, width: int, filter_: int) -> bytes:
    found = bytearray()
    for at, value in enumerate(line):
        left = line[at - width] if at >= width else 0
        corner = above[at - width] if at >= width else 0
        guesses = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))
        found.append((value - guesses[filter_]) % 256)
    return bytes(found)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


@pytest.mark.parametrize("kind", CHANNELS)
def test_every_bit_of_a_deep_picture_is_kept(kind: int) -> None:
    rng = np.random.default_rng(kind)
    samples = rng.integers(0, 65536, (11, 13, CHANNELS[kind]), np.uint16)

    picture = read_picture(make_deep_png(samples, kind))

    expected = samples[..., 0] if kind == GREY_ALPHA else samples[..., :3]
    assert np.array_equal(picture.pixels, expected)
    assert (picture.transparent > 0.99) == (kind != COLOURS)


@pytest.mark.parametrize("kind", CHANNELS)
def test_grey_levels_of_a_shallower_device_are_shown_alike_in_every_form(kind: int) -> None:
    grey = np.linspace(0, 4095, 16 * 20).astype(np.uint16).reshape(16, 20)
    samples = np.stack([grey] * CHANNELS[kind], axis=-1)
    if CHANNELS[kind] % 2 == 0:
        samples[..., -1] = 0xFFFF
    frame = read_frames(make_deep_png(samples, kind, first_filter=2))[0]

    assert np.array_equal(to_display(frame), to_display(read_frames(encode_picture(grey))[0]))


def test_colours_of_a_shallower_device_are_no_black_picture() -> None:
    rng = np.random.default_rng(3)
    samples = rng.integers(0, 4096, (9, 9, 3), np.uint16)
    samples[0, 0] = 4095
    frame = read_frames(make_deep_png(samples, COLOURS))[0]
    assert np.array_equal(to_display(frame), samples >> 4)


def test_deep_picture_is_turned_as_its_camera_was() -> None:
    samples = np.random.default_rng(4).integers(0, 65536, (6, 9, 3), np.uint16)
    turned = Image.Exif()
    turned[0x0112] = 6
    content = make_deep_png(samples, COLOURS, eXIf=turned.tobytes().removeprefix(b"Exif\0\0"))
    assert np.array_equal(read_picture(content).pixels, np.rot90(samples, -1))


def test_interlaced_deep_picture_is_read_by_the_same_rules() -> None:
    content = bytearray(make_deep_png(np.full((1, 1, 3), 0x1234, np.uint16), COLOURS))
    content[28] = 1
    content[29:33] = struct.pack(">L", zlib.crc32(content[12:29]))
    assert set(read_picture(bytes(content)).pixels.ravel().tolist()) == {0x1234}


def test_further_pictures_and_hidden_colours_are_counted() -> None:
    still = Image.fromarray(np.zeros((4, 5, 3), np.uint8))
    buffer = io.BytesIO()
    still.save(
        buffer,
        "PNG",
        save_all=True,
        append_images=[still.rotate(9), Image.new("RGB", (5, 4), "red")],
    )
    pair = io.BytesIO()
    still.save(pair, "MPO", save_all=True, append_images=[Image.new("RGB", (5, 4), "red")])
    hidden = np.zeros((4, 5, 4), np.uint8)
    hidden[:2, :, 3] = 255

    assert read_picture(buffer.getvalue()).further >= 1
    assert read_picture(pair.getvalue()).further == 1
    assert read_picture(encode_picture(hidden)).transparent == 0.5
    assert read_picture(encode_picture(hidden[..., :3])).transparent == 0
