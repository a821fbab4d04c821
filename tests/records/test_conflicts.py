"""Who it is: what contradicts a held identity is kept, shown, decided and taken back."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.storage import storages
from pydicom.uid import generate_uid

from accounts.models import Action, AuditEvent, User
from accounts.roles import Role
from records import errors
from records.models import (
    ConflictDecision,
    IdentityConflict,
    Instance,
    Patient,
    QuarantinedFile,
    Resolution,
    Study,
    SubmissionFile,
)
from records.services import (
    Standing,
    discard_quarantined,
    resolve_conflict,
    reverse_resolution,
    sent_of,
)
from tests.factories import make_department, make_study, make_user
from tests.records.files import make_dicom

pytestmark = pytest.mark.django_db

OTHER = {"PatientName": "Beispiel^Max", "PatientBirthDate": "19790228"}
REASON = "Compared with the request"

SendOne = Callable[..., SubmissionFile]


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


@pytest.fixture
def study_conflict(send_one: SendOne, study_uid: str) -> IdentityConflict:
    """A study of P-1 is held and complete; a file for P-2 came under its UID."""
    send_one(make_dicom(StudyInstanceUID=study_uid))
    send_one(make_dicom(StudyInstanceUID=study_uid, PatientID="P-2", **OTHER))
    return IdentityConflict.objects.get()


def decide(actor: User, conflict: IdentityConflict, resolution: str, **how: Any) -> Any:
    return resolve_conflict(
        actor=actor, conflict=conflict, resolution=Resolution(resolution), reason=REASON, **how
    )


def picture() -> dict[str, Any]:
    """Everything that a decision may change and a reversal has to bring back."""
    patient_fields = ("mrn", "issuer", "qualifier", "name", "search_name", "birth_date")
    return {
        "patients": list(
            Patient.objects.values_list("pk", *patient_fields, "merged_into").order_by("pk")
        ),
        "studies": list(
            Study.objects.values_list(
                "pk", "patient", "is_in_question", "instance_count", "modalities", "state"
            ).order_by("pk")
        ),
        "instances": set(Instance.objects.values_list("sop_instance_uid", "series__study")),
        "files": list(QuarantinedFile.objects.values_list("pk", "state", "file").order_by("pk")),
        "conflicts": list(IdentityConflict.objects.values_list("pk", "state").order_by("pk")),
    }


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
    send_one(make_dicom(), actor=stranger, department=stranger.departments.get())
    send_one(make_dicom(**OTHER))
    conflict = IdentityConflict.objects.get()

    with pytest.raises(errors.HeldSideOutOfSight):
        decide(reviewer, conflict, "merge")

    decide(reviewer, conflict, "keep_apart")
    assert list(IdentityConflict.objects.visible_to(stranger)) == []
    assert list(IdentityConflict.objects.visible_to(reviewer)) == [conflict]


def test_file_for_another_patient_s_study_is_kept_out_of_it(send_one, study_conflict, study_uid):
    study = Study.objects.get()
    assert (study.patient.mrn, study.instance_count, study.is_in_question) == ("P-1", 1, True)
    assert (study_conflict.kind, study_conflict.differing) == (
        "study",
        ["patient ID", "name", "birth date"],
    )
    file = QuarantinedFile.objects.get()
    assert (file.state, file.reason, file.conflict) == ("held", "identity", study_conflict)
    assert file.verdict.code == "study_patient_mismatch"
    assert not Patient.objects.filter(mrn="P-2").exists()
    assert storages["images"].exists(file.file.name)

    content = file.file.open("rb").read()
    again = send_one(content)

    assert again.code == "study_patient_mismatch"
    assert QuarantinedFile.objects.count() == IdentityConflict.objects.count() == 1


def test_merge_files_what_waited_and_completes_the_study_anew(
    send_one, reviewer, study_conflict, study_uid
):
    decide(reviewer, study_conflict, "merge")

    study = Study.objects.get()
    assert (study.instance_count, study.state, study.is_in_question) == (2, "complete", False)
    assert Instance.objects.of_study(study).count() == 2
    file = QuarantinedFile.objects.get()
    assert (file.state, file.instance.sha256) == ("filed", file.sha256)
    late = make_dicom(StudyInstanceUID=study_uid, PatientID="P-2", **OTHER)
    assert send_one(late).code == "stored"


def test_correct_gives_the_study_and_what_waited_to_the_other_patient(reviewer, study_conflict):
    decide(reviewer, study_conflict, "correct", corrected=sent_of(study_conflict))

    study = Study.objects.get()
    assert (study.patient.mrn, study.patient.name) == ("P-2", "Beispiel^Max")
    assert study.instance_count == 2


@pytest.mark.parametrize("how", ["merge", "correct", "keep_apart"])
def test_reverse_takes_filed_files_out_of_sight_and_they_can_be_filed_again(
    send_one, reviewer, study_conflict, how
):
    before = picture()
    options = {"corrected": sent_of(study_conflict)} if how == "correct" else {}
    decide(reviewer, study_conflict, how, **options)

    reverse_resolution(actor=reviewer, conflict=study_conflict)

    assert picture() == before
    content = QuarantinedFile.objects.get().file.open("rb").read()
    assert send_one(content).code == "study_patient_mismatch"
    decide(reviewer, study_conflict, "merge")
    assert Study.objects.get().instance_count == Instance.objects.count() == 2


def test_kept_apart_files_stay_in_quarantine_and_can_be_discarded(reviewer, study_conflict):
    admin = make_user(Role.ADMINISTRATOR)
    file = QuarantinedFile.objects.get()
    with pytest.raises(errors.AwaitsDecision):
        discard_quarantined(actor=admin, file=file, reason="not ours")

    decide(reviewer, study_conflict, "keep_apart")
    discard_quarantined(actor=admin, file=file, reason="not ours")

    file.refresh_from_db()
    assert (file.state, file.file.name, file.ended_by) == ("discarded", "", admin)
    event = AuditEvent.objects.get(action=Action.QUARANTINE_DISCARDED)
    assert event.details["received_sha256"] == file.source_sha256
    with pytest.raises(errors.QuarantineEnded):
        discard_quarantined(actor=admin, file=file, reason="again")


def test_other_bytes_under_a_held_uid_go_to_quarantine_once(send_one):
    uids = {
        name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    }
    held = send_one(make_dicom(**uids))
    changed = make_dicom(StudyDescription="changed", **uids)

    for _ in range(2):
        assert send_one(changed).code == "uid_conflict"

    file = QuarantinedFile.objects.get()
    assert (file.reason, file.conflict, file.held_sha256) == ("uid_conflict", None, held.sha256)
    assert file.file.open("rb").read() == changed
    event = AuditEvent.objects.get(action=Action.FILE_QUARANTINED)
    assert event.details["held_sha256"] == held.sha256
    assert event.details["received_sha256"] == file.sha256
    assert not Study.objects.get().is_in_question


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("Clinic A", "Clinic A", True),
        ("Clinic A", "Clinic B", False),
        ("", "Clinic A", False),
        ("Clinic A", "", False),
        ("", "", True),
    ],
)
def test_id_belongs_to_its_issuer(send_one, first, second, is_one):
    one = send_one(make_dicom(IssuerOfPatientID=first))
    other = send_one(make_dicom(IssuerOfPatientID=second))

    assert (one.study.patient == other.study.patient) is is_one
    assert not IdentityConflict.objects.exists()


def test_missing_issuer_is_no_contradiction_within_one_study(send_one, study_uid):
    send_one(make_dicom(StudyInstanceUID=study_uid, IssuerOfPatientID="Clinic A"))

    without = send_one(make_dicom(StudyInstanceUID=study_uid))
    other = send_one(make_dicom(StudyInstanceUID=study_uid, IssuerOfPatientID="Clinic B"))

    assert (without.code, other.code) == ("stored", "study_patient_mismatch")


def test_withheld_images_belong_to_no_list(department):
    study = make_study(department=department, images=2)
    reviewer = make_user(Role.REVIEWER, department=department)
    Instance.objects.filter(instance_number=1).update(is_withheld=True)

    assert Instance.objects.visible_to(reviewer).count() == 1
    assert study.series.with_counts().get().image_count == 1
    assert study.series.get().instances.count() == 1
    assert make_department().studies.count() == 0
