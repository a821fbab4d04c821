"""Decisions on identity conflicts, and taking them back: exactly what they changed."""

from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.models import Action, User
from records.errors import (
    ConflictOpen,
    ConflictResolved,
    CorrectionContradicts,
    HeldSideOutOfSight,
    StudyGone,
)
from records.models import (
    ConflictDecision,
    ConflictKind,
    ConflictState,
    IdentityConflict,
    Patient,
    Resolution,
    Study,
)
from records.services.changes import Changes, restore
from records.services.conflicts import refresh_questions
from records.services.identity import (
    Whose,
    differing_fields,
    find_patient,
    make_patient,
    root_of,
    whose_of,
)
from records.services.releases import prepare_files, release_files, take_back_files

NAME_GROUPS = ("name", "ideographic_name", "phonetic_name")
Side = Literal["held", "sent"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Which name and which birth date stand where two records turn out to be one person's."""

    name: Side = "held"
    birth_date: Side = "held"

    def turned(self) -> "Standing":
        """The same, seen from the other side."""
        other: dict[Side, Side] = {"held": "sent", "sent": "held"}
        return Standing(other[self.name], other[self.birth_date])


def resolve_conflict(
    *,
    actor: User,
    conflict: IdentityConflict,
    resolution: Resolution,
    reason: str,
    standing: Standing | None = None,
    corrected: Whose | None = None,
) -> ConflictDecision:
    """Decide whose the images are.

    MERGE: both are one person; `standing` says what of the two is right. KEEP_APART: they are
    two; quarantined files stay where they are. CORRECT: the images are of `corrected`, who is
    found or made. With MERGE and CORRECT the files that wait in quarantine are filed. The caller
    has checked that the actor sees the conflict. Raises ConflictResolved, StudyGone,
    HeldSideOutOfSight, CorrectionContradicts, SeriesStudyMismatch and DiskFull.
    """
    # Reading them takes a while, so it is done before anything is locked.
    files = prepare_files(conflict) if resolution != Resolution.KEEP_APART else []
    with transaction.atomic():
        conflict = _lock(conflict)
        if not conflict.is_open:
            raise ConflictResolved
        changes = Changes()
        if resolution == Resolution.MERGE:
            _merge(actor, conflict, standing or Standing(), changes)
        elif resolution == Resolution.CORRECT and corrected is not None:
            _correct(actor, conflict, corrected, changes)
        release_files(actor=actor, study=conflict.study, files=files, changes=changes)
        decision = ConflictDecision.objects.create(
            conflict=conflict,
            resolution=resolution,
            reason=reason,
            before=changes.before,
            after=changes.after,
            decided_by=actor,
        )
        _set_state(conflict, ConflictState.RESOLVED, decision)
        _record(Action.CONFLICT_RESOLVED, actor, conflict, decision)
    return decision


@transaction.atomic
def reverse_resolution(*, actor: User, conflict: IdentityConflict) -> ConflictDecision:
    """Take the decision back that stands: every row is as it was, and the conflict is open.

    Files that it had filed go back into quarantine; studies that have come since go to the one
    of the two records that they name. Raises ConflictOpen, and ChangedSince where a later
    decision built on this one. The caller has checked that the actor sees the conflict.
    """
    conflict = _lock(conflict)
    decision = conflict.latest_decision
    if decision is None:
        raise ConflictOpen
    sent = conflict.sent_patient
    target = sent.merged_into if sent else None
    restore(decision.before, decision.after)
    take_back_files(actor=actor, decision=decision)
    if sent is not None and target is not None:
        _sort_out(target, sent, decision)
    decision.reversed_by, decision.reversed_at = actor, timezone.now()
    decision.save(update_fields=["reversed_by", "reversed_at"])
    _set_state(conflict, ConflictState.OPEN, decision)
    _record(Action.CONFLICT_REVERSED, actor, conflict, decision)
    return decision


def sent_of(conflict: IdentityConflict) -> Whose:
    """Whom the files of a conflict named."""
    return Whose.from_json(conflict.sent)


def _lock(conflict: IdentityConflict) -> IdentityConflict:
    rows = IdentityConflict.objects.select_for_update(no_key=True, of=("self",))
    locked = rows.select_related("held_patient", "sent_patient").get(pk=conflict.pk)
    studies = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("patient")
    locked.study = studies.get(pk=locked.study_id)
    if not IdentityConflict.objects.of_kept_studies().filter(pk=locked.pk).exists():
        raise StudyGone
    return locked


def _merge(actor: User, conflict: IdentityConflict, standing: Standing, changes: Changes) -> None:
    if conflict.kind == ConflictKind.STUDY:
        _merge_into_study(actor, conflict, standing, changes)
        return
    target = root_of(conflict.held_patient)
    _check_in_sight(actor, target)
    alias = _locked_alias(conflict)
    replaced = _let_stand(actor, target, sent_of(conflict), standing, changes)
    if replaced:
        # So that files with the spelling that didn't stand are still recognised.
        changes.set(alias, **replaced)
    _move(actor, alias, target, changes)


def _merge_into_study(
    actor: User, conflict: IdentityConflict, standing: Standing, changes: Changes
) -> None:
    """A study without a patient ID comes under the one that the files give."""
    held, sent = conflict.study.patient, sent_of(conflict)
    _check_in_sight(actor, held)
    if held.is_identified or not sent.patient_id:
        _let_stand(actor, held, sent, standing, changes)
        return
    target = _corrected_patient(actor, conflict, sent, changes)
    changes.set(conflict.study, patient_id=target.pk)
    _let_stand(actor, target, whose_of(held), standing.turned(), changes)


def _locked_alias(conflict: IdentityConflict) -> Patient:
    """The record of what was sent, locked so that no study comes under it while others move."""
    return Patient.objects.select_for_update().get(conflicts_as_sent=conflict)


def _let_stand(
    actor: User, target: Patient, sent: Whose, standing: Standing, changes: Changes
) -> dict[str, Any]:
    """Give a record the name and birth date that stand, and return what they replaced."""
    values: dict[str, Any] = {}
    if sent.name and standing.name == "sent":
        name = sent.name
        values |= dict(
            zip(NAME_GROUPS, (name.alphabetic, name.ideographic, name.phonetic), strict=True)
        )
    if sent.birth_date and (standing.birth_date == "sent" or not target.birth_date):
        values["birth_date"] = sent.birth_date
    replaced = {field: getattr(target, field) for field in values}
    if not values:
        return replaced
    changes.set(target, **values)
    changed = ["name"] if "name" in values else []
    changed += ["birth date"] if "birth_date" in values else []
    _record_correction(actor, target, changed)
    return replaced


def _record_correction(actor: User, patient: Patient, changed: list[str]) -> None:
    record_event(
        action=Action.PATIENT_CORRECTED,
        actor=actor,
        target=patient,
        patient_id=patient.pk,
        details={"changed": changed},
    )


def _correct(actor: User, conflict: IdentityConflict, corrected: Whose, changes: Changes) -> None:
    target = _corrected_patient(actor, conflict, corrected, changes)
    if conflict.kind == ConflictKind.STUDY:
        changes.set(conflict.study, patient_id=target.pk)
    elif target.pk != conflict.sent_patient_id:
        _move(actor, _locked_alias(conflict), target, changes)
    _record_correction(actor, target, corrected.differing_from(sent_of(conflict)))


def _corrected_patient(
    actor: User, conflict: IdentityConflict, corrected: Whose, changes: Changes
) -> Patient:
    """Find whom the correction names, or make the record."""
    match, others = find_patient(corrected)
    if match is not None:
        if match.pk != conflict.sent_patient_id:
            _check_in_sight(actor, match)
        return match
    sent = sent_of(conflict)
    if others and (corrected.patient_id, corrected.issuer) != (sent.patient_id, sent.issuer):
        differing = " and ".join(differing_fields(others[0], corrected)) or "person"
        raise CorrectionContradicts(differing=differing)
    made = make_patient(corrected, is_apart=bool(others), study_instance_uid=str(conflict.pk))
    changes.created(made)
    return made


def _check_in_sight(actor: User, patient: Patient) -> None:
    if not Patient.objects.visible_to(actor).filter(pk=patient.pk).exists():
        raise HeldSideOutOfSight


def _move(actor: User, alias: Patient, target: Patient, changes: Changes) -> None:
    studies = Study.objects.select_for_update(no_key=True).filter(patient=alias).order_by("pk")
    for study in studies:
        changes.set(study, patient_id=target.pk)
    changes.set(alias, merged_into_id=target.pk)
    record_event(
        action=Action.PATIENT_MERGED,
        actor=actor,
        target=alias,
        patient_id=target.pk,
        details={"studies": [str(study.pk) for study in studies]},
    )


def _sort_out(target: Patient, sent: Patient, decision: ConflictDecision) -> None:
    """Give studies that came while two records were one to the one whom their files name."""
    rows = Patient.objects.in_bulk([target.pk, sent.pk])
    if target.pk not in rows:
        return
    target, sent = rows[target.pk], rows[sent.pk]
    for study in Study.objects.filter(patient=target, received_at__gt=decision.decided_at):
        named = Whose.from_json(study.named) if study.named else None
        if named and _is_of(sent, named) and not _is_of(target, named):
            study.patient = sent
            study.save(update_fields=["patient"])


def _is_of(patient: Patient, named: Whose) -> bool:
    return not differing_fields(patient, named, is_same_study=True)


def _set_state(
    conflict: IdentityConflict, state: ConflictState, decision: ConflictDecision
) -> None:
    conflict.state = state
    conflict.save(update_fields=["state"])
    touched = {*decision.after.get("study", {}), str(conflict.study_id)}
    if conflict.sent_patient_id:
        of_sent = Study.objects.filter(patient=conflict.sent_patient_id)
        touched |= {str(pk) for pk in of_sent.values_list("pk", flat=True)}
    refresh_questions(touched)


def _record(
    action: Action, actor: User, conflict: IdentityConflict, decision: ConflictDecision
) -> None:
    record_event(
        action=action,
        actor=actor,
        target=conflict,
        study=Study.objects.get(pk=conflict.study_id),
        details={
            "resolution": decision.resolution,
            "decision": str(decision.pk),
            "studies": sorted(decision.after.get("study", {})),
        },
    )
