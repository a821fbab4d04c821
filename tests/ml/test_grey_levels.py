"""The right grey levels: DICOM PS3.3 C.11, checked by golden values and against dcmtk."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from ml.images import read_frames, to_display
from ml.inputs import InputConfig
from ml.predictor import Predictor
from ml.preprocessing import prepare_frame
from tests.ml.conftest import ROOT
from tests.ml.dcmtk import render_with_dcmtk
from tests.ml.pictures import encode_picture, make_dicom, make_table

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def show(content: bytes) -> NDArray[np.uint8]:
    return to_display(read_frames(content)[0])


def save(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


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


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_to_display_gives_equal_levels_when_it_takes_few_rows_at_a_time(
    monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    values = np.random.default_rng(3).integers(0, 4096, (37, 50)).astype(np.uint16)
    window = {"WindowCenter": 1800, "WindowWidth": 3001, "VOILUTFunction": function}
    content = make_dicom(values, BitsStored=12, **window)
    whole = show(content)
    for pixels in (1, 50, 333):
        monkeypatch.setattr("ml.images.display.BLOCK_PIXELS", pixels)
        np.testing.assert_array_equal(show(content), whole)
    assert len(np.unique(whole)) > 200


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


def test_to_display_inverts_a_real_monochrome1_radiograph(shared: Path) -> None:
    frame = read_frames(shared / "dicom" / "chest" / "CR-MONO1-10-chest")[0]
    assert frame.photometric_interpretation == "MONOCHROME1"
    low, high = np.percentile(frame.pixels, (10, 90))
    shown = to_display(frame)
    assert shown[frame.pixels <= low].mean() > shown[frame.pixels >= high].mean()


@pytest.mark.parametrize("window", ["own", "none"])
def test_prepare_frame_gives_equal_inputs_when_a_radiograph_is_stored_inverted(
    shared: Path, window: str
) -> None:
    """A real MONOCHROME1 radiograph and its MONOCHROME2 twin, made by turning the values round."""
    path = shared / "dicom" / "chest" / "CR-MONO1-10-chest"
    original, twin = dcmread(path, force=True), dcmread(path, force=True)
    highest = (1 << original.BitsStored) - 1
    twin.PixelData = (highest - np.frombuffer(original.PixelData, "<u2")).tobytes()
    twin.PhotometricInterpretation = "MONOCHROME2"
    # C.11.2.1.2.1 counts from the centre minus one half, on the other side too.
    twin.WindowCenter = highest - float(original.WindowCenter) + 1
    if window == "none":
        del original.WindowCenter, original.WindowWidth, twin.WindowCenter, twin.WindowWidth
    one, other = (read_frames(save(dataset))[0] for dataset in (original, twin))
    assert (one.photometric_interpretation, other.photometric_interpretation) == (
        "MONOCHROME1",
        "MONOCHROME2",
    )
    np.testing.assert_array_equal(to_display(one), to_display(other))
    spec = InputConfig(size=224, colour="grey", contrast="stretched")
    np.testing.assert_array_equal(prepare_frame(one, spec), prepare_frame(other, spec))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_to_display_gives_equal_bytes_when_a_twin_is_inverted(function: str) -> None:
    shift = 1 if function == "LINEAR" else 0
    usual = make_dicom(RAMP, WindowCenter=1711.5, WindowWidth=777, VOILUTFunction=function)
    twin = make_dicom(
        4095 - RAMP,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=4095 - 1711.5 + shift,
        WindowWidth=777,
        VOILUTFunction=function,
    )
    np.testing.assert_array_equal(show(twin), show(usual))
    assert np.unique(show(usual)).size == 256


def test_predict_gives_equal_scores_when_a_radiograph_is_stored_inverted(
    predictor: Predictor,
) -> None:
    path = ROOT / "samples" / "chest-pneumonia-child-1" / "01.dcm"
    original, twin = dcmread(path), dcmread(path)
    twin.PixelData = (255 - original.pixel_array).tobytes()
    twin.PhotometricInterpretation = "MONOCHROME1"
    frames = [read_frames(save(dataset))[0] for dataset in (original, twin)]
    (one,), (other,) = (predictor.predict([frame]) for frame in frames)
    assert one.probabilities == other.probabilities


@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_to_display_is_within_one_level_of_dcmtk_when_a_function_is_named(
    tmp_path: Path, function: str
) -> None:
    path = tmp_path / "ramp.dcm"
    fields = {"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": function}
    path.write_bytes(
        make_dicom(RAMP, BitsStored=12, RescaleSlope=2, RescaleIntercept=-500, **fields)
    )
    (frame,) = read_frames(path)
    assert frame.voi.function == function
    expected = render_with_dcmtk(path, frame)
    assert expected is not None
    assert np.abs(to_display(frame) - expected).max() <= 1


@pytest.mark.parametrize("tables", ["voi", "modality", "both"])
def test_to_display_is_within_one_level_of_dcmtk_when_there_are_tables(
    tmp_path: Path, tables: str
) -> None:
    curve = (4095 * (np.arange(1000) / 999) ** 2).astype(int).tolist()
    fields: dict[str, Any] = {}
    if tables != "voi":
        entries = np.linspace(0, 4095, 3000).astype(int).tolist()
        fields["ModalityLUTSequence"] = [make_table(entries, first=500, bits=16)]
    if tables != "modality":
        fields["VOILUTSequence"] = [make_table(curve, first=1200, bits=12)]
    else:
        fields |= {"WindowCenter": 2048, "WindowWidth": 4096}
    path = tmp_path / "tables.dcm"
    path.write_bytes(make_dicom(RAMP, BitsStored=12, **fields))
    (frame,) = read_frames(path)
    expected = render_with_dcmtk(path, frame)
    assert expected is not None
    assert np.abs(to_display(frame) - expected).max() <= 1


@pytest.mark.parametrize(
    ("highest", "bits"), [(2000, 12), (100, 8), (255, 12), (700, 10), (40_000, 16), (65_535, 16)]
)
def test_to_display_is_within_one_level_of_dcmtk_when_a_table_leaves_levels_unused(
    tmp_path: Path, highest: int, bits: int
) -> None:
    """The declared bits say what is white, not the largest entry."""
    entries = np.linspace(0, highest, 4096).astype(int).tolist()
    path = tmp_path / "dark.dcm"
    table = make_table(entries, first=0, bits=bits)
    path.write_bytes(make_dicom(RAMP, BitsStored=12, VOILUTSequence=[table]))
    (frame,) = read_frames(path)
    expected = render_with_dcmtk(path, frame)
    assert expected is not None
    assert np.abs(to_display(frame) - expected).max() <= 1


@pytest.mark.parametrize(("highest", "bits"), [(4095, 16), (255, 16), (4095, 8), (1023, 200)])
def test_to_display_shows_a_table_in_full_when_its_bits_are_those_of_its_storage(
    highest: int, bits: int
) -> None:
    entries = np.linspace(0, highest, 4096).astype(int).tolist()
    table = make_table(entries, first=0, bits=bits)
    shown = show(make_dicom(RAMP, BitsStored=12, VOILUTSequence=[table]))
    assert (shown[0, 0], shown[-1, -1]) == (0, 255)
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()


def test_to_display_reads_a_voi_table_as_signed_when_the_values_are() -> None:
    """-1000 written as unsigned, as C.11.2.1.1 foresees for values that a rescale made negative."""
    table = make_table([0, 85, 170, 255], first=65536 - 1000, bits=8)
    stored = np.array([[23, 24, 25, 26, 27, 28]], np.uint16)
    content = make_dicom(stored, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=[table])
    assert show(content).tolist() == [[0, 0, 85, 170, 255, 255]]


def test_to_display_uses_the_first_valid_window_when_there_are_several() -> None:
    stored = np.array([[0, 50, 100, 200]], np.uint16)
    several = make_dicom(stored, WindowCenter=[7, 50.5, 100], WindowWidth=[0, 101, 200])
    assert show(several).tolist() == [[0, 128, 255, 255]]
    assert read_frames(several)[0].window_width == 101


def test_to_display_leaves_outliers_out_when_they_would_take_most_levels() -> None:
    """A dead detector cell at 65535 over an image of 12 bits, in both polarities."""
    stored = RAMP.copy()
    stored[5, 5] = 65535
    shown = show(make_dicom(stored))
    assert shown[-1, -1] == 255
    assert abs(int(shown[32, 0]) - 128) <= 1
    inverted = make_dicom(65535 - stored, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(show(inverted), shown)


def test_to_display_keeps_all_values_when_outliers_leave_room_for_the_rest() -> None:
    stored = RAMP.copy()
    stored[5, 5] = 6000
    shown = show(make_dicom(stored))
    assert shown[5, 5] == 255
    assert shown[-1, -1] == round(4095 / 6000 * 255)


@pytest.mark.parametrize(
    "fields",
    [
        {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500},
        {"PixelPaddingValue": -1500, "PixelPaddingRangeLimit": -2000},
        {"PixelPaddingValue": 65536 - 2000, "PixelPaddingRangeLimit": 65536 - 1500},
    ],
    ids=["rising", "falling", "written as unsigned"],
)
def test_to_display_leaves_a_range_of_padding_out(fields: dict[str, int]) -> None:
    stored = np.array([[-2000, -1700, -1500, 0, 50, 100]], np.int16)
    content = make_dicom(stored)
    dataset = dcmread(io.BytesIO(content))
    for name, value in fields.items():
        dataset.add_new(name, "US" if value > 0 else "SS", value)
    assert show(save(dataset)).tolist() == [[0, 0, 0, 0, 128, 255]]
