"""From packed bytes to stored values: depths, signs, unused bits, byte orders, planes, padding."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian

from ml.errors import ImageTooLarge, ImageTruncated, ImageUnreadable
from ml.images import read_frames, read_stored_values, to_display
from tests.ml.dcmtk import render_with_dcmtk
from tests.ml.pictures import make_dicom

BITS_OVERLAID = 0xA5A5A5A5


def read(content: bytes, frame: int = 0) -> NDArray[Any]:
    return read_frames(content, frames=[frame])[0].pixels


@settings(max_examples=60, deadline=None)
@given(
    stored=st.integers(1, 32),
    is_signed=st.booleans(),
    shift=st.integers(0, 8),
    seed=st.integers(0, 99),
)
def test_read_frames_gives_the_values_when_other_bits_are_in_use(
    stored: int, is_signed: bool, shift: int, seed: int
) -> None:
    """Any depth in the smallest cell, at any height in it, with rubbish (overlays) around it."""
    allocated = next(bits for bits in (8, 16, 32) if bits >= stored)
    shift = min(shift, allocated - stored)
    rng = np.random.default_rng(seed)
    low = -(1 << (stored - 1)) if is_signed else 0
    values = rng.integers(low, low + (1 << stored), (5, 7), np.int64)
    mask = (1 << stored) - 1
    cells = ((values & mask) << shift) | (BITS_OVERLAID & ~(mask << shift))
    packed = (cells & ((1 << allocated) - 1)).astype(f"<u{allocated // 8}")
    content = make_dicom(
        packed.view(f"<i{allocated // 8}") if is_signed else packed,
        BitsStored=stored,
        HighBit=stored - 1 + shift,
        RescaleSlope=1,
        RescaleIntercept=0,
    )
    np.testing.assert_array_equal(read(content), values)


def test_read_frames_keeps_neighbours_apart_when_values_have_32_bits() -> None:
    stored = np.array([[4_000_000_000, 4_000_000_001, 4_000_000_002]], np.uint32)
    frame = read_frames(
        make_dicom(stored, WindowCenter=4_000_000_001.5, WindowWidth=3, BitsStored=32)
    )[0]
    assert frame.pixels.tolist() == stored.tolist()
    assert to_display(frame).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_read_frames_gives_the_values_when_they_are_fractions(kind: type) -> None:
    values = np.linspace(-2, 3, 35, dtype=kind).reshape(5, 7)
    keyword = "FloatPixelData" if kind is np.float32 else "DoubleFloatPixelData"
    content = make_dicom(values, keyword=keyword)
    np.testing.assert_array_equal(read(content), values)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 0, "WindowWidth": 4}])
@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_background(photometric, window, missing) -> None:
    values = np.linspace(-2, 3, 35, dtype=np.float32).reshape(5, 7)
    holed = values.copy()
    holed[1:3, 2:5] = missing
    whole, frame = (
        read_frames(
            make_dicom(
                one, keyword="FloatPixelData", PhotometricInterpretation=photometric, **window
            )
        )[0]
        for one in (values, holed)
    )

    shown = to_display(frame)
    is_hole = holed != values
    assert not frame.is_constant
    assert np.array_equal(shown[~is_hole], to_display(whole)[~is_hole])
    if np.isnan(missing):
        assert set(shown[is_hole].tolist()) == {0}


def test_map_without_any_value_is_blank() -> None:
    frame = read_frames(make_dicom(np.full((4, 4), np.nan), keyword="DoubleFloatPixelData"))[0]
    assert frame.is_constant
    assert set(to_display(frame).ravel().tolist()) == {0}


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_read_frames_unpacks_single_bits_when_frames_end_inside_of_bytes(frame: int) -> None:
    values = np.random.default_rng(frame).integers(0, 2, (3, 5, 7), np.uint8)
    content = make_dicom(
        np.packbits(values.ravel(), bitorder="little").reshape(1, -1),
        Rows=5,
        Columns=7,
        NumberOfFrames=3,
        BitsAllocated=1,
        BitsStored=1,
    )
    np.testing.assert_array_equal(read(content, frame), values[frame])


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("frame", [0, 1])
def test_read_frames_unpacks_twelve_bits_when_two_cells_share_three_bytes(
    frame: int, is_signed: bool
) -> None:
    values = np.random.default_rng(1).integers(-2048, 2048, (2, 3, 5), np.int64)
    low, high = (values.ravel() & 0xFFF).reshape(-1, 2).T
    triples = np.stack([low & 0xFF, low >> 8 | (high & 0xF) << 4, high >> 4], axis=1)
    content = make_dicom(
        triples.astype(np.uint8).reshape(1, -1),
        Rows=3,
        Columns=5,
        NumberOfFrames=2,
        BitsAllocated=12,
        BitsStored=12,
        PixelRepresentation=int(is_signed),
    )
    expected = values[frame] if is_signed else values[frame] & 0xFFF
    np.testing.assert_array_equal(read(content, frame), expected)


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("frame", [0, 1])
def test_read_frames_reads_cells_of_three_bytes(frame: int, *, is_signed: bool) -> None:
    low = -(1 << 23) if is_signed else 0
    values = np.random.default_rng(2).integers(low, low + (1 << 24), (2, 3, 5), np.int64)
    cells = values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
    content = make_dicom(
        np.ascontiguousarray(cells).reshape(1, -1),
        Rows=3,
        Columns=5,
        NumberOfFrames=2,
        BitsAllocated=24,
        BitsStored=24,
        PixelRepresentation=int(is_signed),
        RescaleSlope=1,
        RescaleIntercept=0,
    )
    np.testing.assert_array_equal(read(content, frame), values[frame])
    np.testing.assert_array_equal(read_stored_values(content)[frame], values[frame])


def test_read_frames_gives_the_same_values_in_big_endian_words() -> None:
    deep = np.arange(-20, 15, dtype=np.int16).reshape(5, 7)
    content = make_dicom(deep.astype(">i2"), syntax=ExplicitVRBigEndian)
    np.testing.assert_array_equal(read(content), deep)
    shallow = np.random.default_rng(2).integers(0, 256, (2, 3, 5), np.uint8)
    # OW swaps the bytes of each pair, across the border of the frames too.
    swapped = shallow.reshape(-1, 2)[:, ::-1].reshape(1, -1)
    content = make_dicom(
        swapped, syntax=ExplicitVRBigEndian, vr="OW", Rows=3, Columns=5, NumberOfFrames=2
    )
    for frame in (0, 1):
        np.testing.assert_array_equal(read(content, frame), shallow[frame])


def test_read_frames_gives_the_same_colours_by_pixel_and_by_plane() -> None:
    colours = np.random.default_rng(3).integers(0, 256, (6, 4, 3), np.uint8)
    planes = np.ascontiguousarray(colours.transpose(2, 0, 1)).reshape(6, 4, 3)
    np.testing.assert_array_equal(read(make_dicom(colours)), colours)
    np.testing.assert_array_equal(read(make_dicom(planes, PlanarConfiguration=1)), colours)
    deep = colours.astype(np.uint16) << 8 | 0x7F
    np.testing.assert_array_equal(read(make_dicom(deep)), colours)


def test_to_display_leaves_out_overlays_in_unused_bits_as_dcmtk_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    stored = rng.integers(0, 4096, (32, 48)).astype(np.uint16)
    overlaid = stored | (rng.integers(0, 2, stored.shape).astype(np.uint16) << 12)
    path = tmp_path / "overlaid.dcm"
    fields = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    path.write_bytes(make_dicom(overlaid, Modality="OT", **fields))
    (frame,) = read_frames(path)
    np.testing.assert_array_equal(frame.pixels, stored)
    expected = render_with_dcmtk(path, frame)
    assert expected is not None
    assert np.abs(to_display(frame) - expected).max() <= 1


@pytest.mark.parametrize(
    ("shape", "allocated", "stored", "high_bit"),
    [((32, 48), 16, 12, 15), ((32, 48), 16, 10, 11), ((32, 48), 8, 6, 7)],
)
def test_to_display_honours_high_bit_as_dcmtk_does(
    tmp_path: Path, shape: tuple[int, int], allocated: int, stored: int, high_bit: int
) -> None:
    values = np.random.default_rng(5).integers(0, 1 << stored, shape)
    cells = (values << (high_bit + 1 - stored)).astype(f"<u{allocated // 8}")
    path = tmp_path / "shifted.dcm"
    window = {"WindowCenter": 1 << (stored - 1), "WindowWidth": 1 << stored}
    path.write_bytes(make_dicom(cells, BitsStored=stored, HighBit=high_bit, **window))
    (frame,) = read_frames(path)
    expected = render_with_dcmtk(path, frame)
    assert expected is not None
    assert np.abs(to_display(frame) - expected).max() <= 1


FAULTS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "bits": ({"BitsAllocated": 20}, ImageUnreadable),
    "stored": ({"BitsStored": 17}, ImageUnreadable),
    "samples": ({"SamplesPerPixel": 4}, ImageUnreadable),
    "wide": ({"Rows": 60000, "Columns": 60000}, ImageTooLarge),
    "long": ({"NumberOfFrames": 3_000_000}, ImageTooLarge),
    "frames": ({"NumberOfFrames": 2}, ImageTruncated),
    "colour space": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "CMYK"}, ImageUnreadable),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_read_frames_reads_no_pixel_when_the_description_is_impossible(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, error = FAULTS[fault]
    content = make_dicom(np.ones((16, 16), np.uint16), **fields)
    monkeypatch.setattr("ml.images.pixel_data.read_native", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(error):
        read_frames(content)


@pytest.mark.parametrize("name", ["SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_2frame.dcm"])
def test_read_stored_values_keeps_colours_as_deep_as_they_are(name: str) -> None:
    content = Path(get_testdata_file(name)).read_bytes()
    expected = dcmread(io.BytesIO(content)).pixel_array
    found = np.stack(read_stored_values(content))
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


def test_read_frames_counts_bytes_of_colours_when_it_judges_the_size() -> None:
    """60 million pixels pass in grey; three colours of 16 bits are more than is ever allocated."""
    content = make_dicom(np.zeros((4, 4, 3), np.uint16), Rows=6000, Columns=10000, BitsStored=16)
    with pytest.raises(ImageTooLarge, match="at most"):
        read_frames(content)
    with pytest.raises(ImageTruncated):
        read_frames(make_dicom(np.zeros((4, 4), np.uint8), Rows=6000, Columns=10000))


def test_read_frames_follows_each_frame_when_an_enhanced_image_has_groups() -> None:
    stored = np.stack([np.arange(64, dtype=np.uint16).reshape(8, 8)] * 2)
    groups = [
        {"slope": 1, "intercept": -10, "center": 22, "width": 65},
        {"slope": 2, "intercept": 5, "center": 500, "width": 100},
    ]
    content = make_dicom(stored.reshape(16, 8), Rows=8, NumberOfFrames=2, groups=groups)
    first, second = read_frames(content)
    np.testing.assert_array_equal(first.pixels, stored[0] - 10.0)
    np.testing.assert_array_equal(second.pixels, stored[1] * 2 + 5.0)
    assert (first.window_center, second.window_center) == (22, 500)
    assert to_display(second).max() == 0
