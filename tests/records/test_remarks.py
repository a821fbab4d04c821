"""What a verdict says of pixels: why they aren't classified, and what was made of them."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    MPEG4HP41,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
    generate_uid,
)

from records.files.pixels import draw_frame
from records.models import Instance
from records.services import DeclaredFields
from tests.dicom.files import make_dicom
from tests.ml.pictures import make_encapsulated
from tests.ml.profiles import swapping_profile
from tests.ml.test_halves import COLOURS, make_deep_png

pytestmark = pytest.mark.django_db
WHO = DeclaredFields(patient_id="P-7")
JPIP = "1.2.840.10008.1.2.4.94"
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def elscint() -> bytes:
    dataset = dcmread(io.BytesIO(make_dicom(PixelData=None)))
    dataset.private_block(0x07A1, "ELSCINT1", create=True).add_new(0x0A, "OB", bytes(64))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def video() -> bytes:
    fields = {keyword: generate_uid() for keyword in UIDS}
    return make_encapsulated(
        [b"\0\0\0\x18ftyp" + bytes(400)],
        np.zeros((6, 8, 3), np.uint8),
        syntax=MPEG4HP41,
        NumberOfFrames=50,
        PhotometricInterpretation="YBR_PARTIAL_420",
        PatientID="P-1",
        **fields,
    )


NOT_CLASSIFIABLE = {
    "header alone": (lambda: make_dicom(PixelData=None), "no_pixels", "without the pixels"),
    "JPIP": (
        lambda: make_dicom(
            syntax=JPIP, PixelData=None, PixelDataProviderURL="http://pacs.example/jpip?1"
        ),
        "pixels_elsewhere",
        "JPIP",
    ),
    "ELSCINT": (elscint, "pixels_elsewhere", "private element"),
    "video": (video, "unsupported_transfer_syntax", "can't be decoded here"),
}


@pytest.mark.parametrize("name", NOT_CLASSIFIABLE)
def test_object_without_pixels_of_its_own_is_stored_with_the_true_reason(send_one, name):
    make, code, words = NOT_CLASSIFIABLE[name]

    verdict = send_one(make())

    assert (verdict.verdict, verdict.code, verdict.instance.exclusion) == ("stored", code, code)
    assert verdict.message.startswith("Stored. Not classifiable: ")
    assert words in verdict.message
    assert "damaged" not in verdict.message


@pytest.mark.parametrize(
    ("photometric", "shape", "is_told"),
    [
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME2", "IDENTITY", False),
    ],
)
def test_presentation_that_contradicts_itself_is_named(send_one, photometric, shape, is_told):
    content = make_dicom(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert ("Presentation LUT Shape" in send_one(content).message) == is_told


def picture(kind: str = "PNG", *, pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


RED = np.full((20, 30, 3), (220, 40, 30), np.uint8)
HALF = np.dstack([RED, np.where(np.arange(30) < 15, 0, 255)[None].repeat(20, 0)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (picture(pixels=RED, icc_profile=swapping_profile()), "converted from its own colour prof"),
        (picture("JPEG", pixels=RED, icc_profile=b"no profile"), "couldn't be applied"),
        (picture(pixels=HALF), "About 50 % of it is transparent"),
        (
            picture(pixels=RED, save_all=True, append_images=[Image.fromarray(RED).rotate(90)]),
            "further picture",
        ),
    ],
    ids=["profile", "broken profile", "transparency", "animation"],
)
def test_verdict_names_what_of_a_picture_was_changed_or_left(send_one, content, words):
    verdict = send_one(content, declared=WHO)
    assert verdict.verdict == "stored"
    assert words in verdict.message


def test_photograph_is_stored_in_srgb(send_one):
    send_one(picture(pixels=RED, icc_profile=swapping_profile()), declared=WHO)
    shown = draw_frame(Instance.objects.get())
    assert np.abs(shown.astype(int) - (30, 40, 220)).max() <= 3


def test_object_keeps_its_profile_and_is_shown_by_it(send_one):
    colours = RED.copy()
    colours[0, 0] = 0
    elements = {
        "SOPClassUID": VLPhotographicImageStorage,
        "Rows": 20,
        "Columns": 30,
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "PhotometricInterpretation": "RGB",
        **dict.fromkeys(("BitsAllocated", "BitsStored"), 8),
        "HighBit": 7,
        "PixelData": colours.tobytes(),
    }
    verdict = send_one(make_dicom(ICCProfile=swapping_profile(), **elements))
    assert "colour profile" in verdict.message
    shown = draw_frame(verdict.instance)
    assert np.abs(shown[5:].astype(int) - (30, 40, 220)).max() <= 3
    assert dcmread(verdict.instance.file.path).ICCProfile.startswith(swapping_profile())
    broken = send_one(make_dicom(ICCProfile=b"broken", **elements))
    assert "can't be used" in broken.message


def test_deep_colours_stay_deep(send_one):
    samples = np.random.default_rng(2).integers(0, 65536, (9, 9, 3), np.uint16)
    verdict = send_one(make_deep_png(samples, COLOURS), declared=WHO)
    held = dcmread(verdict.instance.file.path)
    assert (held.BitsStored, held.SOPClassUID) == (16, SecondaryCaptureImageStorage)
    assert np.array_equal(held.pixel_array, samples)


def test_picture_beyond_the_limit_is_told_the_limit(send_one):
    large = Image.new("L", (12_000, 9_000))
    buffer = io.BytesIO()
    large.save(buffer, "PNG", compress_level=1)
    verdict = send_one(buffer.getvalue(), declared=WHO)
    assert verdict.code == "image_too_large"
    assert "108 million pixels" in verdict.message
    assert "at most 64 million pixels" in verdict.message


def test_header_beyond_the_limit_is_told_the_limit(send_one, settings):
    settings.INTAKE_MAX_FRAME_PIXELS = 100
    assert "at most 100 pixels a frame" in send_one(make_dicom()).message


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
def test_control_characters_in_an_identifier_are_refused(send_one, keyword):
    verdict = send_one(make_dicom(**{keyword: "AB\nCD"}))
    assert (verdict.verdict, verdict.code) == ("rejected", "dicom_unreadable")
    assert "control characters" in verdict.message
    assert send_one(make_dicom(**{keyword: "ABCD\r\n"})).verdict == "stored"


@pytest.mark.parametrize(
    ("other", "code"),
    [("Doe^Jane", "stored"), ("Jane Doe", "stored"), ("Doe^Jane A", "study_patient_mismatch")],
)
def test_same_words_are_the_same_patient_within_a_study(send_one, other, code):
    uid = generate_uid()
    send_one(make_dicom(StudyInstanceUID=uid, PatientName="Doe Jane"))
    assert send_one(make_dicom(StudyInstanceUID=uid, PatientName=other)).code == code


def test_structured_names_in_another_order_are_two_patients(send_one):
    uid = generate_uid()
    send_one(make_dicom(StudyInstanceUID=uid, PatientName="Anna^Maria"))
    other = send_one(make_dicom(StudyInstanceUID=uid, PatientName="Maria^Anna"))
    assert other.code == "study_patient_mismatch"
