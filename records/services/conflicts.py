"""Identity conflicts: raised where what is sent contradicts what is held, shown on studies."""

from collections.abc import Iterable
from uuid import UUID

from accounts.audit import record_event
from accounts.models import User
from records.choices import Action, ConflictKind
from records.models import IdentityConflict, Patient, Study
from records.services.identity import Placement, Whose


def question_study(*, actor: User | None, study: Study, placement: Placement, whose: Whose) -> None:
    """Mark a study whose patient's record contradicts another one, or still waits for a decision.

    Raises the conflict unless that was done for the record before. The caller holds the lock.
    """
    if study.patient_id != placement.patient.pk:
        return
    if placement.contradicted is not None:
        _get_or_raise(
            actor,
            study,
            whose,
            kind=ConflictKind.PATIENT,
            held=placement.contradicted,
            sent=placement.patient,
            differing=placement.differing,
        )
    refresh_questions([study.pk])
    study.refresh_from_db(fields=["is_in_question"])


def raise_study_conflict(
    *, actor: User | None, study: Study, whose: Whose, differing: Iterable[str]
) -> IdentityConflict:
    """Note that a file came for a study that is held for another person, and mark the study.

    A decision that was taken about that person's files stands.
    """
    conflict = _get_or_raise(
        actor,
        study,
        whose,
        kind=ConflictKind.STUDY,
        held=study.patient,
        sent=None,
        differing=differing,
    )
    refresh_questions([study.pk])
    return conflict


def refresh_questions(studies: Iterable[UUID]) -> None:
    """Have studies say whether a conflict about them is open."""
    for study in Study.objects.filter(pk__in=list(studies)):
        is_open = IdentityConflict.objects.open().about_study(study).exists()
        Study.objects.filter(pk=study.pk).update(is_in_question=is_open)


def _get_or_raise(
    actor: User | None,
    study: Study,
    whose: Whose,
    *,
    kind: ConflictKind,
    held: Patient,
    sent: Patient | None,
    differing: Iterable[str],
) -> IdentityConflict:
    key = (
        {"sent_patient": sent} if sent else {"kind": kind, "study": study, "sent": whose.as_json()}
    )
    conflict, is_new = IdentityConflict.objects.get_or_create(
        **key,
        defaults={
            "kind": kind,
            "study": study,
            "department_id": study.department_id,
            "held_patient": held,
            "sent": whose.as_json(),
            "differing": list(differing),
        },
    )
    if is_new:
        record_event(
            action=Action.CONFLICT_RAISED,
            actor=actor,
            target=conflict,
            study=study,
            details={
                "kind": str(ConflictKind(kind).label).lower(),
                "differing": conflict.differing,
            },
        )
    return conflict
