"""STOW-RS of metadata and bulk data: put together in a child, exactly as they were meant."""

import io
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
)

from records.errors import StorageLow
from records.models import Instance, Study, Submission, SubmissionFile
from tests.dicom.files import make_dicom, make_jpeg
from tests.records.dicomweb.messages import (
    FAILED,
    HELD,
    METADATA,
    answer_of,
    body_of,
    errors_of,
    store,
)

pytestmark = pytest.mark.django_db
LONGEST_MIB = 32


def metadata_of(**elements: object) -> dict:
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(**elements)))
    document = dataset.to_json_dict()
    return document | {"7FE00010": {"vr": "OW", "BulkDataURI": "pixels"}}


OCTETS = "Content-Type: application/octet-stream\r\nContent-Location: pixels"
JSON_PART = "Content-Type: application/dicom+json"


@pytest.mark.parametrize("is_metadata_first", [True, False])
def test_store_puts_metadata_and_bulk_data_together(browser, is_metadata_first, tmp_path: Path):
    pixels = np.arange(256, dtype="<u2")[::-1].tobytes()
    parts = [(json.dumps([metadata_of()]).encode(), JSON_PART), (pixels, OCTETS)]

    response = store(
        browser,
        body_of(*(parts if is_metadata_first else parts[::-1])),
        content_type=METADATA,
    )

    assert response.status_code == 200, response.content
    with Instance.objects.get().file.open("rb") as file:
        content = file.read()
    assert pydicom.dcmread(io.BytesIO(content)).PixelData == pixels
    assert list(errors_of(content, tmp_path)) == list(errors_of(make_dicom(), tmp_path))


def test_store_encapsulates_a_compressed_bulk_part(browser):
    document = metadata_of(
        Rows=48,
        Columns=64,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL_422",
    )
    bulk = (make_jpeg(), "Content-Type: image/jpeg\r\nContent-Location: pixels")

    response = store(
        browser,
        body_of((json.dumps(document).encode(), JSON_PART), bulk),
        content_type=METADATA,
    )

    assert response.status_code == 200, response.content
    instance = Instance.objects.get()
    assert instance.transfer_syntax_uid == JPEGBaseline8Bit
    assert instance.exclusion == ""


def test_store_says_when_bulk_data_is_missing(browser):
    document = json.dumps(metadata_of()).encode()

    response = store(browser, body_of((document, JSON_PART)), content_type=METADATA)

    assert response.status_code == 409
    item = answer_of(response)[FAILED]["Value"][0]
    assert item["00091001"]["Value"] == ["bulk_data_missing"]


def test_store_answers_413_when_bulk_data_are_too_large(browser, settings):
    settings.INTAKE_MAX_FILE_BYTES = 600
    parts = [(json.dumps(metadata_of()).encode(), JSON_PART), (bytes(700), OCTETS)]

    response = store(browser, body_of(*parts), content_type=METADATA)

    assert response.status_code == 413
    incoming = Path(settings.DATA_DIR) / "images" / "incoming"
    assert not list(incoming.iterdir())


def send(browser: Any, text: bytes, *bulk: tuple[bytes, str]) -> Any:
    return store(browser, body_of((text, JSON_PART), *bulk), content_type=METADATA)


def text_of(*documents: dict) -> bytes:
    return json.dumps(documents, ensure_ascii=False).encode()


@pytest.mark.parametrize("character_set", [None, "ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize("name", ["Müller^Žofie", "Yamada^Tarou=山田^太郎"])
def test_text_in_metadata_is_kept_whatever_character_set_they_state(browser, name, character_set):
    document = metadata_of(PatientName=name, SpecificCharacterSet="ISO_IR 192")
    comment = {"00400555": {"vr": "SQ", "Value": [{"0040A160": {"vr": "UT", "Value": ["Žofie"]}}]}}
    document |= comment
    for data_set in (document, comment["00400555"]["Value"][0]):
        data_set.pop("00080005", None)
        if character_set:
            data_set["00080005"] = {"vr": "CS", "Value": [character_set]}

    assert send(browser, text_of(document), (bytes(512), OCTETS)).status_code == 200

    with Instance.objects.get().file.open("rb") as file:
        stored = pydicom.dcmread(file)
        assert stored.PatientName == name
        assert stored.AcquisitionContextSequence[0].TextValue == "Žofie"
    assert str(Study.objects.get().patient.person_name) == name


def test_object_that_cannot_be_made_leaves_the_others_alone(browser):
    broken = metadata_of() | {"00280010": {"vr": "US", "Value": ["many"]}}
    documents = [metadata_of(), broken, metadata_of()]

    response = send(browser, text_of(*documents), (bytes(512), OCTETS))

    assert response.status_code == 202
    answer = answer_of(response)
    assert len(answer[HELD]["Value"]) == Instance.objects.count() == 2
    (failed,) = answer[FAILED]["Value"]
    assert failed["00081155"]["Value"] == broken["00080018"]["Value"]


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"[1]",
        b"{",
        b"[" * 100_000,
        b"[" + b",".join([b"{}"] * 6) + b"]",
        b"[" + b",".join([b"{}"] * (LONGEST_MIB * 1024 * 300)) + b"]",
        b" " * (LONGEST_MIB * 1024 * 1024 + 1),
    ],
    ids=["empty", "no data set", "no JSON", "deep", "too many", "far too many", "too large"],
)
def test_impossible_metadata_are_refused_with_little_memory(browser, settings, text):
    settings.INTAKE_MAX_FILES = 5
    body = body_of((text, JSON_PART))
    send(browser, b"[]")  # what is only loaded once isn't counted
    tracemalloc.start()
    try:
        response = store(browser, body, content_type=METADATA)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (response.status_code, response.json()["code"]) == (400, "multipart_broken")
    # The client's own copy of the body is among it.
    assert most < len(body) + 8 * 1024 * 1024
    assert not SubmissionFile.objects.exists()


def test_metadata_that_take_too_long_are_refused_in_time(browser):
    document = metadata_of() | {"00400555": {"vr": "SQ", "Value": [{}] * 1_000_000}}
    started = time.monotonic()

    response = send(browser, text_of(metadata_of(), document), (bytes(512), OCTETS))

    assert response.status_code == 202
    (failed,) = answer_of(response)[FAILED]["Value"]
    assert failed["00091001"]["Value"] == ["decoding_exhausted"]
    assert time.monotonic() - started < 120


LIE = f"image/jpeg; transfer-syntax={JPEGLosslessSV1}"
IMAGE_PIXEL = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel")
IMAGE_PIXEL += ("PhotometricInterpretation", "PixelRepresentation")


@pytest.mark.parametrize(
    ("file", "content_type", "available", "expected"),
    [
        ("SC_rgb_jpeg_gdcm.dcm", "image/jpeg", None, JPEGLosslessSV1),
        ("examples_ybr_color.dcm", "image/jpeg", None, JPEGBaseline8Bit),
        ("JPEG-lossy.dcm", LIE, None, JPEGExtended12Bit),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls", JPEGLSNearLossless, JPEGLSNearLossless),
    ],
    ids=["lossless", "lossy", "lossy, said to be lossless", "named in the data set"],
)
def test_compressed_part_is_stored_as_what_it_is(browser, file, content_type, available, expected):
    dataset = pydicom.dcmread(get_testdata_file(file))
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    document = metadata_of()
    for keyword in IMAGE_PIXEL:
        element = dataset[keyword]
        document[f"{element.tag:08X}"] = element.to_json_dict(None, 1024)
    if available:
        document["00083002"] = {"vr": "UI", "Value": [available]}

    response = send(
        browser,
        text_of(document),
        (stream, f"Content-Type: {content_type}\r\nContent-Location: pixels"),
    )

    assert response.status_code == 200, response.content
    assert Instance.objects.get().transfer_syntax_uid == expected


def test_store_says_when_to_try_again_where_room_ran_out(browser, monkeypatch):
    def no_room(*args: object, **options: object) -> None:
        raise StorageLow

    monkeypatch.setattr("records.services.receiving.spooled", no_room)

    response = store(browser, body_of(make_dicom(), make_dicom()))

    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert Submission.objects.count() == 1
