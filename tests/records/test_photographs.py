"""PNG and JPEG on their way to DICOM."""

import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from records.choices import SubmissionState
from records.models import Instance, Patient, Study
from records.services import DeclaredFields
from tests.dicom.files import SAMPLES, make_jpeg, make_png
from tests.prerequisites import require_program

pytestmark = pytest.mark.django_db

WHO = DeclaredFields(
    patient_id="P-7",
    issuer="HOSP",
    patient_name="Grün, Zoë Maria",
    sex="F",
    modality="CR",
    body_part="chest",
    view_position="PA",
    study_description="Thorax",
    accession_number="A1",
)
MODALITIES = ["", "CR", "DX", "CT", "MR", "US", "XC", "DMS", "OP", "OT"]


def errors_of(path: str) -> list[str]:
    """What David Clunie's validator holds against a file."""
    require_program("dciodvfy", "dicom3tools")
    run = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    return [line for line in run.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(
    "make", [make_png, make_jpeg, lambda: make_png(deep=True), lambda: make_png(shape=(7, 9, 3))]
)
def test_written_file_satisfies_the_validator(send_one, make, modality):
    who = DeclaredFields(patient_id="P-7", modality=modality, body_part="CHEST")

    send_one(make(), declared=who)

    assert errors_of(Instance.objects.get().file.path) == []


@pytest.mark.parametrize("body_part", ["", "HEAD", "SKIN", "EYE", "BREAST", "HAND"])
@pytest.mark.parametrize("modality", ["OT", "XC", "DMS", "OP"])
def test_written_file_satisfies_the_validator_whatever_it_shows(send_one, modality, body_part):
    who = DeclaredFields(patient_id="P-7", modality=modality, body_part=body_part)

    send_one(make_png(shape=(7, 9, 3)), declared=who)

    assert errors_of(Instance.objects.get().file.path) == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/*.dcm")), ids=lambda p: str(p.parent.name))
def test_sample_satisfies_the_validator(path):
    assert errors_of(str(path)) == []


def test_declared_fields_reach_header_and_rows(send_one):
    verdict = send_one(make_png(), declared=WHO)

    assert (verdict.verdict, verdict.code) == ("stored", "stored")
    patient, study = Patient.objects.get(), Study.objects.get()
    assert (patient.mrn, patient.issuer, patient.name) == ("P-7", "HOSP", "Grün^Zoë^Maria")
    assert (study.modalities, study.body_part, study.description) == (["CR"], "CHEST", "Thorax")
    header = dcmread(Instance.objects.get().file.path)
    assert str(header.PatientName) == "Grün^Zoë^Maria"
    assert (header.Modality, header.BodyPartExamined, header.ViewPosition) == ("CR", "CHEST", "PA")


@pytest.mark.parametrize(
    ("make", "photometric", "bits"),
    [
        (make_png, "MONOCHROME2", 8),
        (lambda: make_png(deep=True), "MONOCHROME2", 16),
        (lambda: make_png(shape=(8, 8, 3)), "RGB", 8),
    ],
)
def test_pixels_come_through_unchanged(send_one, tmp_path, make, photometric, bits):
    content = make()
    (tmp_path / "original").write_bytes(content)
    original = np.asarray(Image.open(tmp_path / "original"))

    send_one(content, declared=WHO)

    image = dcmread(Instance.objects.get().file.path)
    assert (image.PhotometricInterpretation, image.BitsStored) == (photometric, bits)
    assert np.array_equal(image.pixel_array, original)


def test_jpeg_is_marked_as_lossy_for_ever(send_one):
    send_one(make_jpeg(), declared=WHO)

    assert dcmread(Instance.objects.get().file.path).LossyImageCompression == "01"


def test_pictures_of_one_batch_are_one_study(send):
    submission = send(
        ("1.png", make_png(seed=1)),
        ("2.jpg", make_jpeg()),
        ("3.png", make_png(seed=3)),
        declared=WHO,
    )

    assert submission.state == SubmissionState.STORED
    study = Study.objects.get()
    assert study.instance_count == 3
    assert study.series.get().instances.count() == 3


def test_same_picture_again_is_recognised_in_another_batch(send_one):
    first = send_one(make_png(), declared=WHO)

    again = send_one(make_png(), declared=WHO)

    assert (again.verdict, again.instance) == ("duplicate", first.instance)
    assert Study.objects.count() == 1


def test_same_picture_of_another_patient_is_another_instance(send_one):
    send_one(make_png(), declared=WHO)
    send_one(make_png(), declared=DeclaredFields(patient_id="P-8"))

    assert Instance.objects.count() == 2
