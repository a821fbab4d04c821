"""WADO-RS by whole requests: what comes out is what went in, in the syntax that is accepted."""

import io
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    generate_uid,
)

from accounts.models import Action, AuditEvent
from records.models import Instance
from tests.prerequisites import require_program
from tests.records.dicomweb.messages import errors_of
from tests.records.files import make_dicom, make_report

pytestmark = pytest.mark.django_db
ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"'


def content_of(response) -> bytes:
    assert response.status_code in (200, 206), response.content
    return b"".join(response.streaming_content)


def parts_of(response) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part, cut by hand."""
    boundary = re.search(r"boundary=(\w+)", response["Content-Type"])[1].encode()
    body = b"\r\n" + content_of(response)
    *parts, end = body.split(b"\r\n--" + boundary)[1:]
    assert end == b"--\r\n"
    found = []
    for part in parts:
        head, content = part.split(b"\r\n\r\n", 1)
        found.append((re.search(rb"Content-Type: ([^\r]+)", head)[1].decode(), content))
    return found


def url_of(instance: Instance) -> str:
    series = instance.series
    return (
        f"/dicomweb/studies/{series.study.study_instance_uid}"
        f"/series/{series.series_instance_uid}/instances/{instance.sop_instance_uid}"
    )


def get(client, path: str, accept: str = ""):
    return client.get(path, headers={"accept": accept} if accept else {})


def read(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


@pytest.fixture
def hold(send):
    """Store one object and return its row."""

    def _hold(content: bytes) -> Instance:
        file = send(("object", content)).files.get()
        assert file.instance is not None, file.message
        return file.instance

    return _hold


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


LUT = np.arange(4, dtype="<u2")
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


def big_endian() -> bytes:
    """A packaged image, with a table whose words have to be swapped."""
    dataset = pydicom.dcmread(get_testdata_file("MR_small_bigendian.dcm"))
    dataset.RedPaletteColorLookupTableData = LUT.byteswap().tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


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
    subprocess.run(["dcmdjpeg", "compressed.dcm", "plain.dcm"], cwd=tmp_path, check=True)  # noqa: S607
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


def undecodable() -> bytes:
    """A video, as far as its transfer syntax goes."""
    elements = {"Rows": 16, "Columns": 16, "NumberOfFrames": 1, "BitsAllocated": 8}
    elements |= {"BitsStored": 8, "HighBit": 7, "PhotometricInterpretation": "YBR_PARTIAL_420"}
    pixels = pydicom.encaps.encapsulate([b"\0\0\1\xb3" + bytes(60)])
    return make_dicom(
        syntax="1.2.840.10008.1.2.4.100", SamplesPerPixel=3, PixelData=pixels, **elements
    )


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


def test_retrieve_is_recorded_once_with_its_count(browser, small_study):
    for _ in range(2):
        parts_of(get(browser, small_study.url))

    event = AuditEvent.objects.get(action=Action.STUDY_RETRIEVED)
    assert event.details == {"instances": 4}
    assert event.study_id is not None


# Metadata


def test_metadata_tell_everything_but_the_pixels(browser, hold, small_study):
    response = get(browser, f"{small_study.url}/metadata")

    found = json.loads(content_of(response))
    assert response["Content-Type"] == "application/dicom+json"
    assert len(found) == 4
    url = found[0]["7FE00010"]["BulkDataURI"]
    assert url.startswith("http://testserver/dicomweb/studies/")
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


def picture(response) -> Image.Image:
    assert response.status_code == 200, response.content
    return Image.open(io.BytesIO(response.content))


def test_rendered_is_a_jpeg_unless_png_is_asked_for(browser, small_study):
    url = f"{small_study.instance_url()}/rendered"

    assert picture(get(browser, url)).format == "JPEG"
    assert picture(get(browser, url, "image/png")).format == "PNG"
    assert get(browser, url, "image/gif").status_code == 406


@pytest.mark.parametrize(
    ("window", "level"),
    [("128,1", 255), ("100,201,linear-exact", 128), ("127,100,sigmoid", 128), ("300,10", 0)],
)
def test_rendered_applies_the_window_that_is_asked_for(browser, hold, window, level):
    instance = hold(make_dicom(PixelData=np.full(256, 128, "<u2").tobytes()[:-2] + b"\0\0"))
    url = f"{url_of(instance)}/rendered?window={window}&accept=image/png"

    shown = np.asarray(picture(get(browser, url)))[0, 0]

    assert abs(int(shown) - level) <= {"100,201,linear-exact": 36}.get(window, 3)


def test_rendered_fits_into_the_viewport(browser, small_study):
    url = f"{small_study.instance_url()}/rendered"

    assert picture(get(browser, f"{url}?viewport=8,64")).size == (8, 8)
    assert picture(get(browser, f"{url}?viewport=100,100,4,4,8,4")).size == (100, 50)
    assert picture(get(browser, f"{url}?viewport=64,64,,,8,4")).size == (64, 32)
    assert picture(get(browser, f"{url}?viewport=64,64,8,,,")).size == (32, 64)
    assert picture(get(browser, f"{small_study.url}/thumbnail")).size == (128, 128)


@pytest.mark.parametrize(("sides", "axis"), [("-16,16", 1), ("16,-16", 0)])
def test_rendered_is_turned_over_by_a_side_below_zero(browser, small_study, sides, axis):
    url = f"{small_study.instance_url()}/rendered?accept=image/png&viewport=16,16"
    plain, turned = (
        np.asarray(picture(get(browser, address))) for address in (url, f"{url},0,0,{sides}")
    )

    assert not (plain == turned).all()
    assert (np.flip(plain, axis) == turned).all()


@pytest.mark.parametrize(
    "query",
    ["window=1", "window=a,b", "window=1,0", "window=1,2,cubic", "window=1,nan", "viewport=1"]
    + ["viewport=0,5", "viewport=99999,5", "quality=0", "quality=x", "annotation=patient"],
)
def test_rendered_refuses_parameters_that_make_no_picture(browser, small_study, query):
    response = get(browser, f"{small_study.instance_url()}/rendered?{query}")

    assert response.status_code == 400
    assert response.json()["code"] == "parameter_invalid"


def test_rendered_gives_every_image_of_a_study_as_parts(browser, small_study):
    parts = parts_of(get(browser, f"{small_study.url}/rendered"))

    assert [kind for kind, _ in parts] == ["image/jpeg"] * 4
    assert get(browser, f"{small_study.url}/rendered", "image/jpeg").status_code == 406


def test_rendered_is_recorded_as_a_look_at_the_images(browser, small_study):
    get(browser, f"{small_study.instance_url()}/rendered")

    assert AuditEvent.objects.filter(action=Action.IMAGE_VIEWED).count() == 1
