"""Colour frames: palettes plain and segmented, and luminance with colour differences."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from openjpeg.utils import encode_array as encode_jpeg2000
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, convert_color_space
from pydicom.uid import JPEG2000Lossless

from ml.errors import ImageUnreadable
from ml.images import read_frames, read_stored_values, to_display
from tests.ml.dcmtk import render_with_dcmtk
from tests.ml.pictures import encode_picture, make_dicom, make_encapsulated

CHANNELS = ("Red", "Green", "Blue")
COLOURS = np.random.default_rng(7).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def make_palette(
    tables: list[bytes], *, count: int, first: int = 0, bits: int = 8, prefix: str = ""
) -> dict[str, Any]:
    """The elements of a palette whose three tables are given as they are stored."""
    fields: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for channel, table in zip(CHANNELS, tables, strict=True):
        fields[f"{channel}PaletteColorLookupTableDescriptor"] = [count, first, bits]
        fields[f"{prefix}{channel}PaletteColorLookupTableData"] = table
    return fields


def draw_tables(count: int, kind: str) -> list[NDArray[Any]]:
    ramp = np.linspace(0, np.iinfo(kind).max, count)
    return [table.astype(kind) for table in (ramp, ramp[::-1], np.roll(ramp, count // 3))]


@pytest.mark.parametrize(
    ("kind", "bits", "first"),
    [("<u2", 16, 0), ("<u2", 16, 40), ("u1", 8, 0), ("<u2", 8, 20)],
    ids=["deep", "deep-from-40", "bytes", "bytes-in-words"],
)
def test_to_display_colours_as_dcmtk_does_when_a_palette_is(
    tmp_path: Path, kind: str, bits: int, first: int
) -> None:
    tables = draw_tables(200, "u1" if bits == 8 else kind)
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = [table.astype(kind).tobytes() for table in tables]
    path = tmp_path / "palette.dcm"
    path.write_bytes(make_dicom(stored, **make_palette(data, count=200, first=first, bits=bits)))
    (frame,) = read_frames(path)
    index = np.clip(stored.astype(int) - first, 0, 199)
    expected = np.stack([table[index] >> (bits - 8) for table in tables], axis=-1)
    np.testing.assert_array_equal(to_display(frame), expected)
    rendered = render_with_dcmtk(path, frame)
    assert rendered is not None
    assert np.abs(to_display(frame) - rendered).max() <= 1


@pytest.mark.parametrize(("bits", "kind"), [(1, "u1"), (5, "u1"), (7, "u1"), (6, "<u2")])
def test_to_display_gives_few_bits_of_colour_the_whole_range_as_dcmtk_does(
    tmp_path: Path, bits: int, kind: str
) -> None:
    stored = (COLOURS >> (8 - bits)).astype(kind)
    path = tmp_path / "few.dcm"
    path.write_bytes(make_dicom(stored, BitsStored=bits))
    (frame,) = read_frames(path)
    rendered = render_with_dcmtk(path, frame)
    assert rendered is not None
    assert np.abs(to_display(frame) - rendered).max() <= 1
    np.testing.assert_array_equal(read_stored_values(path.read_bytes())[0], stored)


def test_to_display_maps_negative_values_when_a_palette_begins_there() -> None:
    tables = draw_tables(10, "<u2")
    stored = np.arange(-8, 8, dtype=np.int16).reshape(4, 4)
    palette = make_palette([table.tobytes() for table in tables], count=10, first=-5, bits=16)
    shown = to_display(read_frames(make_dicom(stored, **palette))[0])
    index = np.clip(stored.astype(int) + 5, 0, 9)
    np.testing.assert_array_equal(shown, np.stack([t[index] >> 8 for t in tables], axis=-1))


@pytest.mark.parametrize("bits", [8, 16])
def test_to_display_expands_segments_as_pydicom_does_when_a_palette_has_them(bits: int) -> None:
    """Discrete 0..3, a line up in 100 steps, one down in 60, and the first line again."""
    top = (1 << bits) - 1
    words = [0, 4, 0, 1, 2, 3, 1, 100, top, 1, 60, 5]
    kind = "u1" if bits == 8 else "<u2"
    # An indirect segment repeats one segment from the given offset (C.7.9.2.3).
    offset = [6, 0, 0, 0] if bits == 8 else [6, 0]
    table = np.array([*words, 2, 1, *offset], kind).tobytes()
    palette = make_palette([table] * 3, count=264, bits=bits, prefix="Segmented")
    # No more than 256 values: pydicom's index to a palette of bytes is a byte.
    stored = np.arange(256, dtype=np.uint16).reshape(16, 16)
    (frame,) = read_frames(make_dicom(stored, **palette))
    reference = Dataset()
    for name, value in palette.items():
        setattr(reference, name, value)
    reference.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    shown = apply_color_lut(stored, reference)
    # Three equal tables: the image is grey.
    np.testing.assert_array_equal(to_display(frame), (shown >> (bits - 8))[..., 0])


def test_read_frames_expands_no_more_than_announced_when_segments_multiply() -> None:
    """65535 repetitions of a line of 65535 entries, in a few bytes."""
    words = [0, 1, 0, 1, 65535, 65535, *[2, 65535, 3, 0] * 50]
    table = np.array(words, "<u2").tobytes()
    palette = make_palette([table] * 3, count=300, bits=16, prefix="Segmented")
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert read_frames(make_dicom(stored, **palette))[0].rows == 16


@pytest.mark.parametrize(
    "broken",
    [
        {},
        make_palette([b""] * 3, count=4),
        make_palette([b"\x01\x05\x09\x00"] * 3, count=4, prefix="Segmented"),
        make_palette([b"\x07\x05\x09\x00"] * 3, count=4, prefix="Segmented"),
    ],
    ids=["none", "empty", "line-from-nothing", "unknown-segment"],
)
def test_read_frames_refuses_when_a_palette_is_broken(broken: dict[str, Any]) -> None:
    fields = {"PhotometricInterpretation": "PALETTE COLOR"} | broken
    with pytest.raises(ImageUnreadable):
        read_frames(make_dicom(np.zeros((4, 4), np.uint8), **fields))


def halve_colour(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Y Y Cb Cr of each two neighbours, as PS3.3 C.7.6.3.1.2 has it."""
    pairs = colours.reshape(-1, 2, 3)
    return np.concatenate([pairs[:, :, 0], pairs[:, 0, 1:]], axis=1)


def convert_exactly(colours: NDArray[np.uint8], *, is_partial: bool) -> NDArray[np.float64]:
    """The equations of PS3.3 C.7.6.3.1.2 solved for RGB, clipped but not rounded."""
    full = np.array([[0.2990, 0.5870, 0.1140], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    partial = np.array(
        [[0.2568, 0.5041, 0.0979], [-0.1482, -0.2910, 0.4392], [0.4392, -0.3678, -0.0714]]
    )
    forward, base = (partial, 16) if is_partial else (full, 0)
    return np.clip((colours - np.array([base, 128.0, 128.0])) @ np.linalg.inv(forward).T, 0, 255)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"])
def test_to_display_converts_luminance_as_the_standard_says(
    tmp_path: Path, photometric: str
) -> None:
    # Within what both definitions allow, and one pair of differences for two neighbours.
    luminance = np.clip(COLOURS, 16, 235)
    luminance[:, 1::2, 1:] = luminance[:, ::2, 1:]
    halved = photometric.endswith("422")
    content = make_dicom(
        halve_colour(luminance).reshape(64, 32, 3) if halved else luminance,
        Rows=48,
        Columns=64,
        PhotometricInterpretation=photometric,
    )
    path = tmp_path / "ybr.dcm"
    path.write_bytes(content)
    (frame,) = read_frames(path)
    exact = convert_exactly(luminance, is_partial="PARTIAL" in photometric)
    assert np.abs(to_display(frame) - exact).max() < 0.6
    # dcmtk adds up whole numbers, truncated from the products, which may miss by one more.
    rendered = render_with_dcmtk(path, frame)
    assert rendered is not None
    assert np.abs(to_display(frame) - rendered).max() <= 2
    assert np.abs(rendered - exact).max() > 0.6


def test_to_display_shows_rgb_when_jpeg2000_transformed_its_colours() -> None:
    data = bytes(encode_jpeg2000(COLOURS, photometric_interpretation=1, use_mct=True))
    content = make_encapsulated(
        [data], COLOURS, syntax=JPEG2000Lossless, PhotometricInterpretation="YBR_RCT"
    )
    np.testing.assert_array_equal(to_display(read_frames(content)[0]), COLOURS)


def test_read_frames_refuses_when_colours_are_of_no_known_space() -> None:
    for photometric in ("HSV", "YBR_RCT"):
        with pytest.raises(ImageUnreadable):
            read_frames(make_dicom(COLOURS, PhotometricInterpretation=photometric))


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "RGB"])
@pytest.mark.parametrize("is_irreversible", [False, True])
def test_jpeg_2000_with_a_colour_transform_is_converted_once(photometric, is_irreversible) -> None:
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[..., 0], colours[..., 1], colours[8:, :, 2] = 200, np.arange(0, 128, 4), 90
    data = encode_picture(colours, "JPEG2000", no_jp2=True, mct=1, irreversible=is_irreversible)
    content = make_encapsulated(
        [data], colours, syntax=JPEG2000Lossless, PhotometricInterpretation=photometric
    )
    assert np.abs(read_frames(content)[0].pixels.astype(int) - colours).max() <= 4


def test_jpeg_2000_without_a_colour_transform_is_what_its_header_says() -> None:
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[..., 0], colours[..., 1], colours[..., 2] = 200, np.arange(0, 128, 4), 90
    luma = convert_color_space(colours, "RGB", "YBR_FULL")
    data = encode_picture(luma, "JPEG2000", no_jp2=True, mct=0)
    content = make_encapsulated(
        [data], colours, syntax=JPEG2000Lossless, PhotometricInterpretation="YBR_FULL"
    )
    assert np.abs(read_frames(content)[0].pixels.astype(int) - colours).max() <= 4


@pytest.mark.parametrize("is_planar", [0, 1])
def test_colours_that_are_called_halved_but_lie_whole_are_read_whole(is_planar) -> None:
    colours = np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8)
    luma = convert_color_space(colours, "RGB", "YBR_FULL")
    stored = luma.transpose(2, 0, 1) if is_planar else luma
    content = make_dicom(
        np.ascontiguousarray(stored).reshape(6, 8, 3),
        PhotometricInterpretation="YBR_FULL_422",
        PlanarConfiguration=is_planar,
    )
    assert np.abs(read_frames(content)[0].pixels.astype(int) - colours).max() <= 2
