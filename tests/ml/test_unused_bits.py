"""Compressed cells that hold more than the stored values: overlays, and values that lie higher."""

import io
import subprocess
from pathlib import Path

import jpeg_ls
import numpy as np
import pytest
from openjpeg.utils import encode_array as encode_jpeg2000
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from ml.images import read_frames, read_stored_values, to_display
from tests.ml.dcmtk import render_with_dcmtk
from tests.ml.pictures import make_dicom, make_encapsulated
from tests.prerequisites import require_program

RNG = np.random.default_rng(12)
VALUES = RNG.integers(0, 4096, (32, 48)).astype(np.uint16)
SIGNED = RNG.integers(-2048, 2048, (32, 48)).astype(np.int16)
OVERLAID = VALUES | RNG.integers(0, 16, VALUES.shape).astype(np.uint16) << 12
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
CELLS = {
    "overlay above": (OVERLAID, {"BitsStored": 12, "HighBit": 11}),
    "values at the top": (VALUES << 4 | OVERLAID >> 12, {"BitsStored": 12, "HighBit": 15}),
    "values in the middle": (OVERLAID << 2, {"BitsStored": 12, "HighBit": 13}),
}


def compress_with_dcmtk(content: bytes, command: str, path: Path, **fields: int) -> None:
    """Write the file as dcmtk compresses it: whole cells, with the fields given afterwards."""
    tool, *options = command.split()
    require_program(tool, "dcmtk")
    source = path.with_suffix(".native")
    source.write_bytes(content)
    subprocess.run([tool, *options, source, path], check=True, capture_output=True)
    dataset = dcmread(path)
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize("command", ["dcmcjpls", "dcmcjpeg +e1", "dcmcjpeg +el", "dcmcrle"])
@pytest.mark.parametrize("cells", CELLS)
def test_to_display_shows_the_stored_bits_alone_as_dcmtk_does(
    cells: str, command: str, tmp_path: Path
) -> None:
    stored, fields = CELLS[cells]
    path = tmp_path / "compressed.dcm"
    compress_with_dcmtk(make_dicom(stored, **WINDOW), command, path, **fields)
    (frame,) = read_frames(path)
    np.testing.assert_array_equal(frame.pixels, VALUES)
    expected = render_with_dcmtk(path, frame)
    assert expected is not None
    assert np.abs(to_display(frame) - expected).max() <= 1


@pytest.mark.parametrize("cells", CELLS)
def test_read_frames_gives_the_stored_bits_when_jpeg_2000_holds_whole_cells(cells: str) -> None:
    stored, fields = CELLS[cells]
    stream = bytes(encode_jpeg2000(stored, photometric_interpretation=2))
    content = make_encapsulated([stream], stored, syntax=JPEG2000Lossless, **fields)
    np.testing.assert_array_equal(read_frames(content)[0].pixels, VALUES)


@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_read_frames_leaves_values_alone_when_the_stream_is_of_the_stored_bits(
    high_bit: int,
) -> None:
    """Twelve bits of precision can't lie at bit 15: the header tells of the cells before them."""
    fields = {"BitsStored": 12, "HighBit": high_bit}
    stream = bytes(jpeg_ls.encode_array(VALUES))
    content = make_encapsulated([stream], VALUES, syntax=JPEGLSLossless, **fields)
    np.testing.assert_array_equal(read_frames(content)[0].pixels, VALUES)


@pytest.mark.parametrize("is_whole", [True, False])
def test_read_frames_gives_signed_values_when_their_cells_hold_twelve_bits(
    *, is_whole: bool
) -> None:
    """In a stream of 16 bits beside an overlay, and in one of 12."""
    bits = SIGNED.view(np.uint16) & 0x0FFF
    cells = bits | OVERLAID & 0xF000 if is_whole else bits
    content = make_encapsulated(
        [bytes(jpeg_ls.encode_array(cells))],
        SIGNED,
        syntax=JPEGLSLossless,
        BitsStored=12,
        HighBit=11,
    )
    np.testing.assert_array_equal(read_frames(content)[0].pixels, SIGNED)


def test_read_frames_takes_the_highest_bits_of_colours_that_fill_no_cell() -> None:
    colours = RNG.integers(0, 4096, (16, 24, 3)).astype(np.uint16)
    stream = bytes(jpeg_ls.encode_array(colours | 0xF000, interleave_mode=2))
    content = make_encapsulated([stream], colours, syntax=JPEGLSLossless, BitsStored=12)
    np.testing.assert_array_equal(read_frames(content)[0].pixels, colours >> 4)


@pytest.mark.parametrize("cells", CELLS)
def test_read_stored_values_leaves_values_where_high_bit_says(cells: str) -> None:
    """So that the header holds for the file that they are written to."""
    stored, fields = CELLS[cells]
    stream = bytes(jpeg_ls.encode_array(stored))
    content = make_encapsulated([stream], stored, syntax=JPEGLSLossless, **fields)
    (found,) = read_stored_values(content)
    written = make_dicom(found, **fields)
    np.testing.assert_array_equal(read_frames(written)[0].pixels, VALUES)
    assert dcmread(io.BytesIO(written)).HighBit == fields["HighBit"]
