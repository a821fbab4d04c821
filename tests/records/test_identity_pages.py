"""The queue, the quarantine and the marks on other pages, as people and integrators meet them."""

import pytest
from django.test import Client
from django.urls import reverse
from pydicom.uid import generate_uid
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action
from records.models import IdentityConflict, Patient, QuarantinedFile, Study
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_user

pytestmark = pytest.mark.django_db

API = "/api/v1"
OTHER = {"PatientName": "Beispiel^Max", "PatientBirthDate": "19790228"}


@pytest.fixture
def page(client, department) -> Client:
    client.force_login(make_user(Role.REVIEWER, department=department))
    return client


@pytest.fixture
def api(department) -> APIClient:
    client = APIClient()
    client.force_authenticate(make_user(Role.REVIEWER, department=department))
    return client


@pytest.fixture
def admin_api(db) -> APIClient:
    client = APIClient()
    client.force_authenticate(make_user(Role.ADMINISTRATOR))
    return client


@pytest.fixture
def conflict(send_one) -> IdentityConflict:
    send_one(make_dicom())
    send_one(make_dicom(**OTHER))
    return IdentityConflict.objects.get()


@pytest.fixture
def study_conflict(send_one) -> IdentityConflict:
    uid = generate_uid()
    send_one(make_dicom(StudyInstanceUID=uid))
    send_one(make_dicom(StudyInstanceUID=uid, PatientID="P-2", **OTHER))
    return IdentityConflict.objects.get()


@pytest.fixture
def quarantined(send_one) -> QuarantinedFile:
    """Other content under a held UID."""
    uids = {
        name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    }
    send_one(make_dicom(**uids))
    send_one(make_dicom(StudyDescription="changed", **uids), name="Muster_Erika.dcm")
    return QuarantinedFile.objects.get()


def test_queue_counts_and_lists_what_waits(page, conflict):
    content = page.get(reverse("records:conflict-list")).content.decode()

    assert "Beispiel, Max" in content
    assert "name, birth date" in content
    assert "open: </span>1</span>" in content
    assert AuditEvent.objects.filter(action=Action.CONFLICTS_VIEWED).count() == 1
    assert (
        "No conflict here"
        in page.post(
            reverse("records:conflict-list"), {"state": "resolved"}, follow=True
        ).content.decode()
    )


def test_conflict_page_shows_both_sides_and_their_images(page, conflict):
    content = page.get(conflict.get_absolute_url()).content.decode()

    for words in ("Muster, Erika", "Beispiel, Max", "1980-02-29", "1979-02-28"):
        assert words in content
    assert content.count("Differs</span>") == 2
    assert content.count("compare-image") == 2


def test_study_and_patient_pages_say_that_the_identity_is_in_question(page, conflict):
    study = conflict.study
    for address in (
        study.get_absolute_url(),
        reverse("records:patient-detail", args=[conflict.sent_patient_id]),
        reverse("records:patient-detail", args=[conflict.held_patient_id]),
    ):
        content = page.get(address).content.decode()
        assert "Identity in question" in content
        assert conflict.get_absolute_url() in content
    assert "Identity in question" in page.get(reverse("records:study-list")).content.decode()


def test_waiting_file_is_drawn_for_who_decides(page, study_conflict):
    content = page.get(study_conflict.get_absolute_url()).content.decode()
    file = QuarantinedFile.objects.get()
    address = reverse("records:conflict-file-png", args=[study_conflict.pk, file.pk])
    assert address in content
    assert "1 file waits in quarantine" in content

    picture = page.get(address)

    assert picture["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_decision_on_the_page_is_taken_and_taken_back(page, conflict):
    resolve = reverse("records:conflict-resolve", args=[conflict.pk])
    given = {"resolution": "merge", "name": "sent", "birth_date": "held", "reason": "Checked"}

    assert page.post(resolve, given | {"reason": ""}).status_code == 422
    assert "Decided: the same person." in page.post(resolve, given, follow=True).content.decode()
    assert Patient.objects.get(pk=conflict.held_patient_id).name == "Beispiel^Max"

    again = page.post(resolve, given, follow=True)
    assert "resolved already" in again.content.decode()

    reverse_it = reverse("records:conflict-reverse", args=[conflict.pk])
    assert "Taken back by" in page.post(reverse_it, follow=True).content.decode()
    assert Patient.objects.get(pk=conflict.held_patient_id).name == "Muster^Erika"


def test_correction_on_the_page_is_checked_and_made(page, conflict):
    resolve = reverse("records:conflict-resolve", args=[conflict.pk])
    given = {"resolution": "correct", "patient_id": "P\\7", "patient_name": "Beispiel^Max"}

    refused = page.post(resolve, given | {"reason": "Wrong wristband"})
    assert refused.status_code == 422
    assert "No backslash" in refused.content.decode()

    page.post(resolve, given | {"patient_id": "P-7", "reason": "Wrong wristband"})
    assert Study.objects.get(pk=conflict.study_id).patient.mrn == "P-7"


def test_held_side_of_another_department_is_not_shown(client, send_one, stranger, department):
    held = send_one(make_dicom(), actor=stranger, department=stranger.departments.get())
    sent = send_one(make_dicom(**OTHER))
    conflict = IdentityConflict.objects.create(
        kind="patient",
        department=department,
        study=sent.study,
        held_patient=held.study.patient,
        sent_patient=sent.study.patient,
        sent=sent.study.named,
    )
    client.force_login(make_user(Role.REVIEWER, department=department))

    content = client.get(conflict.get_absolute_url()).content.decode()

    # Four digits alone stand in many a UID.
    told = ("Muster", "1980-02-29", "19800229", "Feb 1980")
    assert not [word for word in told if word in content]
    assert 'value="merge"' not in content


def test_department_that_holds_an_id_is_told_of_another_one_and_not_of_whom(
    client, send_one, stranger, department
):
    send_one(make_dicom())
    send_one(make_dicom(**OTHER), actor=stranger, department=stranger.departments.get())
    conflict = IdentityConflict.objects.get()
    client.force_login(make_user(Role.REVIEWER, department=department))

    content = client.get(conflict.get_absolute_url()).content.decode()

    assert "Dermatology has images under this patient ID" in content
    assert "Muster" in content
    assert "Beispiel" not in content
    assert 'value="merge"' not in content
    assert 'value="keep_apart"' in content


def test_quarantine_shows_identifiers_and_hashes_and_no_clinical_data(client, quarantined):
    client.force_login(make_user(Role.ADMINISTRATOR))

    content = client.get(reverse("records:quarantine-list")).content.decode()

    assert quarantined.sop_instance_uid in content
    assert quarantined.source_sha256 in content
    assert quarantined.held_sha256 in content
    assert "Muster" not in content
    assert "P-1" not in content
    assert "files: </span>1</span>" in content


def test_quarantined_file_is_handed_out_recorded_and_discarded(page, quarantined):
    address = reverse("records:quarantine-file", args=[quarantined.pk])

    content = b"".join(page.get(address).streaming_content)

    assert content == quarantined.file.open("rb").read()
    event = AuditEvent.objects.get(action=Action.IMAGE_DOWNLOADED)
    assert event.target_id == str(quarantined.pk)

    client = Client()
    client.force_login(make_user(Role.ADMINISTRATOR))
    discard = reverse("records:quarantine-discard", args=[quarantined.pk])
    assert client.get(discard).status_code == 200
    assert client.post(discard, {"reason": ""}).status_code == 422
    client.post(discard, {"reason": "The vendor resent it"})
    quarantined.refresh_from_db()
    assert quarantined.state == "discarded"
    assert "not in quarantine any more" in page.get(address, follow=True).content.decode()


def test_api_walks_from_conflict_to_decision_and_back(api, conflict):
    (row,) = api.get(f"{API}/conflicts/?state=open").json()["results"]
    assert row["sent"]["name"] == "Beispiel^Max"
    assert row["differing"] == ["name", "birth date"]
    address = f"{API}/conflicts/{row['id']}/"
    assert api.get(address).json()["held"]["name"] == "Muster^Erika"

    given = {"resolution": "correct", "reason": "Wristband"}
    assert api.post(f"{address}resolve/", given, format="json").status_code == 400
    corrected = {"patient_id": "P-7", "name": "Beispiel^Max=例^大", "birth_date": "1979-02-28"}
    answer = api.post(f"{address}resolve/", given | {"corrected": corrected}, format="json")

    assert (answer.status_code, answer.json()["state"]) == (200, "resolved")
    study = api.get(f"{API}/studies/{row['study']}/").json()
    assert study["patient"]["patient_id"] == "P-7"
    assert study["patient"]["ideographic_name"] == "例^大"
    assert study["is_in_question"] is False
    assert api.post(f"{address}resolve/", given | {"resolution": "merge"}).status_code == 409

    back = api.post(f"{address}reverse/").json()
    assert back["state"] == "open"
    assert back["decisions"][0]["reversed_at"]
    assert api.get(f"{API}/studies/{row['study']}/").json()["patient"]["patient_id"] == "P-1"
    assert api.post(f"{address}reverse/").json()["code"] == "conflict_open"


def test_api_keeps_conflicts_to_their_department(conflict):
    client = APIClient()
    client.force_authenticate(make_user(Role.REVIEWER, department=make_department()))

    assert client.get(f"{API}/conflicts/").json()["results"] == []
    assert client.get(f"{API}/conflicts/{conflict.pk}/").status_code == 404


def test_api_of_the_quarantine_lists_hands_out_and_discards(admin_api, api, quarantined):
    address = f"{API}/quarantine/{quarantined.pk}/"
    assert api.get(address).status_code == 403

    (row,) = admin_api.get(f"{API}/quarantine/?reason=uid_conflict").json()["results"]
    assert row["source_sha256"] == quarantined.source_sha256
    assert "Muster" not in str(row)
    assert admin_api.get(f"{address}file/").status_code == 403
    assert b"".join(api.get(f"{address}file/").streaming_content)
    assert admin_api.post(f"{address}discard/", {}).status_code == 400
    assert admin_api.post(f"{address}discard/", {"reason": "resent"}).json()["state"] == "discarded"
    assert api.get(f"{address}file/").status_code == 409
