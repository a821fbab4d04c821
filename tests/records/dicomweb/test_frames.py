"""WADO-RS of frames: in the order that was asked for, as stored or uncompressed."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.dicom.files import make_dicom, make_report
from tests.records.dicomweb.answers import (
    OCTETS,
    big_endian,
    get,
    parts_of,
    read,
    undecodable,
    url_of,
)

pytestmark = pytest.mark.django_db

CINE = np.arange(3 * 256, dtype="<u2").reshape(3, 256)


def test_frames_come_in_the_order_that_was_asked_for(browser, hold):
    instance = hold(make_dicom(NumberOfFrames=3, PixelData=CINE.tobytes()))

    parts = parts_of(get(browser, f"{url_of(instance)}/frames/3,1,3"))

    assert [content for _, content in parts] == [CINE[at].tobytes() for at in (2, 0, 2)]
    kind = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    assert {each for each, _ in parts} == {kind}


def test_frames_of_other_uncompressed_syntaxes_are_little_endian(browser, hold):
    implicit = hold(
        make_dicom(syntax=ImplicitVRLittleEndian, NumberOfFrames=3, PixelData=CINE.tobytes())
    )
    content = big_endian()
    swapped = hold(content)

    ((_, plain),) = parts_of(get(browser, f"{url_of(implicit)}/frames/2"))
    ((_, turned),) = parts_of(get(browser, f"{url_of(swapped)}/frames/1"))

    assert plain == CINE[1].tobytes()
    assert turned == read(content).pixel_array.astype("<i2").tobytes()


def test_frames_of_single_bits_are_packed(browser, hold):
    bits = np.random.default_rng(1).integers(0, 2, (2, 16, 16), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    elements = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "NumberOfFrames": 2}
    content = make_dicom(PixelData=packed, **elements)
    dataset = read(content)
    dataset["PixelData"].VR = "OB"

    ((_, frame),) = parts_of(get(browser, f"{url_of(hold(content))}/frames/2"))

    assert frame == np.packbits(bits[1].ravel(), bitorder="little").tobytes()


def test_frames_come_as_they_are_stored_or_decoded(browser, hold):
    content = Path(get_testdata_file("SC_rgb_rle_2frame.dcm")).read_bytes()
    dataset = read(content)
    url = f"{url_of(hold(content))}/frames/2"
    stored = list(generate_frames(dataset.PixelData, number_of_frames=2))[1]

    ((plain_kind, plain),) = parts_of(get(browser, url))
    ((image_kind, image),) = parts_of(
        get(browser, url, 'multipart/related; type="image/x-dicom-rle"')
    )
    ((any_kind, any_content),) = parts_of(get(browser, url, f"{OCTETS}; transfer-syntax=*"))

    assert plain == dataset.pixel_array[1].tobytes()
    assert plain_kind.endswith(ExplicitVRLittleEndian)
    assert image == any_content == stored
    assert image_kind == "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"
    assert any_kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.5"


def test_frames_that_cannot_be_decoded_come_as_they_are_stored(browser, hold):
    url = f"{url_of(hold(undecodable()))}/frames/1"

    assert get(browser, url, OCTETS).status_code == 406
    ((_, content),) = parts_of(get(browser, url, f"{OCTETS}; transfer-syntax=*"))
    assert content.startswith(b"\0\0\1\xb3")


@pytest.mark.parametrize(
    ("frames", "status"), [("0", 404), ("2", 404), ("1,2", 404), ("one", 400), ("1,,1", 400)]
)
def test_frames_are_refused_where_there_are_none(browser, small_study, frames, status):
    assert get(browser, f"{small_study.instance_url()}/frames/{frames}").status_code == status


def test_frames_of_a_report_are_refused(browser, hold):
    url = url_of(hold(make_report()))

    assert get(browser, f"{url}/frames/1").status_code == 422
    assert get(browser, f"{url}/rendered").status_code == 422
    assert read(parts_of(get(browser, url))[0][1]).Modality == "SR"


# Rendered


def lacking(*keywords: str, syntax: str = "", **elements) -> bytes:
    """An image whose header leaves out what is usual."""
    dataset = read(make_dicom(**elements))
    if syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    for keyword in keywords:
        del dataset[keyword]
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_frames_bulk_data_and_pictures_agree_on_what_can_be_decoded(browser, hold):
    usual = ("SamplesPerPixel", "PhotometricInterpretation", "BitsStored", "HighBit")
    cases = {
        "without samples": lacking("SamplesPerPixel"),
        "without photometric interpretation": lacking("PhotometricInterpretation"),
        "without the usual": lacking(*usual, "PixelRepresentation"),
        "big endian": big_endian(),
        "RLE": lacking(*usual, "PixelRepresentation", syntax=RLELossless),
        "several": lacking("SamplesPerPixel", NumberOfFrames=3, PixelData=CINE.tobytes()),
        "video": undecodable(),
    }
    for name, content in cases.items():
        url = url_of(hold(content))
        answers = {
            "frames": get(browser, f"{url}/frames/1", OCTETS),
            "bulk data": get(browser, f"{url}/bulkdata/7FE00010", OCTETS),
            "rendered": get(browser, f"{url}/frames/1/rendered"),
            "file": get(browser, url, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
        }
        succeeded = {door: answer.status_code == 200 for door, answer in answers.items()}
        assert set(succeeded.values()) == {name != "video"}, (name, succeeded)
        if name == "RLE":
            as_stored = get(browser, f"{url}/frames/1", 'multipart/related; type="image/dicom-rle"')
            assert as_stored.status_code == 200
