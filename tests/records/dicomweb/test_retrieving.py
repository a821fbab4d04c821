"""WADO-RS by whole requests: what comes out is what went in, in the syntax that is accepted."""

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    generate_uid,
)

from accounts.models import AuditEvent
from records.choices import Action
from tests.dicom.files import make_dicom
from tests.prerequisites import require_program
from tests.records.dicomweb.answers import (
    ANY,
    LUT,
    big_endian,
    content_of,
    get,
    parts_of,
    read,
    undecodable,
    url_of,
)
from tests.records.dicomweb.messages import errors_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_retrieve_gives_the_stored_bytes_when_any_syntax_is_accepted(browser, small_study, level):
    url, count = {
        "study": (small_study.url, 4),
        "series": (f"{small_study.url}/series/{small_study.series_uids[0]}", 3),
        "instance": (small_study.instance_url(), 1),
    }[level]

    parts = parts_of(get(browser, url, ANY))

    assert len(parts) == count
    assert all(kind.startswith("application/dicom; transfer-syntax=") for kind, _ in parts)
    assert {content for _, content in parts} <= set(small_study.contents.values())


def test_retrieve_gives_one_instance_without_parts_to_who_asks_so(browser, small_study):
    response = get(browser, small_study.instance_url(), "application/dicom; transfer-syntax=*")

    assert response["Content-Type"].startswith("application/dicom; transfer-syntax=")
    assert content_of(response) == next(iter(small_study.contents.values()))
    assert get(browser, small_study.url, "application/dicom").status_code == 406


CHARACTERS = "Müller^Jörg=山田^太郎"


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian]
)
def test_retrieve_rewrites_every_uncompressed_syntax(browser, hold, syntax, tmp_path: Path):
    elements = {"RedPaletteColorLookupTableData": LUT.tobytes(), "PatientName": CHARACTERS}
    content = make_dicom(syntax=syntax, **elements)

    ((kind, sent),) = parts_of(get(browser, url_of(hold(content))))

    assert kind == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    found = read(sent)
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(found.pixel_array.ravel(), np.arange(256))
    assert found.RedPaletteColorLookupTableData == LUT.tobytes()
    assert str(found.PatientName) == CHARACTERS
    assert errors_of(sent, tmp_path) == errors_of(make_dicom(**elements), tmp_path)


def test_retrieve_turns_big_endian_words(browser, hold):
    content = big_endian()

    ((_, sent),) = parts_of(get(browser, url_of(hold(content))))

    found = read(sent)
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(found.pixel_array, read(content).pixel_array)
    assert found.RedPaletteColorLookupTableData == LUT.tobytes()


COMPRESSED = (
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPGExtended.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "examples_ybr_color.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
)


def decompressed(content: bytes, tmp_path: Path) -> pydicom.Dataset:
    """By pydicom's own decoders, which are one off for 12 bits; there by dcmtk's."""
    expected = read(content)
    if expected.file_meta.TransferSyntaxUID != JPEGExtended12Bit:
        expected.decompress(generate_instance_uid=False)
        return expected
    require_program("dcmdjpeg", "dcmtk")
    (tmp_path / "compressed.dcm").write_bytes(content)
    subprocess.run(["dcmdjpeg", "compressed.dcm", "plain.dcm"], cwd=tmp_path, check=True)
    return pydicom.dcmread(tmp_path / "plain.dcm")


@pytest.mark.parametrize("name", COMPRESSED)
def test_retrieve_decodes_what_is_compressed(browser, hold, name, tmp_path: Path):
    content = Path(get_testdata_file(name)).read_bytes()
    instance = hold(content)

    ((_, sent),) = parts_of(get(browser, url_of(instance)))

    expected = decompressed(content, tmp_path)
    found = read(sent)
    assert found.PixelData == expected.PixelData
    assert found.PhotometricInterpretation == expected.PhotometricInterpretation
    assert found.get("PlanarConfiguration") == expected.get("PlanarConfiguration")
    assert found.SOPInstanceUID == read(content).SOPInstanceUID
    assert errors_of(sent, tmp_path) <= errors_of(content, tmp_path)


def test_retrieve_prefers_the_stored_syntax_when_it_is_accepted(browser, hold):
    content = Path(get_testdata_file("MR_small_RLE.dcm")).read_bytes()
    accept = ", ".join(
        f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
        for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5")
    )

    ((_, sent),) = parts_of(get(browser, url_of(hold(content)), accept))

    assert sent == content


def test_retrieve_answers_206_when_part_of_a_study_cannot_be_converted(browser, hold):
    study = generate_uid()
    video = read(undecodable())
    video.StudyInstanceUID = study
    buffer = io.BytesIO()
    video.save_as(buffer)
    instance = hold(buffer.getvalue())
    hold(make_dicom(StudyInstanceUID=study))

    converted = get(browser, f"/dicomweb/studies/{study}")
    as_stored = get(browser, f"/dicomweb/studies/{study}", ANY)

    assert converted.status_code == 206
    assert len(parts_of(converted)) == 1
    assert as_stored.status_code == 200
    assert len(parts_of(as_stored)) == 2
    refused = get(browser, url_of(instance))
    assert refused.status_code == 406
    assert refused.json()["code"] == "not_acceptable"


@pytest.mark.parametrize(
    "accept",
    ["text/html", 'multipart/related; type="image/tiff"', f"{ANY.removesuffix('*')}1.2.3"],
)
def test_retrieve_answers_406_when_nothing_fits(browser, small_study, accept):
    assert get(browser, small_study.url, accept).status_code == 406


def test_retrieve_takes_the_query_for_the_header(browser, small_study):
    url = f"{small_study.instance_url()}?accept=application/dicom"

    assert get(browser, url, "text/html")["Content-Type"].startswith("application/dicom;")


@pytest.mark.parametrize(
    "ending",
    ["", "/metadata", "/rendered", "/thumbnail", "/frames/1", "/bulkdata/7FE00010"]
    + ["/frames/1/rendered"],
)
def test_retrieve_answers_404_for_other_departments(client, stranger, small_study, ending):
    client.force_login(stranger)

    assert get(client, small_study.instance_url() + ending).status_code == 404


def test_retrieve_answers_404_when_the_series_is_of_another_study(browser, small_study, hold):
    other = hold(make_dicom())
    series = other.series.series_instance_uid

    assert get(browser, f"{small_study.url}/series/{series}").status_code == 404


def test_retrieve_is_recorded_each_time_with_its_count(browser, small_study):
    for _ in range(2):
        parts_of(get(browser, small_study.url))

    told = AuditEvent.objects.filter(action=Action.STUDY_RETRIEVED)
    assert [event.details["instances"] for event in told] == [4, 4]
    assert all(event.study_id is not None for event in told)


# Metadata


def test_metadata_tell_everything_but_the_pixels(browser, hold, small_study):
    response = get(browser, f"{small_study.url}/metadata")

    found = json.loads(content_of(response))
    assert response["Content-Type"] == "application/dicom+json"
    assert len(found) == 4
    url = found[0]["7FE00010"]["BulkDataURI"]
    assert url.startswith("/dicomweb/studies/")
    assert content_of(get(browser, url, "application/octet-stream")) == bytes(
        np.arange(256, dtype="<u2").tobytes()
    )
    dataset = pydicom.Dataset.from_json(found[0], lambda *_: b"")
    original = read(small_study.contents[str(dataset.SOPInstanceUID)])
    for element in original:
        if element.keyword not in ("PixelData", "SpecificCharacterSet"):
            assert dataset[element.tag].value == element.value


def test_metadata_give_names_in_three_scripts(browser, hold):
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    instance = hold(make_dicom(PatientName=name, SpecificCharacterSet=["", "ISO 2022 IR 87"]))

    (found,) = json.loads(content_of(get(browser, f"{url_of(instance)}/metadata")))

    assert found["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    assert found["00080005"]["Value"] == ["ISO_IR 192"]


def test_metadata_survive_values_that_break_their_rules(browser, hold):
    content = make_dicom(PatientComments="x", SeriesNumber=12)
    content = content.replace(b"IS\x02\x0012", b"IS\x02\x001x")

    (found,) = json.loads(content_of(get(browser, f"{url_of(hold(content))}/metadata")))

    assert found["00200011"] == {"vr": "IS", "Value": ["1x"]}
    assert found["00104000"]["Value"] == ["x"]


def test_bulk_data_are_found_wherever_the_metadata_say(browser, hold):
    icon = pydicom.Dataset()
    icon.Rows = icon.Columns = 64
    icon.PixelData = bytes(range(256)) * 16
    icon["PixelData"].VR = "OB"
    dataset = read(make_dicom())
    dataset.IconImageSequence = [icon]
    block = dataset.private_block(0x0099, "TESTS", create=True)
    block.add_new(1, "OB", bytes(range(256)) * 4096)
    block.add_new(2, "OB", b"short!")
    buffer = io.BytesIO()
    dataset.save_as(buffer)

    (found,) = json.loads(content_of(get(browser, f"{url_of(hold(buffer.getvalue()))}/metadata")))

    nested = found["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"]
    assert content_of(get(browser, nested, "application/octet-stream")) == icon.PixelData
    long_one = found["00991001"]["BulkDataURI"]
    ((_, value),) = parts_of(get(browser, long_one))
    assert value == bytes(range(256)) * 4096
    assert found["00991002"] == {"vr": "OB", "InlineBinary": "c2hvcnQh"}


@pytest.mark.parametrize("path", ["00100010", "00880200/1/7FE00010", "nonsense", "7FE00010/1"])
def test_bulk_data_answer_404_where_there_are_none(browser, small_study, path):
    assert get(browser, f"{small_study.instance_url()}/bulkdata/{path}").status_code == 404


# Frames
