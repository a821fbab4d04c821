"""The grey levels that a network is shown: from Hounsfield units, from values, or as a picture."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from ml.abstention import check_scope
from ml.errors import TaskConfigInvalid
from ml.images import Frame, encode_png, read_frames
from ml.inputs import InputConfig
from ml.predictor import Predictor
from ml.preprocessing import describe_window, prepare_frame, show_frame
from ml.workshop.task_config import find_task, load_task
from tests.ml.pictures import draw_case, make_dicom, make_table

VALUES = InputConfig(size=96, colour="grey", contrast="stretched", grey_levels="values")
BRAIN = ((40.0, 80.0), (35.0, 40.0), (50.0, 60.0))
CHANNELS = InputConfig(
    size=64, colour="rgb", contrast="as_shown", hu_window=(40.0, 80.0), hu_channels=BRAIN
)
PICTURE = draw_case("pneumonia", np.random.default_rng(5), 220)[:200]
DEEP = (PICTURE.astype(np.uint16) * 14 + 300).astype(np.uint16)
CT = {"SOPClassUID": CTImageStorage, "Modality": "CT", "RescaleSlope": "1"}


def deep(stored: np.ndarray = DEEP, **fields: Any) -> Frame:
    fields = {"BitsStored": 12} | fields
    return read_frames(make_dicom(stored, **fields))[0]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"WindowCenter": "2000", "WindowWidth": "4000"},
        {"WindowCenter": "500", "WindowWidth": "200"},
        {"WindowCenter": "4000", "WindowWidth": "10"},
        {"WindowCenter": "2000", "WindowWidth": "900", "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "2000", "WindowWidth": "900", "VOILUTFunction": "LINEAR_EXACT"},
    ],
)
def test_prepare_frame_reads_the_same_values_whatever_the_window(fields: dict[str, Any]) -> None:
    (picture,) = read_frames(encode_png(PICTURE))
    found = prepare_frame(deep(**fields), VALUES)
    np.testing.assert_array_equal(found, prepare_frame(deep(), VALUES))
    assert np.abs(found - prepare_frame(picture, VALUES)).mean() < 4
    assert "whatever window is shown" in describe_window(deep(**fields), VALUES)[0]
    usual = dataclasses.replace(VALUES, grey_levels="voi")
    assert describe_window(deep(**fields), usual) == []


def test_prepare_frame_follows_the_window_when_the_task_says_so() -> None:
    usual = dataclasses.replace(VALUES, grey_levels="voi")
    one, other = (deep(WindowCenter=center, WindowWidth="900") for center in ("800", "3000"))
    assert not np.array_equal(prepare_frame(one, usual), prepare_frame(other, usual))


def test_prepare_frame_reads_an_inverted_image_by_its_values_as_its_twin() -> None:
    inverted = deep((4095 - DEEP).astype(np.uint16), PhotometricInterpretation="MONOCHROME1")
    found, expected = show_frame(inverted, VALUES), show_frame(deep(), VALUES)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("spoil", ["padding", "range", "border", "overlay", "marker"])
def test_prepare_frame_reads_the_anatomy_beside_what_is_none(spoil: str) -> None:
    stored, fields = DEEP.astype(np.int16), {"PixelRepresentation": 1, "BitsStored": 16}
    spoiled, kept = stored.copy(), np.s_[40:-40, 60:]
    if spoil == "padding":
        spoiled[:, :60], fields["PixelPaddingValue"] = -2000, -2000
    elif spoil == "range":
        spoiled[:, :60] = np.linspace(-2100, -1900, 60).astype(np.int16)
        fields |= {"PixelPaddingValue": -2100, "PixelPaddingRangeLimit": -1900}
    elif spoil == "border":
        spoiled[:, :30], spoiled[:, 30:60] = -1000, 9000
    elif spoil == "overlay":
        # Letters burnt in at the brightest value that there is.
        spoiled[:, :60:2] = 32767
        spoiled[:, 1:60:2] = -32768
    else:
        spoiled[2:8, 2:8] = 20000
    found = show_frame(deep(spoiled, **fields), VALUES)[kept].astype(int)
    alone = stored if spoil == "marker" else np.ascontiguousarray(stored[:, 60:])
    part = kept if spoil == "marker" else np.s_[40:-40]
    expected = show_frame(deep(alone, PixelRepresentation=1, BitsStored=16), VALUES)[part]
    assert np.abs(found - expected).max() <= 3
    # The header's rule for an image without a window lets them take the levels.
    usual = dataclasses.replace(VALUES, grey_levels="voi")
    if spoil in ("border", "overlay"):
        assert np.ptp(show_frame(deep(spoiled, **fields), usual)[kept]) < np.ptp(found)


def test_show_frame_takes_a_table_for_the_maker_s_own() -> None:
    table = make_table([*range(0, 4096)][::-1], first=0, bits=12)
    frame = deep(VOILUTSequence=[table])
    assert np.corrcoef(show_frame(frame, VALUES).ravel(), PICTURE.ravel())[0, 1] < -0.9
    assert describe_window(frame, VALUES) == []


@pytest.mark.parametrize("window", [{}, {"WindowCenter": "60", "WindowWidth": "40"}])
def test_show_frame_leaves_a_picture_s_levels_alone(window: dict[str, str]) -> None:
    (captured,) = read_frames(make_dicom(PICTURE, **window))
    np.testing.assert_array_equal(show_frame(captured, VALUES), PICTURE)
    (inverted,) = read_frames(
        make_dicom(255 - PICTURE, PhotometricInterpretation="MONOCHROME1", **window)
    )
    np.testing.assert_array_equal(show_frame(inverted, VALUES), PICTURE)


@pytest.mark.parametrize("values", [np.full((128, 128), 700, np.uint16), None])
def test_show_frame_gives_levels_when_there_is_hardly_any_anatomy(
    values: np.ndarray | None,
) -> None:
    if values is None:
        values = np.zeros((128, 128), np.uint16)
        values[60:62, 60:62] = 900
    shown = show_frame(deep(values, PixelPaddingValue=0), VALUES)
    assert shown.shape == (128, 128)


HU = (PICTURE.astype(np.int16) - 60).astype(np.int16)


def head(hu: np.ndarray = HU, **fields: Any) -> Frame:
    stored = (hu + 1024).astype(np.uint16)
    return read_frames(make_dicom(stored, **CT | {"RescaleIntercept": "-1024"} | fields))[0]


def test_prepare_frame_gives_each_channel_its_window() -> None:
    usual = prepare_frame(head(), CHANNELS)
    for fields in (
        {"WindowCenter": "600", "WindowWidth": "3000"},
        {"PhotometricInterpretation": "MONOCHROME1"},
    ):
        np.testing.assert_array_equal(prepare_frame(head(**fields), CHANNELS), usual)
    flat = prepare_frame(head(np.full((200, 200), 45, np.int16)), CHANNELS)
    # C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5) * 255
    expected = [np.clip((45 - (c - 0.5)) / (w - 1) + 0.5, 0, 1) * 255 for c, w in BRAIN]
    np.testing.assert_allclose(flat[10, 10], np.rint(expected), atol=1)
    (sentence,) = describe_window(head(), CHANNELS)
    assert "windows of its own (center 40, width 80, center 35, width 40" in sentence


def test_prepare_frame_makes_the_channels_of_a_picture_that_the_ct_would_have() -> None:
    ct = head()
    base = dataclasses.replace(CHANNELS, hu_channels=None, colour="grey")
    (picture,) = read_frames(encode_png(show_frame(ct, base)))
    found, expected = (prepare_frame(one, CHANNELS) for one in (picture, ct))
    assert found.shape == expected.shape == (64, 64, 3)
    assert np.abs(found - expected).max() <= 4
    tinted = np.stack([show_frame(ct, base)] * 3, axis=-1)
    tinted[..., 0] //= 2
    (colour,) = read_frames(encode_png(tinted))
    assert prepare_frame(colour, CHANNELS).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("fields", "is_refused"),
    [
        ({"RescaleIntercept": "-1024"}, False),
        # Grey levels that somebody saved as a CT, or whose units are others.
        ({"RescaleIntercept": "0"}, True),
        ({"RescaleIntercept": "-1024", "RescaleType": "US"}, True),
        ({"RescaleIntercept": "0", "Modality": "OT"}, True),
        ({"RescaleIntercept": "-1024", "Modality": "OT"}, False),
        ({"RescaleIntercept": "0", "SOPClassUID": "1.2.3"}, True),
        # A Secondary Capture is a picture of whatever modality.
        ({"RescaleIntercept": "0", "SOPClassUID": SecondaryCaptureImageStorage}, False),
        ({"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}, False),
        ({"RescaleIntercept": "0", "Modality": "MR", "SOPClassUID": "1.2.3"}, False),
    ],
)
def test_check_scope_refuses_a_ct_without_hounsfield_units(
    predictor: Predictor, fields: dict[str, Any], is_refused: bool
) -> None:
    plain = predictor.bundle.manifest
    scope = dataclasses.replace(plain.scope, modalities=())
    spec = dataclasses.replace(plain.input, hu_window=(40.0, 400.0))
    manifest = dataclasses.replace(plain, scope=scope, input=spec)
    (frame,) = read_frames(make_dicom(DEEP, **CT | fields))
    found = check_scope(frame, manifest)
    assert (found is not None and found.code == "no_hounsfield_units") == is_refused
    without = dataclasses.replace(manifest, input=plain.input)
    assert check_scope(frame, without) is None


def test_check_scope_takes_grey_images_when_channels_are_windows(predictor: Predictor) -> None:
    plain = predictor.bundle.manifest
    manifest = dataclasses.replace(
        plain, input=CHANNELS, scope=dataclasses.replace(plain.scope, modalities=())
    )
    assert check_scope(head(), manifest) is None
    (colour,) = read_frames(encode_png(np.stack([PICTURE, PICTURE // 2, PICTURE // 3], axis=-1)))
    refusal = check_scope(colour, manifest)
    assert refusal is not None
    assert refusal.code == "colour_image"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"input.grey_levels": "guess"}, "grey_levels"),
        ({"input.hu_channels": [[40, 80]] * 3}, "rgb"),
        ({"input.colour": "rgb", "input.hu_channels": [[40, 80]] * 2}, "three"),
        ({"input.colour": "rgb", "input.hu_channels": [[40, 800]] * 3}, "inside"),
        ({"input.colour": "rgb", "input.hu_channels": [[40, 1]] * 3}, "widths above 1"),
        ({"input.colour": "rgb", "input.hu_channels": [[40]] * 3}, "centers and widths"),
    ],
)
def test_load_task_refuses_windows_that_fit_nothing(changes: dict[str, Any], word: str) -> None:
    base = {"input.hu_window": [40, 80]}
    with pytest.raises(TaskConfigInvalid, match=word):
        load_task(find_task("lung-ct"), overrides=base | changes)


def test_load_task_tells_windows_that_shape_a_network_from_those_that_don_t() -> None:
    def digest(**changes: Any) -> str:
        overrides = {f"input.{name}": value for name, value in changes.items()}
        return load_task(find_task("lung-ct"), overrides=overrides).digest

    usual = digest()
    assert digest(hu_window=[0, 900]) == digest(grey_levels="values") == usual
    channels = {"colour": "rgb", "hu_channels": [[40, 80]] * 3}
    digests = {digest(**channels, hu_window=[40, width]) for width in (80, 90)}
    assert len(digests | {usual}) == 3
