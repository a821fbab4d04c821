"""Numbers that devices write badly: read as they are meant or not at all, never in part."""

import ast
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, dcmread
from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileDataset

from ml.images import read_frames, to_display
from ml.images.numbers import as_numbers, first_number, first_whole, parse_number
from tests.ml.pictures import make_dicom, save

ROOT = Path(__file__).parents[2]
READERS = ("ml/images", "records/dicom", "records/files")
TEXT_NUMBERS = {entry[4] for entry in DicomDictionary.values() if entry[0] in ("DS", "IS")}

STORED = np.linspace(0, 4095, 48, dtype=np.uint16).reshape(6, 8)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("128,0", 128.0),
        (" 2047.5 ", 2047.5),
        ("-1,5E+2", -150.0),
        (",5", 0.5),
        ("0040", 40.0),
        ("1e400", None),
        ("2 048", None),
        ("2048 HU", None),
        ("1.234,5", None),
        ("1_000", None),
        ("nan", None),
        ("0x10", None),
        ("\u0662", None),
        ("", None),
    ],
)
def test_parse_number_reads_the_whole_text_or_nothing(text: str, number: float | None) -> None:
    assert parse_number(text) == number


def test_first_number_is_the_first_that_is_one() -> None:
    assert as_numbers("N/A\\2048") == [None, 2048.0]
    assert first_number(["", "2048 HU", "40,5"]) == 40.5
    assert first_whole("1.5\\3,0") == 3
    assert as_numbers(None) == as_numbers("") == []


def badly_written(content_fields: dict[str, str], **good: Any) -> bytes:
    """The picture with these fields written as they are given."""
    dataset = dcmread_of(make_dicom(STORED, **good))
    put(dataset, content_fields)
    return save(dataset)


def put(dataset: Dataset, fields: dict[str, str]) -> None:
    for keyword, text in fields.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        vr = dictionary_VR(tag)
        dataset[tag] = DataElement(tag, vr, text, already_converted=True)


def dcmread_of(content: bytes) -> FileDataset:
    return dcmread(io.BytesIO(content))


@pytest.mark.parametrize(
    ("center", "width", "meant"),
    [
        ("2047,5", "4095,0", (2047.5, 4095.0)),
        ("2048\\N/A", "4096\\N/A", (2048.0, 4096.0)),
        ("N/A\\1000", "N/A\\2000", (1000.0, 2000.0)),
        ("2048 HU\\40", "4096 HU\\400", (40.0, 400.0)),
        ("2 048", "4 096", None),
        ("2048 HU", "4096", None),
        ("2048", "wide", None),
    ],
)
def test_window_is_the_first_valid_one_or_the_default(
    center: str, width: str, meant: tuple[float, float] | None
) -> None:
    frame = read_frames(badly_written({"WindowCenter": center, "WindowWidth": width}))[0]

    good = {} if meant is None else {"WindowCenter": meant[0], "WindowWidth": meant[1]}
    expected = to_display(read_frames(make_dicom(STORED, **good))[0])
    assert (frame.window_center, frame.window_width) == (meant or (None, None))
    assert to_display(frame).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("slope", "intercept", "factor", "offset"),
    [
        ("1,0", "-1024,0", 1, -1024),
        ("2,5", "0", 2.5, 0),
        ("1\\1", "5\\6", 1, 5),
        ("steep", "-7", 1, -7),
        ("0", "", 1, 0),
    ],
)
def test_rescale_is_read_or_left_at_its_default(
    slope: str, intercept: str, factor: float, offset: float
) -> None:
    content = badly_written({"RescaleSlope": slope, "RescaleIntercept": intercept})
    np.testing.assert_allclose(
        read_frames(content)[0].pixels, STORED.astype(float) * factor + offset, rtol=1e-6
    )


def test_functional_groups_and_counts_are_read_alike() -> None:
    group = {"slope": 1.0, "intercept": 0.0, "center": 7.0, "width": 9.0}
    stored = np.concatenate([STORED, STORED])
    dataset = dcmread_of(
        make_dicom(stored, groups=[group, group], Rows=6, WindowCenter="40", WindowWidth="400")
    )
    put(dataset, {"NumberOfFrames": "2,0", "PixelSpacing": "0,5\\0,25"})
    first, second = dataset.PerFrameFunctionalGroupsSequence
    put(first.FrameVOILUTSequence[0], {"WindowCenter": "100,5", "WindowWidth": "200,0"})
    put(first.PixelValueTransformationSequence[0], {"RescaleSlope": "2,0"})
    put(second.FrameVOILUTSequence[0], {"WindowCenter": "none"})

    frames = read_frames(save(dataset))

    windows = [(frame.window_center, frame.window_width) for frame in frames]
    # Half a window is none: not the other half of another one.
    assert windows == [(100.5, 200.0), (40.0, 400.0)]
    assert frames[0].pixels.max() == 2 * 4095
    assert frames[0].pixel_spacing == (0.5, 0.25)


def test_no_reader_takes_a_number_of_a_header_in_another_way() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in READERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("float", "int")
        and TEXT_NUMBERS & named_in(call)
    ]
    assert found == []


def named_in(call: ast.Call) -> set[str]:
    """Keywords that a call's arguments name: as attributes or as texts."""
    nodes = [node for argument in call.args for node in ast.walk(argument)]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return attributes | {text for text in texts if isinstance(text, str)}
