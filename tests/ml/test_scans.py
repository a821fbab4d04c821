"""JPEGs that end early and say that they end: refused, where libraries would show grey or zeros."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pydicom.uid import JPEGBaseline8Bit

from ml.errors import ImageTruncated, ImageUnreadable
from ml.images import read_frames
from tests.ml.pictures import make_encapsulated
from tests.prerequisites import require_shared

END = b"\xff\xd9"
GREY = np.random.default_rng(8).integers(0, 256, (64, 80)).astype(np.uint8)
COLOURS = np.random.default_rng(9).integers(0, 256, (64, 80, 3)).astype(np.uint8)


def encode(pixels: NDArray[np.uint8], **options: int) -> tuple[bytes, NDArray[np.uint8]]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue(), pixels


def take_from(name: str) -> tuple[bytes, NDArray[np.uint16]]:
    dataset = dcmread(get_testdata_file(name))
    data = get_frame(dataset.PixelData, 0, number_of_frames=1)
    deep = np.uint16 if dataset.BitsAllocated == 16 else np.uint8
    samples = (3,) if dataset.SamplesPerPixel == 3 else ()
    return data, np.zeros((dataset.Rows, dataset.Columns, *samples), deep)


STREAMS = {
    "baseline": encode(GREY),
    "baseline colour": encode(COLOURS),
    "progressive": encode(GREY, progressive=True),
    "progressive colour": encode(COLOURS, progressive=True),
    "restarts": encode(GREY, restart_marker_blocks=7),
    "restarts colour": encode(COLOURS, restart_marker_rows=1),
    "12 bits": take_from("JPGExtended.dcm"),
    "12 bits of an odd scan header": take_from("JPEG-lossy.dcm"),
    "lossless colour": take_from("SC_rgb_jpeg_gdcm.dcm"),
}


def wrap(stream: str, data: bytes) -> bytes:
    return make_encapsulated([data], STREAMS[stream][1], syntax=JPEGBaseline8Bit)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9, 0.98])
@pytest.mark.parametrize("stream", STREAMS)
def test_read_frames_refuses_a_jpeg_when_it_ends_early_with_an_end(
    stream: str, share: float
) -> None:
    data, _ = STREAMS[stream]
    assert read_frames(wrap(stream, data))
    cut = data[: int(share * len(data))].rstrip(b"\xff")
    with pytest.raises(ImageTruncated):
        read_frames(wrap(stream, cut + END))


@settings(max_examples=60, deadline=None)
@given(stream=st.sampled_from(sorted(STREAMS)), missing=st.integers(1, 600))
def test_read_frames_gives_the_whole_image_or_none(stream: str, missing: int) -> None:
    """Wherever a stream is cut; what is missing may have been of no meaning."""
    data, _ = STREAMS[stream]
    whole = read_frames(wrap(stream, data))[0].pixels
    try:
        found = read_frames(wrap(stream, data[:-missing].rstrip(b"\xff") + END))[0].pixels
    except (ImageTruncated, ImageUnreadable):
        return
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", ["CT2_JPLL", "CT0012.fragmented_no_bot_jpeg_lossless.57.dcm"])
def test_read_frames_refuses_a_real_lossless_jpeg_when_half_of_it_is_missing(name: str) -> None:
    dataset = dcmread(require_shared("dicom/transfer-syntaxes") / name)
    data = get_frame(dataset.PixelData, 0, number_of_frames=1)
    like = np.zeros((dataset.Rows, dataset.Columns), np.uint16)
    assert read_frames(make_encapsulated([data], like, syntax=JPEGBaseline8Bit))
    half = make_encapsulated([data[: len(data) // 2] + END], like, syntax=JPEGBaseline8Bit)
    with pytest.raises(ImageTruncated):
        read_frames(half)


@pytest.mark.parametrize("stream", ["restarts", "restarts colour"])
def test_read_frames_refuses_a_jpeg_when_it_ends_at_a_restart(stream: str) -> None:
    data, _ = STREAMS[stream]
    middle = data.index(b"\xff\xd1")
    for cut in (data[:middle], data[: middle + 2]):
        with pytest.raises(ImageTruncated):
            read_frames(wrap(stream, cut + END))


def test_read_frames_refuses_a_jpeg_when_only_a_preview_inside_of_it_ends() -> None:
    data, _ = STREAMS["baseline"]
    preview = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    with pytest.raises(ImageTruncated):
        read_frames(wrap("baseline", data[:2] + preview + data[2 : len(data) // 2]))


@pytest.mark.parametrize("behind", [b"\xff", b"\0\0", b"\xff\xff\xff"])
def test_read_frames_reads_a_jpeg_when_filling_stands_before_its_end(behind: bytes) -> None:
    data, _ = STREAMS["baseline"]
    expected = read_frames(wrap("baseline", data))[0].pixels
    found = read_frames(wrap("baseline", data[:-2] + behind + END))[0].pixels
    np.testing.assert_array_equal(found, expected)


def test_read_frames_refuses_a_jpeg_when_its_scans_have_no_end() -> None:
    data, _ = STREAMS["progressive"]
    last = data.rindex(b"\xff\xda")
    with pytest.raises(ImageUnreadable, match="scans"):
        read_frames(wrap("progressive", data[:-2] + 300 * data[last:-2] + END))


@pytest.mark.parametrize("stream", ["baseline", "progressive colour", "restarts"])
def test_read_frames_refuses_a_picture_when_it_ends_early_with_an_end(
    stream: str, tmp_path: Path
) -> None:
    data, _ = STREAMS[stream]
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    assert read_frames(path)
    path.write_bytes(data[: len(data) // 2].rstrip(b"\xff") + END)
    with pytest.raises(ImageTruncated):
        read_frames(path)
