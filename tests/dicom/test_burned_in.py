"""Whether writing in pictures is found, measured on pictures with writing and their clean twins."""

import io

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage, UltrasoundImageStorage

from records.dicom.deidentification import find_suspicion, open_image
from records.dicom.deidentification.burned_in import Cause
from records.dicom.deidentification.text_lines import find_text_lines
from tests.dicom.files import make_dicom
from tests.dicom.writing import SIZES, clean_pictures, write_on


@pytest.mark.slow
def test_find_text_lines_tells_pictures_with_writing_from_their_clean_twins():
    clean = clean_pictures()
    false = [name for name, picture in clean.items() if find_text_lines(picture)]
    written = [
        write_on(picture, seed=100 * number + size, size=size)
        for number, picture in enumerate(clean.values())
        for size in SIZES
    ]
    found = sum(bool(find_text_lines(picture)) for picture in written)
    print(f"recall {found}/{len(written)}, false {len(false)}/{len(clean)}: {false}")
    assert found / len(written) >= 0.9
    assert len(false) / len(clean) <= 0.2


@pytest.mark.parametrize("turn", [0, 1], ids=["across", "upright"])
def test_find_text_lines_finds_where_it_stands(turn):
    blank = np.full((200, 300), 40, np.uint8)
    written = np.rot90(write_on(blank, seed=3, size=14), turn)
    (x, y, width, height), *_ = find_text_lines(np.ascontiguousarray(written))
    inside = written[y : y + height, x : x + width] != 40
    assert inside.sum() > 0.8 * (written != 40).sum()
    assert find_text_lines(blank) == []


def picture_file(picture: np.ndarray, **elements: object) -> io.BytesIO:
    shape = {"Rows": picture.shape[-2], "Columns": picture.shape[-1]}
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return io.BytesIO(make_dicom(PixelData=picture.tobytes(), **shape, **depth, **elements))


WRITTEN = write_on(np.full((128, 256), 30, np.uint8), seed=5, size=14)
BLANK = np.full((128, 256), 30, np.uint8)


@pytest.mark.parametrize(
    ("picture", "elements", "cause"),
    [
        (BLANK, {}, None),
        (BLANK, {"BurnedInAnnotation": "YES"}, Cause.DECLARED),
        (WRITTEN, {}, Cause.TEXT),
        (WRITTEN, {"BurnedInAnnotation": "NO"}, Cause.TEXT),
        (BLANK, {"Modality": "US"}, Cause.KIND),
        (BLANK, {"SOPClassUID": UltrasoundImageStorage}, Cause.KIND),
        (BLANK, {"SOPClassUID": SecondaryCaptureImageStorage}, Cause.KIND),
        (BLANK, {"Modality": "US", "BurnedInAnnotation": "NO"}, None),
    ],
)
def test_find_suspicion_asks_for_a_person(picture, elements, cause):
    suspicion = find_suspicion(open_image(picture_file(picture, **elements)))
    assert (suspicion.cause if suspicion else None) == cause


def test_find_suspicion_looks_at_later_frames():
    frames = np.stack([BLANK, BLANK, BLANK, WRITTEN, BLANK, BLANK, BLANK])
    suspicion = find_suspicion(open_image(picture_file(frames, NumberOfFrames=len(frames))))
    assert suspicion is not None
    assert suspicion.cause == Cause.TEXT
