"""Compressed frames: told by their content, checked before decoding, split as they were joined."""

import io
import struct
from typing import Any

import jpeg_ls
import numpy as np
import pytest
import rle
from numpy.typing import NDArray
from openjpeg.utils import encode_array as encode_jpeg2000
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from ml.errors import ImageTruncated, ImageUnreadable, UnsupportedTransferSyntax
from ml.images import read_frames
from ml.images.decoders import DECODERS
from tests.ml.pictures import make_dicom, make_encapsulated, rename_syntax

GREY = (np.add.outer(np.arange(48), np.arange(40)) * 2).astype(np.uint8)
DEEP = np.random.default_rng(6).integers(0, 4096, (48, 40)).astype(np.uint16)
VIDEO = "1.2.840.10008.1.2.4.102"


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def encode_rle(pixels: NDArray[Any]) -> bytes:
    bits = 8 * pixels.dtype.itemsize
    options = {"rows": pixels.shape[0], "columns": pixels.shape[1], "bits_allocated": bits}
    return bytes(
        rle.encode_pixel_data(
            pixels.tobytes(), samples_per_pixel=1, number_of_frames=1, byteorder="<", **options
        )
    )


STREAMS: dict[str, tuple[bytes, NDArray[Any]]] = {
    "JPEG": (encode_jpeg(GREY), np.asarray(Image.open(io.BytesIO(encode_jpeg(GREY))))),
    "JPEG-LS": (bytes(jpeg_ls.encode_array(DEEP)), DEEP),
    "JPEG 2000": (bytes(encode_jpeg2000(DEEP, photometric_interpretation=2)), DEEP),
    "RLE": (encode_rle(DEEP), DEEP),
}
LABELS = (
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    ExplicitVRLittleEndian,
    "1.2.840.10008.1.2.4.66",
    "1.2.276.0.7230010.3.9",
)


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be given to a decoder."""
    monkeypatch.setattr(
        "ml.images.pixel_data.decode_codestream", lambda *_: pytest.fail("it was decoded")
    )


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("kind", STREAMS)
def test_read_frames_decodes_what_is_there_when_the_header_names_another(
    kind: str, label: str
) -> None:
    data, expected = STREAMS[kind]
    (frame,) = read_frames(make_encapsulated([data], expected, syntax=label))
    np.testing.assert_array_equal(frame.pixels, expected)


def test_read_frames_decodes_a_lossless_jpeg_when_the_header_says_baseline() -> None:
    dataset = dcmread(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    expected = dataset.pixel_array
    data = get_frame(dataset.PixelData, 0, number_of_frames=1)
    (frame,) = read_frames(make_encapsulated([data], expected, syntax=JPEGBaseline8Bit))
    np.testing.assert_array_equal(frame.pixels, expected)


@pytest.mark.parametrize("label", [JPEGBaseline8Bit, RLELossless])
def test_read_frames_reads_plain_values_when_the_header_names_a_compression(label: str) -> None:
    content = make_dicom(DEEP)
    named = content.replace(
        b"UI" + struct.pack("<H", 20) + ExplicitVRLittleEndian.encode() + b"\0",
        b"UI"
        + struct.pack("<H", len(label) + len(label) % 2)
        + label.encode().ljust(len(label) + len(label) % 2, b"\0"),
        1,
    )
    assert named != content
    np.testing.assert_array_equal(read_frames(named)[0].pixels, DEEP)


def test_read_frames_refuses_plain_values_when_the_syntax_is_unknown() -> None:
    with pytest.raises(UnsupportedTransferSyntax):
        read_frames(rename_syntax(make_dicom(DEEP), "1.2.840.113619.5.2"))


@pytest.mark.parametrize(
    ("syntax", "error"),
    [(VIDEO, UnsupportedTransferSyntax), (JPEG2000Lossless, ImageUnreadable)],
)
@pytest.mark.usefixtures("undecoded")
def test_read_frames_refuses_when_a_stream_is_of_no_known_kind(
    syntax: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read_frames(make_encapsulated([bytes(range(256))], DEEP, syntax=syntax))


def alter(data: bytes, find: bytes, offset: int, replacement: bytes) -> bytes:
    """The same stream with other bytes at `offset` from the first occurrence of `find`."""
    start = data.index(find) + offset
    return data[:start] + replacement + data[start + len(replacement) :]


JPEG, J2K, JLS, RUNS = (STREAMS[kind][0] for kind in ("JPEG", "JPEG 2000", "JPEG-LS", "RLE"))
LIES: dict[str, tuple[bytes, NDArray[Any], type[Exception]]] = {
    "jpeg rows": (alter(JPEG, b"\xff\xc0", 5, b"\xff\xff"), GREY, ImageUnreadable),
    "jpeg no rows": (alter(JPEG, b"\xff\xc0", 5, b"\0\0"), GREY, ImageUnreadable),
    "jpeg components": (JPEG, np.stack([GREY] * 3, axis=-1), ImageUnreadable),
    "jpeg end": (JPEG[:-40], GREY, ImageTruncated),
    "jpeg header": (JPEG[:100], GREY, ImageTruncated),
    "jpeg-ls columns": (alter(JLS, b"\xff\xf7", 7, b"\x7f\xff"), DEEP, ImageUnreadable),
    "jpeg 2000 rows": (alter(J2K, b"\xff\x51", 10, b"\x7f\xff\xff\xff"), DEEP, ImageUnreadable),
    "jpeg 2000 tiles": (alter(J2K, b"\xff\x51", 22, b"\0\0\0\1\0\0\0\0"), DEEP, ImageUnreadable),
    "jpeg 2000 many tiles": (
        alter(
            alter(J2K, b"\xff\x51", 6, b"\x7f\0\0\0\x7f\0\0\0"), b"\xff\x51", 22, b"\0\0\0\1" * 2
        ),
        DEEP,
        ImageUnreadable,
    ),
    "jpeg 2000 components": (alter(J2K, b"\xff\x51", 38, b"\x40\0"), DEEP, ImageTruncated),
    "runs segments": (RUNS, GREY, ImageUnreadable),
    "runs short": (RUNS[:80], DEEP, ImageTruncated),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.usefixtures("undecoded")
def test_read_frames_decodes_nothing_when_a_stream_disagrees_with_its_header(lie: str) -> None:
    data, like, error = LIES[lie]
    with pytest.raises(error):
        read_frames(make_encapsulated([data], like, syntax=JPEGBaseline8Bit))


@pytest.mark.parametrize(("kind", "name"), [("RLE", "RLE"), ("JPEG 2000", "J2K")])
def test_read_frames_asks_the_next_decoder_when_the_first_fails(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NDArray[Any]:
        raise RuntimeError("out of order")

    data, expected = STREAMS[kind]
    content = make_encapsulated([data], expected, syntax=RLELossless)
    monkeypatch.setitem(DECODERS, name, {"broken": fail, **DECODERS[name]})
    np.testing.assert_array_equal(read_frames(content)[0].pixels, expected)
    monkeypatch.setitem(DECODERS, name, {"broken": fail})
    with pytest.raises(ImageUnreadable, match="out of order"):
        read_frames(content)


def test_read_frames_survives_a_decoder_that_panics() -> None:
    """Runs that go on beyond the image: pylibjpeg-rle panics, which is no Exception."""
    header = struct.pack("<16L", 2, 64, 64 + 2 * 16, *[0] * 13)
    runs = bytes([0x81, 7]) * 16
    data = header + runs + bytes([0x81, 9]) * 40
    (frame,) = read_frames(make_encapsulated([data], DEEP, syntax=RLELossless))
    assert set(frame.pixels.ravel().tolist()) == {7 * 256 + 9}
    assert frame.is_constant


@pytest.mark.parametrize("with_table", [True, False])
def test_read_frames_joins_fragments_to_frames_when_there_are_several(*, with_table: bool) -> None:
    pictures = [GREY, GREY.T.reshape(48, 40), 255 - GREY]
    streams = [bytes(jpeg_ls.encode_array(one)) for one in pictures]
    cuts = [len(stream) // 4 * 2 for stream in streams]
    fragments = [
        part
        for stream, cut in zip(streams, cuts, strict=True)
        for part in (stream[:cut], stream[cut:])
    ]
    sizes = [sum(8 + len(part) + len(part) % 2 for part in fragments[:n]) for n in (0, 2, 4)]
    content = make_encapsulated(
        fragments,
        GREY,
        syntax=JPEGLSLossless,
        table=sizes if with_table else (),
        NumberOfFrames=3,
    )
    for frame, expected in zip(read_frames(content, frames=[2, 0, 1]), (2, 0, 1), strict=True):
        np.testing.assert_array_equal(frame.pixels, pictures[expected])


def test_read_frames_follows_the_extended_table_when_there_is_one() -> None:
    streams = [encode_rle(one) for one in (DEEP, DEEP[::-1])]
    halves = [part for one in streams for part in (one[:70], one[70:])]
    sizes = [sum(8 + len(part) + len(part) % 2 for part in halves[:n]) for n in (0, 2)]
    content = make_encapsulated(
        halves,
        DEEP,
        syntax=RLELossless,
        NumberOfFrames=2,
        ExtendedOffsetTable=struct.pack("<2Q", *sizes),
        ExtendedOffsetTableLengths=struct.pack("<2Q", *map(len, streams)),
    )
    first, second = read_frames(content)
    np.testing.assert_array_equal(first.pixels, DEEP)
    np.testing.assert_array_equal(second.pixels, DEEP[::-1])
    without = content.replace(struct.pack("<2Q", *sizes), struct.pack("<2Q", 0, 3))
    with pytest.raises(ImageUnreadable):
        read_frames(without)


def test_read_frames_says_truncated_when_frames_are_missing() -> None:
    data, expected = STREAMS["RLE"]
    content = make_encapsulated([data], expected, syntax=RLELossless, NumberOfFrames=2)
    with pytest.raises(ImageTruncated, match="1 of 2"):
        read_frames(content, frames=[0])


def test_read_frames_takes_an_end_mark_inside_of_a_fragment_for_data() -> None:
    """The end of the sequence is found by counting, so its bytes may occur in a stream."""
    data = JPEG[:2] + b"\xff\xfe\x00\x0a" + b"\xfe\xff\xdd\xe0\0\0\0\0" + JPEG[2:]
    (frame,) = read_frames(make_encapsulated([data], GREY, syntax=JPEGBaseline8Bit))
    np.testing.assert_array_equal(frame.pixels, STREAMS["JPEG"][1])
