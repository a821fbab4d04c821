"""An administrator reads a patient's image out of the quarantine."""

import pytest
from pydicom.uid import generate_uid

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action
from records.models import QuarantinedFile, Study
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_user
from tests.records.conftest import *  # noqa: F403 - the short ways of sending files
from tests.security.links import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def quarantined(send_one) -> QuarantinedFile:
    """Other content under a held UID."""
    names = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    uids = {name: generate_uid() for name in names}
    send_one(make_dicom(**uids))
    send_one(make_dicom(StudyDescription="changed", **uids))
    return QuarantinedFile.objects.get()


def addresses(file):
    return [f"/quarantine/{file.pk}/file/", f"/api/v1/quarantine/{file.pk}/file/"]


@pytest.mark.parametrize("door", [0, 1])
def test_administrator_takes_the_bytes(quarantined, door):
    browser = signed_in(make_user(Role.ADMINISTRATOR))
    assert browser.get(addresses(quarantined)[door]).status_code == 403
    assert browser.head(addresses(quarantined)[door]).status_code == 403
    assert not AuditEvent.objects.filter(action=Action.IMAGE_DOWNLOADED).exists()


@pytest.mark.parametrize("door", [0, 1])
def test_administrator_of_another_department_s_staff_takes_them(quarantined, door):
    elsewhere = make_department("Dermatology")
    browser = signed_in(make_user(Role.ADMINISTRATOR, Role.REVIEWER, department=elsewhere))
    assert browser.get(addresses(quarantined)[door]).status_code == 404


@pytest.mark.parametrize("door", [0, 1])
@pytest.mark.parametrize("role", [Role.REVIEWER, Role.TECHNICIAN])
def test_person_of_the_department_takes_them_and_the_event_names_the_study(
    quarantined, department, door, role
):
    person = make_user(role, department=department)
    answer = signed_in(person).get(addresses(quarantined)[door])
    assert b"".join(answer.streaming_content) == quarantined.file.open("rb").read()
    study = Study.objects.get()
    event = AuditEvent.objects.get(action=Action.IMAGE_DOWNLOADED)
    assert (event.actor_id, event.study_id) == (person.pk, study.pk)
    assert (event.patient_id, event.department_id) == (study.patient_id, department.pk)


def test_administrator_still_sees_hashes_and_discards(quarantined):
    browser = signed_in(make_user(Role.ADMINISTRATOR))
    page = browser.get("/quarantine/").content.decode()
    assert quarantined.source_sha256 in page
    assert "/file/" not in page
    browser.post(f"/quarantine/{quarantined.pk}/discard/", {"reason": "sent twice"})
    quarantined.refresh_from_db()
    assert quarantined.state == "discarded"


def test_person_of_the_department_finds_them(quarantined, department):
    browser = signed_in(make_user(Role.REVIEWER, department=department))
    page = browser.get("/quarantine/department/").content.decode()
    assert f"/quarantine/{quarantined.pk}/file/" in page
    assert "Muster" not in page
    elsewhere = signed_in(make_user(Role.REVIEWER, department=make_department("Dermatology")))
    assert str(quarantined.pk) not in elsewhere.get("/quarantine/department/").content.decode()
