"""Who it is: what contradicts a held identity is kept, shown, decided and taken back."""

from typing import Any

import pytest
from pydicom.uid import generate_uid

from accounts.models import AuditEvent, User
from accounts.roles import Role
from records import errors
from records.choices import Action
from records.models import (
    ConflictDecision,
    IdentityConflict,
    Patient,
    Study,
)
from records.services import (
    Standing,
    reverse_resolution,
    sent_of,
)
from tests.dicom.files import make_dicom
from tests.factories import make_user
from tests.records.conflicts import OTHER, REASON, SendOne, decide, picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def reviewer(department: Any) -> User:
    return make_user(Role.REVIEWER, department=department)


@pytest.fixture
def conflict(send_one: SendOne) -> IdentityConflict:
    """Erika is held; a study of Max came under her ID."""
    send_one(make_dicom())
    send_one(make_dicom(**OTHER))
    return IdentityConflict.objects.get()


@pytest.fixture
def study_uid() -> str:
    return generate_uid()


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        ({"PatientName": "Beispiel^Max"}, ["name"]),
        ({"PatientBirthDate": "19790228"}, ["birth date"]),
        (OTHER, ["name", "birth date"]),
    ],
)
def test_other_person_under_a_known_id_is_stored_apart_and_in_question(send_one, other, differing):
    held = send_one(make_dicom())

    verdict = send_one(make_dicom(**other))

    assert (verdict.verdict, verdict.code) == ("stored", "identity_in_question")
    assert "Muster" not in verdict.message
    assert "1980" not in verdict.message
    conflict = IdentityConflict.objects.get()
    assert (conflict.kind, conflict.differing) == ("patient", differing)
    assert conflict.held_patient == held.study.patient
    assert conflict.sent_patient == verdict.study.patient != held.study.patient
    assert verdict.study.patient.mrn == "P-1"
    assert not Study.objects.get(pk=held.study_id).is_in_question
    assert Study.objects.get(pk=verdict.study_id).is_in_question
    assert Study.objects.get(pk=verdict.study_id).state == "complete"
    assert AuditEvent.objects.get(action=Action.CONFLICT_RAISED).study_id == verdict.study_id


def test_second_study_of_the_same_other_person_joins_the_conflict(send_one, conflict):
    again = send_one(make_dicom(**OTHER))

    assert again.study.patient == conflict.sent_patient
    assert again.study.is_in_question
    assert IdentityConflict.objects.count() == 1
    assert AuditEvent.objects.filter(action=Action.CONFLICT_RAISED).count() == 1


def test_file_that_fits_two_people_of_one_id_is_put_in_question(send_one, conflict):
    verdict = send_one(make_dicom(PatientName="", PatientBirthDate=""))

    assert verdict.code == "identity_in_question"
    assert IdentityConflict.objects.count() == 2
    assert verdict.study.patient not in (conflict.held_patient, conflict.sent_patient)


@pytest.mark.parametrize("side", ["held", "sent"])
def test_merge_moves_the_studies_and_lets_the_chosen_identity_stand(
    send_one, reviewer, conflict, side
):
    decide(reviewer, conflict, "merge", standing=Standing(name=side, birth_date=side))

    erika = Patient.objects.get(pk=conflict.held_patient_id)
    expected = {"held": ("Muster^Erika", "1980-02-29"), "sent": ("Beispiel^Max", "1979-02-28")}
    assert (erika.name, str(erika.birth_date)) == expected[side]
    assert erika.studies.count() == 2
    assert not Study.objects.filter(is_in_question=True).exists()
    for name, born in (("Muster^Erika", "19800229"), ("Beispiel^Max", "19790228")):
        later = send_one(make_dicom(PatientName=name, PatientBirthDate=born))
        assert (later.code, later.study.patient) == ("stored", erika)


def test_merged_study_takes_more_images_of_the_same_spelling(send_one, send, reviewer, study_uid):
    send_one(make_dicom())
    send_one(make_dicom(StudyInstanceUID=study_uid, **OTHER))
    decide(reviewer, IdentityConflict.objects.get(), "merge")

    late = send_one(make_dicom(StudyInstanceUID=study_uid, **OTHER))

    assert late.code == "stored"
    assert IdentityConflict.objects.count() == 1


def test_keep_apart_makes_two_people_of_one_id(send_one, reviewer, conflict):
    decide(reviewer, conflict, "keep_apart")

    assert not Study.objects.filter(is_in_question=True).exists()
    assert Patient.objects.filter(mrn="P-1").count() == 2
    assert send_one(make_dicom(**OTHER)).study.patient == conflict.sent_patient
    assert send_one(make_dicom()).study.patient == conflict.held_patient
    assert IdentityConflict.objects.count() == 1


@pytest.mark.parametrize("is_known", [False, True])
def test_correct_moves_the_study_to_whom_the_person_names(send_one, reviewer, conflict, is_known):
    if is_known:
        known = send_one(make_dicom(PatientID="P-7", **OTHER)).study.patient
    corrected = sent_of(conflict)
    corrected = type(corrected)("P-7", "", corrected.name, corrected.birth_date, "F")

    decide(reviewer, conflict, "correct", corrected=corrected)

    patient = Study.objects.get(pk=conflict.study_id).patient
    assert (patient.mrn, patient.name) == ("P-7", "Beispiel^Max")
    assert not is_known or patient == known
    event = AuditEvent.objects.get(action=Action.PATIENT_CORRECTED)
    assert event.details == {"changed": ["patient ID"]}


def test_correct_refuses_an_id_that_is_held_for_yet_another_person(send_one, reviewer, conflict):
    send_one(make_dicom(PatientID="P-7", PatientName="Third^Person"))
    sent = sent_of(conflict)
    corrected = type(sent)("P-7", "", sent.name, sent.birth_date, "")
    before = picture()

    with pytest.raises(errors.CorrectionContradicts):
        decide(reviewer, conflict, "correct", corrected=corrected)

    assert picture() == before


@pytest.mark.parametrize("how", ["merge", "merge-sent", "keep_apart", "correct"])
def test_reverse_restores_exactly_what_the_decision_changed(reviewer, conflict, how):
    before = picture()
    sent = sent_of(conflict)
    options: dict[str, Any] = {
        "merge-sent": {"standing": Standing(name="sent", birth_date="sent")},
        "correct": {"corrected": type(sent)("P-7", "X", sent.name, sent.birth_date, "")},
    }.get(how, {})
    decide(reviewer, conflict, how.removesuffix("-sent"), **options)
    assert picture() != before

    reverse_resolution(actor=reviewer, conflict=conflict)

    assert picture() == before
    event = AuditEvent.objects.get(action=Action.CONFLICT_REVERSED)
    assert event.actor_id == reviewer.pk
    decision = ConflictDecision.objects.get()
    assert decision.reversed_by == reviewer
    with pytest.raises(errors.ConflictOpen):
        reverse_resolution(actor=reviewer, conflict=conflict)


@pytest.mark.parametrize("side", ["held", "sent"])
def test_reverse_gives_studies_that_came_since_to_whom_they_name(
    send_one, reviewer, conflict, side
):
    decide(reviewer, conflict, "merge", standing=Standing(name=side, birth_date=side))
    of_max = send_one(make_dicom(**OTHER))
    of_erika = send_one(make_dicom())

    reverse_resolution(actor=reviewer, conflict=conflict)

    max_study = Study.objects.get(pk=of_max.study_id)
    assert (max_study.patient, max_study.is_in_question) == (conflict.sent_patient, True)
    assert Study.objects.get(pk=of_erika.study_id).patient == conflict.held_patient


def test_reverse_is_refused_when_a_later_decision_built_on_it(send_one, reviewer, conflict):
    decide(reviewer, conflict, "merge", standing=Standing(name="sent", birth_date="sent"))
    third = send_one(make_dicom(PatientName="Third^Person"))
    later = IdentityConflict.objects.get(sent_patient=third.study.patient)
    decide(reviewer, later, "merge", standing=Standing(name="sent"))

    with pytest.raises(errors.ChangedSince):
        reverse_resolution(actor=reviewer, conflict=conflict)

    reverse_resolution(actor=reviewer, conflict=later)
    reverse_resolution(actor=reviewer, conflict=conflict)
    assert Patient.objects.get(pk=conflict.held_patient_id).name == "Muster^Erika"


def test_decision_is_taken_once_and_recorded_without_names(reviewer, conflict):
    decide(reviewer, conflict, "merge")

    with pytest.raises(errors.ConflictResolved):
        decide(reviewer, conflict, "keep_apart")

    events = AuditEvent.objects.filter(actor_id=reviewer.pk)
    assert sorted(events.values_list("action", flat=True)) == [
        Action.CONFLICT_RESOLVED,
        Action.PATIENT_MERGED,
    ]
    trail = str(list(AuditEvent.objects.values_list("details", flat=True)))
    assert "Muster" not in trail
    assert "Beispiel" not in trail
    assert REASON not in trail


def test_held_patient_of_another_department_is_neither_merged_nor_changed(
    send_one, stranger, reviewer
):
    held = send_one(make_dicom(), actor=stranger, department=stranger.departments.get())
    sent = send_one(make_dicom(**OTHER))
    conflict = IdentityConflict.objects.get()

    with pytest.raises(errors.DecisionNotOffered):
        decide(stranger, conflict, "merge")
    with pytest.raises(errors.DecisionNotOffered):
        decide(stranger, conflict, "correct", corrected=sent_of(conflict))

    decide(stranger, conflict, "keep_apart")
    assert list(IdentityConflict.objects.visible_to(stranger)) == [conflict]
    assert list(IdentityConflict.objects.visible_to(reviewer)) == []
    assert held.study.patient != sent.study.patient
    assert not sent.study.is_in_question


def test_held_patient_of_another_department_stays_out_of_a_decision(send_one, stranger, reviewer):
    """A conflict that was raised when an ID alone led to another department's record."""
    held = send_one(make_dicom(), actor=stranger, department=stranger.departments.get())
    sent = send_one(make_dicom(**OTHER))
    conflict = IdentityConflict.objects.create(
        kind="patient",
        department=sent.study.department,
        study=sent.study,
        held_patient=held.study.patient,
        sent_patient=sent.study.patient,
        sent=sent.study.named,
    )

    with pytest.raises(errors.HeldSideOutOfSight):
        decide(reviewer, conflict, "merge")
