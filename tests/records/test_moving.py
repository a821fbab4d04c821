"""A study filed in the wrong department, put right: what goes along, who may, and what stops it."""

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Department, User
from accounts.roles import Role
from classifier.models import Classification
from records import errors
from records.choices import Action, Resolution
from records.dicom.deidentification import Options
from records.models import Export, IdentityConflict, Instance, Patient, Series, Study
from records.services import (
    complete_study,
    delete_study,
    hold_study,
    move_study,
    request_export,
    resolve_conflict,
    reverse_resolution,
)
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_patient, make_study, make_user
from tests.records.conflicts import OTHER

pytestmark = pytest.mark.django_db

WHY = "Sent to the wrong ward"


@pytest.fixture
def target() -> Department:
    return make_department("Dermatology")


@pytest.fixture
def reviewer(department: Department, target: Department) -> User:
    """A reviewer of both departments."""
    user = make_user(Role.REVIEWER, department=department)
    user.memberships.create(role=Role.REVIEWER, department=target)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def study(send_one) -> Study:
    """A study that was sent."""
    send_one(make_dicom())
    return Study.objects.get()


def move(actor: User, study: Study, target: Department) -> Study:
    return move_study(actor=actor, study=study, department=target, reason=WHY)


def test_everything_goes_along_and_both_departments_have_their_event(
    reviewer, study, department, target
):
    classification = Classification.objects.create(
        study=study,
        task="chest-xray",
        state="confirmed",
        finished_at=timezone.now(),
        outcome="no_finding",
        label="normal",
        probabilities={"normal": 1.0},
    )
    hold_study(actor=None, given=study.study_instance_uid, reason="Case 4")
    left = study.patient
    before = AuditEvent.objects.count()

    moved = move(reviewer, study, target)

    assert moved.department == target
    assert {row.department for row in Series.objects.all()} == {target}
    assert {row.department for row in Instance.with_withheld.all()} == {target}
    assert moved.patient.department == target
    assert (moved.patient.mrn, moved.patient.name) == (left.mrn, left.name)
    assert not Patient.objects.filter(pk=left.pk).exists()
    assert classification in Classification.objects.filter(study__department=target)
    gone, came = AuditEvent.objects.filter(study_id=study.pk).order_by("-id")[:2][::-1]
    assert AuditEvent.objects.count() == before + 2
    assert (gone.action, gone.department_id) == (Action.STUDY_MOVED_AWAY, department.pk)
    assert (came.action, came.department_id) == (Action.STUDY_MOVED, target.pk)
    assert came.details == {"from": "Radiology", "to": "Dermatology", "reason": WHY}
    assert "from Radiology to Dermatology" in came.sentence


def test_moved_study_is_seen_by_the_one_department_and_not_by_the_other(
    client, reviewer, study, department, target
):
    url = f"/studies/{study.pk}/"
    client.force_login(reviewer)
    assert f"{url}move/" in client.get(url).content.decode()
    assert "Move this study" in client.get(f"{url}move/").content.decode()
    answer = client.post(f"{url}move/", {"department": target.pk, "reason": WHY})

    assert (answer.status_code, answer["Location"]) == (302, url)
    for where, status in ((department, 404), (target, 200)):
        client.force_login(make_user(Role.REVIEWER, department=where))
        assert client.get(url).status_code == status
        assert client.get(f"/api/v1/studies/{study.pk}/").status_code == status
        assert client.get(f"/dicomweb/studies/{study.study_instance_uid}").status_code == status
        if status == 200:
            page = client.get(url).content.decode()
            assert page.count("moved a study from Radiology") == 1
            assert "/move/" not in page


def test_administrator_moves_by_uid_or_id_and_sees_no_patient(client, study, department, target):
    client.force_login(make_user(Role.ADMINISTRATOR))
    shown = client.get(f"/studies/{study.pk}/move/").content.decode()
    assert study.study_instance_uid in shown
    for word in ("Muster", "P-1"):
        assert word not in shown
    form = {"study_instance_uid": study.study_instance_uid, "department": target.pk}
    answer = client.post("/studies/move/", form | {"reason": WHY}, follow=True)
    assert "The study was moved to Dermatology." in answer.content.decode()

    back = client.post(
        f"/api/v1/studies/{study.pk}/move/",
        {"department": department.slug, "reason": WHY},
        content_type="application/json",
    )
    assert back.json() == {
        "id": str(study.pk),
        "study_instance_uid": study.study_instance_uid,
        "department": department.slug,
        "is_in_question": False,
    }
    unknown = client.post("/studies/move/", form | {"study_instance_uid": "1.2.3", "reason": WHY})
    assert "No study is held under" in unknown.content.decode()


def test_who_is_not_a_reviewer_of_both_moves_nothing(client, study, department, target):
    of_one = make_user(Role.REVIEWER, department=department)
    mixed = make_user(Role.REVIEWER, department=department)
    mixed.memberships.create(role=Role.TECHNICIAN, department=target)
    of_target = make_user(Role.REVIEWER, department=target)
    body = {"department": target.slug, "reason": WHY}
    for user, status in ((of_one, 400), (mixed, 400), (of_target, 404)):
        with pytest.raises(errors.StudyNotMovable):
            move(User.objects.get(pk=user.pk), study, target)
        client.force_login(user)
        url = f"/api/v1/studies/{study.pk}/move/"
        assert client.post(url, body, content_type="application/json").status_code == status
    study.refresh_from_db()
    assert study.department == department


def test_what_stands_against_a_move_is_said(reviewer, study, department, target, send_one):
    with pytest.raises(errors.StudyThereAlready):
        move(reviewer, study, department)
    with pytest.raises(errors.ReasonMissing):
        move_study(actor=reviewer, study=study, department=target, reason=" ")
    arriving = make_study(department=department)
    Study.objects.filter(pk=arriving.pk).update(state="open")
    with pytest.raises(errors.StudyStillOpen):
        move(reviewer, arriving, target)
    same = make_study(department=target)
    Study.objects.filter(pk=same.pk).update(study_instance_uid=study.study_instance_uid)
    with pytest.raises(errors.StudyHeldThere):
        move(reviewer, study, target)
    Study.objects.filter(pk=same.pk).update(study_instance_uid="1.2.3.4")
    clash = Series.objects.get(study=same)
    uid = Series.objects.get(study=study).series_instance_uid
    Series.objects.filter(pk=clash.pk).update(series_instance_uid=uid)
    with pytest.raises(errors.StudyHeldThere):
        move(reviewer, study, target)
    send_one(make_dicom(**OTHER))
    asked = Study.objects.get(is_in_question=True)
    with pytest.raises(errors.StudyInQuestion):
        move(reviewer, asked, target)
    delete_study(actor=None, study=study, reason=WHY)
    with pytest.raises(errors.StudyGone):
        move(reviewer, study, target)
    assert not AuditEvent.objects.filter(action=Action.STUDY_MOVED).exists()


def test_patient_of_the_target_is_found_or_contradicted_as_for_a_sent_study(
    reviewer, study, target, send_one
):
    known = make_patient(mrn="P-1", name="Muster^Erika", birth_date="1980-02-29", department=target)
    make_study(department=target, patient=known)
    assert move(reviewer, study, target).patient == known
    send_one(make_dicom(PatientID="P-9"))
    other = Study.objects.get(patient__mrn="P-9")
    make_study(
        department=target, patient=make_patient(mrn="P-9", name="Else^Who", department=target)
    )

    moved = move(reviewer, other, target)

    moved.refresh_from_db()
    conflict = IdentityConflict.objects.get(kind="patient")
    assert (conflict.department, conflict.study) == (target, moved)
    assert conflict.differing == ["name"]
    assert moved.is_in_question


def test_decision_of_the_old_department_cannot_be_reversed_in_the_new_one(
    client, reviewer, department, target, send_one
):
    send_one(make_dicom())
    send_one(make_dicom(**OTHER))
    conflict = IdentityConflict.objects.get()
    resolve_conflict(
        actor=reviewer, conflict=conflict, resolution=Resolution.KEEP_APART, reason=WHY
    )
    move(reviewer, conflict.study, target)

    with pytest.raises(errors.StudyGone):
        reverse_resolution(actor=reviewer, conflict=conflict)
    client.force_login(reviewer)
    assert client.get(f"/conflicts/{conflict.pk}/").status_code == 404


def test_copies_that_nobody_took_are_given_up(reviewer, study, target):
    export = request_export(
        actor=reviewer, studies=[study], project="p", purpose="q", options=Options()
    )
    move(reviewer, study, target)
    export = Export.objects.get(pk=export.pk)
    assert (export.state, export.failure_code) == ("failed", "export_study_moved")


def test_batch_that_sent_it_shows_it_no_more(client, technician, reviewer, study, target):
    complete_study(actor=None, study=study)
    batch = study.submission_files.get().submission
    move(reviewer, study, target)
    client.force_login(technician)

    page = client.get(f"/submissions/{batch.pk}/").content.decode()
    body = client.get(f"/api/v1/submissions/{batch.pk}/").json()

    assert str(study.pk) not in page
    assert "Muster" not in page
    assert (body["files"][0]["study"], body["files"][0]["instance"]) == (None, None)
