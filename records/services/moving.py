"""A study filed in the wrong department goes to the right one, with all that hangs on it."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts.audit import record_event
from accounts.models import Department, User
from accounts.roles import Verb
from records.choices import Action, ConflictKind, StudyState
from records.errors import (
    ExportStudyMoved,
    NoSuchStudy,
    StudyAmbiguous,
    StudyGone,
    StudyHeldThere,
    StudyInQuestion,
    StudyNotMovable,
    StudyStillOpen,
    StudyThereAlready,
)
from records.models import IdentityConflict, Instance, Patient, Series, Study
from records.services.conflicts import question_study
from records.services.departments import tell_other_departments
from records.services.exports import withdraw_exports
from records.services.identity import Placement, find_or_create_patient, whose_of
from records.services.reasons import clean_reason
from records.services.trail import IdentityTrail, record_identity_changes


def departments_to_move_to(user: User) -> list[UUID]:
    """Where a person may move studies to: their own departments, or any for an administrator."""
    if user.has_verb_everywhere(Verb.STUDY_MOVE):
        return list(Department.objects.values_list("pk", flat=True))
    return user.department_ids_for(Verb.STUDY_MOVE)


@transaction.atomic
def move_study(*, actor: User, study: Study, department: Department, reason: str) -> Study:
    """Put a study into another department: images, results, reviews and holds go along.

    Its patient is found or made among those of the new department, with the same conflict as if
    the study had been sent there. De-identified copies that nobody has taken yet are given up.
    Both departments get their event. Raises StudyNotMovable unless the actor is a reviewer of both
    or an administrator, StudyGone, StudyThereAlready, StudyStillOpen, StudyInQuestion,
    StudyHeldThere, ReasonMissing and ReasonTooLong.
    """
    reason = clean_reason(reason)
    study = Study.objects.select_for_update(of=("self",)).select_related("patient").get(pk=study.pk)
    origin = Department.objects.get(pk=study.department_id)
    _check_may_move(actor, study, department)
    _check_movable(study, department)
    withdraw_exports(actor=actor, study=study, error=ExportStudyMoved())
    details = {"from": origin.name, "to": department.name, "reason": reason}
    record_event(
        action=Action.STUDY_MOVED_AWAY, actor=actor, target=study, study=study, details=details
    )
    _leave_conflicts(study)
    _relocate(actor, study, department)
    record_event(action=Action.STUDY_MOVED, actor=actor, target=study, study=study, details=details)
    return study


def move_study_of(
    *,
    actor: User,
    study_instance_uid: str,
    department: Department,
    reason: str,
    origin: Department | None = None,
) -> Study:
    """Do what `move_study` does with the study of a UID, for people who look at no study.

    Raises NoSuchStudy, and StudyAmbiguous where several departments hold it and `origin` isn't
    given; else as `move_study`.
    """
    found = Study.objects.movable_by(actor).filter(study_instance_uid=study_instance_uid.strip())
    if origin is not None:
        found = found.filter(department=origin)
    studies = list(found.select_related("department").order_by("department__name"))
    if not studies:
        raise NoSuchStudy(given=study_instance_uid)
    if len(studies) > 1:
        raise StudyAmbiguous(departments=", ".join(str(study.department) for study in studies))
    return move_study(actor=actor, study=studies[0], department=department, reason=reason)


def _check_may_move(actor: User, study: Study, department: Department) -> None:
    places = (study.department_id, department.pk)
    is_of_both = all(actor.has_verb_in(Verb.STUDY_MOVE, place) for place in places)
    if not (is_of_both or actor.has_verb_everywhere(Verb.STUDY_MOVE)):
        raise StudyNotMovable


def _check_movable(study: Study, department: Department) -> None:
    if study.deleted_at is not None:
        raise StudyGone
    if study.department_id == department.pk:
        raise StudyThereAlready(department=department)
    if study.state != StudyState.COMPLETE:
        raise StudyStillOpen
    if study.is_in_question:
        raise StudyInQuestion
    same = Study.objects.filter(study_instance_uid=study.study_instance_uid)
    if same.filter(department=department).exists():
        raise StudyHeldThere(department=department)


def _leave_conflicts(study: Study) -> None:
    """Have what waits for the old department's decision be about a study that stays there."""
    rows = IdentityConflict.objects.filter(study=study, kind=ConflictKind.ELSEWHERE)
    for conflict in rows:
        staying = Study.objects.kept().filter(
            patient=conflict.held_patient, department=conflict.department_id
        )
        other = staying.exclude(pk=study.pk).order_by("-received_at", "pk").first()
        if other is not None:
            conflict.study = other
            conflict.save(update_fields=["study"])


def _relocate(actor: User, study: Study, department: Department) -> None:
    """Give study, series and images their new department, and the study its patient there."""
    left, trail = study.patient, IdentityTrail()
    trail.note(Study.objects.filter(pk=study.pk))
    whose = whose_of(left)
    placement: Placement = find_or_create_patient(
        whose,
        actor=actor,
        department_id=department.pk,
        study_instance_uid=study.study_instance_uid,
    )
    study.department, study.patient = department, placement.patient
    try:
        with transaction.atomic():
            study.save(update_fields=["department", "patient"])
            # A trigger repeats the study's department in its series, and theirs in the images.
            Series.objects.filter(study=study).update(department=department)
            Instance.with_withheld.filter(series__study=study).update(department=department)
    except IntegrityError as error:
        raise StudyHeldThere(department=department) from error
    record_identity_changes(actor=actor, changes=trail.changes(), action=Action.PATIENT_CORRECTED)
    question_study(actor=actor, study=study, placement=placement, whose=whose)
    if whose.patient_id and placement.contradicted is None:
        tell_other_departments(actor=actor, study=study)
    _remove_if_empty(left)


def _remove_if_empty(left: Patient) -> None:
    """Remove a record that nothing needs any more: later files must not contradict it."""
    if left.aliases.exists() or left.merged_into_id or left.studies.exists():
        return
    try:
        left.delete()
    except ProtectedError:
        return
