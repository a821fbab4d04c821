"""The right grey levels: DICOM PS3.3 C.11, checked by golden values and against dcmtk."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.images import read_frames, to_display
from tests.ml.pictures import encode_picture, make_dicom, make_table
from tests.prerequisites import require_program

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def show(content: bytes) -> NDArray[np.uint8]:
    return to_display(read_frames(content)[0])


def test_to_display_gives_the_golden_levels_when_the_window_is_linear() -> None:
    # PS3.3 C.11.2.1.2.1 with centre 40 and width 400, in Hounsfield units after rescaling;
    # readers that count the window from the centre itself, or forget the rescale, give others.
    hounsfield = np.array([[-160, -129, 65, 193, 239, 240]], np.int16)
    content = make_dicom(
        (hounsfield + 1024).astype(np.uint16),
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=40,
        WindowWidth=400,
    )
    assert show(content).tolist() == [[0, 20, 144, 226, 255, 255]]


def test_to_display_differs_by_function_as_the_standard_says() -> None:
    stored = np.array([[2046, 2047, 2048, 2049]], np.uint16)
    levels = {
        function: show(
            make_dicom(stored, WindowCenter=2048, WindowWidth=4, VOILUTFunction=function)
        ).tolist()
        for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    }
    # LINEAR: ((x - 2047.5) / 3 + 0.5) * 255. EXACT: ((x - 2048) / 4 + 0.5) * 255.
    # SIGMOID: 255 / (1 + exp(-(x - 2048))).
    assert levels == {
        "LINEAR": [[0, 85, 170, 255]],
        "LINEAR_EXACT": [[0, 64, 128, 191]],
        "SIGMOID": [[30, 69, 128, 186]],
    }


def test_to_display_is_a_step_when_the_window_is_one_wide() -> None:
    stored = np.array([[99, 100, 101]], np.uint16)
    assert show(make_dicom(stored, WindowCenter=100, WindowWidth=1)).tolist() == [[0, 255, 255]]


def test_to_display_uses_the_given_window_when_there_is_one() -> None:
    frame = read_frames(make_dicom(RAMP, WindowCenter=2048, WindowWidth=4096))[0]
    narrow = to_display(frame, window_center=100.5, window_width=201)
    assert narrow[0, 0] == 0
    assert narrow.ravel()[100] in (127, 128)
    assert narrow.ravel()[200] == 255


def test_to_display_follows_the_tables_when_the_image_has_them() -> None:
    stored = np.array([[0, 1, 2, 3, 9]], np.uint16)
    voi = make_table([0, 1023, 2047, 4095], first=0, bits=12)
    assert show(make_dicom(stored, VOILUTSequence=[voi])).tolist() == [[0, 64, 127, 255, 255]]
    modality = make_table([30, 20, 10, 0], first=0, bits=16)
    both = make_dicom(stored, ModalityLUTSequence=[modality], WindowCenter=15.5, WindowWidth=31)
    assert show(both).tolist() == [[255, 170, 85, 0, 0]]


def test_to_display_is_the_same_when_monochrome1_holds_the_inverted_values() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    usual = show(make_dicom(RAMP, BitsStored=12, **window))
    twin = make_dicom(4095 - RAMP, BitsStored=12, PhotometricInterpretation="MONOCHROME1", **window)
    np.testing.assert_allclose(show(twin).astype(int), usual.astype(int), atol=1)
    assert usual[0, 0] == 0
    assert usual[-1, -1] == 255


def test_to_display_shows_a_secondary_capture_as_its_picture() -> None:
    picture = np.arange(40, 140, dtype=np.uint8).reshape(10, 10)
    np.testing.assert_array_equal(show(make_dicom(picture)), show(encode_picture(picture)))
    np.testing.assert_array_equal(show(make_dicom(picture)), picture)


def test_to_display_leaves_padding_out_when_nothing_says_how_to_show_it() -> None:
    stored = np.array([[-2000, 0, 50, 100]], np.int16)
    shown = show(make_dicom(stored, PixelPaddingValue=-2000))
    assert shown.tolist() == [[0, 0, 128, 255]]


def test_to_display_colours_a_palette_image() -> None:
    stored = np.array([[0, 1, 2, 3]], np.uint8)
    descriptor = [4, 0, 8]
    fields = {}
    for name, entries in (("Red", [255, 0, 0]), ("Green", [0, 255, 0]), ("Blue", [0, 0, 255])):
        fields[f"{name}PaletteColorLookupTableDescriptor"] = descriptor
        fields[f"{name}PaletteColorLookupTableData"] = bytes([*entries, 255])
    shown = show(make_dicom(stored, PhotometricInterpretation="PALETTE COLOR", **fields))
    assert shown.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]


def show_with_dcmtk(path: Path, *, tool: str = "dcmj2pnm") -> NDArray[np.int64]:
    """What dcmtk makes of the first frame, with the image's own window or else the full range."""
    require_program(tool, "dcmtk")
    is_windowed = read_frames(path, frames=[0])[0].window_center is not None
    option = ["+Wi", "1"] if is_windowed else ["+Wm"]
    made = subprocess.run(
        [tool, "-q", *option, "--write-png", path], check=True, capture_output=True
    )
    with Image.open(io.BytesIO(made.stdout)) as image:
        return np.asarray(image).astype(np.int64)


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("transfer-syntaxes/CT2_UNC", "dcmj2pnm"),
        ("transfer-syntaxes/CT2_RLE", "dcmj2pnm"),
        ("transfer-syntaxes/CT2_JPLL", "dcmj2pnm"),
        ("transfer-syntaxes/MR4_JLSL", "dcml2pnm"),
        ("transfer-syntaxes/NM1_UNC", "dcmj2pnm"),
        (
            "transfer-syntaxes/CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
            "dcmj2pnm",
        ),
        (
            "transfer-syntaxes/CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm",
            "dcmj2pnm",
        ),
        ("chest/CR-MONO1-10-chest", "dcmj2pnm"),
    ],
)
def test_to_display_is_within_one_level_of_dcmtk(shared: Path, name: str, tool: str) -> None:
    path = shared / "dicom" / name
    difference = show_with_dcmtk(path, tool=tool) - to_display(read_frames(path, frames=[0])[0])
    assert np.abs(difference).max() <= 1


def test_to_display_inverts_a_real_monochrome1_radiograph(shared: Path) -> None:
    frame = read_frames(shared / "dicom" / "chest" / "CR-MONO1-10-chest")[0]
    assert frame.photometric_interpretation == "MONOCHROME1"
    low, high = np.percentile(frame.pixels, (10, 90))
    shown = to_display(frame)
    assert shown[frame.pixels <= low].mean() > shown[frame.pixels >= high].mean()


@pytest.mark.parametrize(
    ("lossless", "reference"),
    [("CT2_J2KR", "CT2_UNC"), ("MR4_J2KR", "MR4_UNC"), ("NM1_RLE", "NM1_UNC")],
)
def test_read_frames_decodes_the_same_values_when_compression_is_lossless(
    shared: Path, lossless: str, reference: str
) -> None:
    folder = shared / "dicom" / "transfer-syntaxes"
    found, expected = (read_frames(folder / name)[0].pixels for name in (lossless, reference))
    np.testing.assert_array_equal(found, expected)


def test_read_frames_decodes_a_scan_whose_last_coefficient_is_wrong(shared: Path) -> None:
    path = shared / "dicom" / "transfer-syntaxes" / "MR4_JPLY"
    difference = show_with_dcmtk(path) - to_display(read_frames(path)[0])
    # The inverse cosine transforms of two JPEG libraries may differ by one stored value.
    assert np.abs(difference).max() <= 2
