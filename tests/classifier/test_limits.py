"""A model's limits are applied to what the product knows of a patient, through every door."""

import datetime as dt
import io
import json

import pydicom
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from accounts.roles import Role
from classifier import tasks
from classifier.models import Classification
from classifier.services.requests import rerun_classification
from classifier.services.versions import register_bundles
from ml.images import encode_png, read_frames, to_display
from records.models import Patient
from tests import factories
from tests.classifier.bundles import IMAGES, change_manifest, copy_chest

CHEST = IMAGES["tuberculosis"]
CLEARED = ("PatientAge", "PatientBirthDate", "StudyDate", "PatientSex")


@pytest.fixture(scope="module")
def bundles_for_women(tmp_path_factory):
    """The chest bundle that ships, made for women alone; it isn't for infants anyway."""
    root = tmp_path_factory.mktemp("limits") / "bundles"
    bundle = copy_chest(root)
    scope = json.loads((bundle / "manifest.json").read_text())["scope"]
    change_manifest(bundle, scope=scope | {"sexes": ["F"]})
    return root


@pytest.fixture
def api(department, settings, bundles_for_women):
    settings.BUNDLE_DIR = bundles_for_women
    register_bundles(actor=None, root=bundles_for_women, deploy=True)
    client = APIClient()
    client.force_login(factories.make_user(Role.TECHNICIAN, department=department))
    return client


def chest_dicom(**fields):
    """The sample as another study, with only these facts of the patient."""
    image = pydicom.dcmread(CHEST)
    for name in CLEARED:
        if name in image:
            delattr(image, name)
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"):
        setattr(image, name, pydicom.uid.generate_uid())
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.PatientID = image.PatientID[-16:]
    for name, value in ({"PatientSex": "F"} | fields).items():
        setattr(image, name, value)
    buffer = io.BytesIO()
    image.save_as(buffer)
    return buffer.getvalue()


def chest_png():
    return encode_png(to_display(read_frames(CHEST)[0]))


def answer_to(api, content, **declared):
    """What the model says of a file that came in by REST."""
    upload = SimpleUploadedFile("file", content)
    sent = api.post("/api/v1/submissions/", {"files": [upload], **declared}, format="multipart")
    assert sent.status_code == 201, sent.content
    row = Classification.objects.order_by("-queued_at", "-id")[0]
    tasks.classify_next("routine")
    row.refresh_from_db()
    return row


@pytest.mark.parametrize(
    ("fields", "abstention", "unknown"),
    [
        ({"PatientBirthDate": "20240101", "StudyDate": "20240301"}, "age_out_of_range", ""),
        ({"PatientAge": "3M"}, "age_out_of_range", ""),
        ({"PatientAge": "003m"}, "age_out_of_range", ""),
        # The birth date decides, whatever age was stated.
        (
            {"PatientBirthDate": "20240101", "StudyDate": "20240301", "PatientAge": "030Y"},
            "age_out_of_range",
            "",
        ),
        ({"PatientBirthDate": "20240101", "StudyDate": "20250101", "PatientSex": "F"}, "", ""),
        ({"PatientAge": "030Y", "PatientSex": "M"}, "wrong_sex", ""),
        ({"PatientBirthDate": "20240401", "StudyDate": "20240301"}, "", "age"),
        ({"PatientSex": "", "PatientAge": "030Y"}, "", "sex"),
    ],
)
def test_limits_count_whatever_way_a_dicom_file_says_it(api, fields, abstention, unknown):
    row = answer_to(api, chest_dicom(**fields))
    assert row.abstention == abstention
    assert row.outcome == ("abstained" if abstention else "finding")
    said = [note for note in row.notes if "is unknown" in note]
    assert [f"The patient's {unknown} is unknown" in note for note in said] == [True] * len(said)
    assert bool(said) == bool(unknown)


def test_limits_count_for_what_is_declared_beside_a_picture(api):
    whose = {"patient_id": "P-1", "patient_name": "Doe, Jane", "sex": "F"}
    kind = {"modality": "CR", "body_part": "chest", "view_position": "PA"}
    infant = {"birth_date": "2024-01-01", "study_date": "2024-03-01"}
    row = answer_to(api, chest_png(), **whose, **kind, **infant)
    assert (row.abstention, row.study.patient.mrn) == ("age_out_of_range", "P-1")
    assert "2 mo" in row.abstention_reason or "8 wk" in row.abstention_reason
    lateral = {**whose, "patient_id": "P-2", **kind, "view_position": "LL"}
    assert answer_to(api, chest_png(), **lateral, birth_date="1980-01-01").abstention


def test_facts_corrected_by_a_person_count_at_the_next_run(api, department):
    row = answer_to(api, chest_dicom(PatientBirthDate="19800101", StudyDate="20240301"))
    assert row.outcome == "finding"
    # As a resolved conflict leaves it.
    Patient.objects.filter(pk=row.study.patient_id).update(birth_date=dt.date(2024, 1, 1))
    actor = factories.make_user(Role.TECHNICIAN, department=department)
    again = rerun_classification(actor=actor, classification=row)
    tasks.classify_next("routine")
    again.refresh_from_db()
    assert again.abstention == "age_out_of_range"
