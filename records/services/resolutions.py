"""Decisions on identity conflicts, and taking them back: exactly what they changed."""

from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import record_event
from accounts.models import User
from records.choices import Action, ConflictKind, ConflictState, Resolution
from records.errors import (
    ConflictOpen,
    ConflictResolved,
    CorrectionContradicts,
    DecisionNotOffered,
    HeldSideOutOfSight,
    StudyGone,
)
from records.models import ConflictDecision, IdentityConflict, Patient, Study
from records.services.changes import Changes, restore
from records.services.conflicts import refresh_questions
from records.services.departments import own_record, propose_changes
from records.services.identity import (
    NAME_GROUPS,
    Place,
    Whose,
    differing_fields,
    find_patient,
    make_patient,
    root_of,
    whose_of,
)
from records.services.releases import prepare_files, release_files, take_back_files
from records.services.trail import IdentityTrail, record_identity_changes

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
    has checked that the actor sees the conflict. What a record shared with other departments says
    changes for this one only, and the others are told. Raises ConflictResolved,
    StudyGone, HeldSideOutOfSight, DecisionNotOffered, CorrectionContradicts, SeriesStudyMismatch
    and DiskFull.
    """
    # Reading them takes a while, so it is done before anything is locked.
    files = prepare_files(conflict) if resolution != Resolution.KEEP_APART else []
    with transaction.atomic():
        conflict = _lock(conflict)
        if not conflict.is_open:
            raise ConflictResolved
        deciding = _Deciding(conflict)
        if resolution == Resolution.MERGE:
            deciding.merge(standing or Standing())
        elif resolution == Resolution.CORRECT and corrected is not None:
            deciding.correct(corrected)
        changes = deciding.changes
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
        _trace(actor, deciding.trail, Action.PATIENT_CORRECTED, moved=deciding.moved)
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
    trail = IdentityTrail()
    touched = Q(pk__in=list(decision.after.get("study", {})))
    trail.note(
        Study.objects.filter(touched | Q(patient__in=list(decision.after.get("patient", {}))))
    )
    restore(decision.before, decision.after)
    take_back_files(actor=actor, decision=decision)
    if sent is not None and target is not None:
        _sort_out(target, sent, decision)
    decision.reversed_by, decision.reversed_at = actor, timezone.now()
    decision.save(update_fields=["reversed_by", "reversed_at"])
    _set_state(conflict, ConflictState.OPEN, decision)
    _record(Action.CONFLICT_REVERSED, actor, conflict, decision)
    _trace(actor, trail, Action.PATIENT_RESTORED, moved=Action.PATIENT_RESTORED)
    return decision


def sent_of(conflict: IdentityConflict) -> Whose:
    """Whom the files of a conflict named."""
    return Whose.from_json(conflict.sent)


def _lock(conflict: IdentityConflict) -> IdentityConflict:
    rows = IdentityConflict.objects.select_for_update(no_key=True, of=("self",))
    locked = rows.select_related("held_patient", "sent_patient").get(pk=conflict.pk)
    studies = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("patient")
    locked.study = studies.get(pk=locked.study_id)
    is_kept = IdentityConflict.objects.of_kept_studies().filter(pk=locked.pk).exists()
    if not is_kept or locked.study.department_id != locked.department_id:
        raise StudyGone
    return locked


class _Deciding:
    """One decision on its way: what it changes in rows, and in what studies say of a patient.

    `moved` is what became of studies that come under another record.
    """

    def __init__(self, conflict: IdentityConflict) -> None:
        self.conflict = conflict
        self.changes = Changes()
        self.trail = IdentityTrail()
        self.moved = Action.PATIENT_CORRECTED

    def merge(self, standing: Standing) -> None:
        """Have both sides be one person; the record that is changed is the department's own."""
        conflict, sent = self.conflict, sent_of(self.conflict)
        self.moved = Action.PATIENT_MERGED
        if conflict.kind == ConflictKind.STUDY:
            self._merge_into_study(sent, standing)
            return
        if conflict.kind == ConflictKind.ELSEWHERE and not conflict.differing:
            raise DecisionNotOffered
        target = self._own(root_of(conflict.held_patient))
        if conflict.kind == ConflictKind.ELSEWHERE:
            self._let_stand(target, sent, standing)
            return
        alias = self._locked_alias()
        replaced = self._let_stand(target, sent, standing)
        if replaced:
            # So that files with the spelling that didn't stand are still recognised.
            self.changes.set(alias, **replaced)
        self._move(alias, target)

    def correct(self, corrected: Whose) -> None:
        """Have the images be those of whom the correction names."""
        if self.conflict.kind == ConflictKind.ELSEWHERE:
            raise DecisionNotOffered
        target = self._corrected_patient(corrected)
        if self.conflict.kind == ConflictKind.STUDY:
            self._move_study(target)
        elif target.pk != self.conflict.sent_patient_id:
            self._move(self._locked_alias(), target)

    def _merge_into_study(self, sent: Whose, standing: Standing) -> None:
        """A study without a patient ID comes under the one that the files give."""
        held = self._own(self.conflict.study.patient)
        if held.is_identified or not sent.patient_id:
            self._let_stand(held, sent, standing)
            return
        target = self._own(self._corrected_patient(sent))
        self._move_study(target)
        self._let_stand(target, whose_of(held), standing.turned())

    def _own(self, patient: Patient) -> Patient:
        """The record to be changed, divided from what other departments share of it."""
        if not Patient.objects.in_sight_of(self.conflict).filter(pk=patient.pk).exists():
            raise HeldSideOutOfSight
        self.trail.note(Study.objects.filter(patient=patient))
        department_id = self.conflict.department_id
        return own_record(patient, department_id=department_id, changes=self.changes)

    def _locked_alias(self) -> Patient:
        """The record of what was sent, locked so that no study comes under it in the meantime."""
        return Patient.objects.select_for_update().get(conflicts_as_sent=self.conflict)

    def _let_stand(self, target: Patient, sent: Whose, standing: Standing) -> dict[str, Any]:
        """Give a record the name and birth date that stand, and return what they replaced."""
        values: dict[str, Any] = {}
        if sent.name and standing.name == "sent":
            name = sent.name
            groups = (name.alphabetic, name.ideographic, name.phonetic)
            values |= zip(NAME_GROUPS, groups, strict=True)
        if sent.birth_date and (standing.birth_date == "sent" or not target.birth_date):
            values["birth_date"] = sent.birth_date
        replaced = {field: getattr(target, field) for field in values}
        if values:
            self.changes.set(target, **values)
        return replaced

    def _corrected_patient(self, corrected: Whose) -> Patient:
        """Find whom the correction names among the department's patients, or make the record."""
        conflict, sent = self.conflict, sent_of(self.conflict)
        match, others = find_patient(corrected, department_id=conflict.department_id)
        if match is not None:
            return match
        if others and (corrected.patient_id, corrected.issuer) != (sent.patient_id, sent.issuer):
            differing = " and ".join(differing_fields(others[0], corrected)) or "person"
            raise CorrectionContradicts(differing=differing)
        place = Place(conflict.department_id, str(conflict.pk))
        made = make_patient(corrected, is_apart=bool(others), place=place)
        self.changes.created(made)
        return made

    def _move_study(self, target: Patient) -> None:
        study = self.conflict.study
        self.trail.note(Study.objects.filter(pk=study.pk))
        self.changes.set(study, patient_id=target.pk)

    def _move(self, alias: Patient, target: Patient) -> None:
        department_id = self.conflict.department_id
        studies = Study.objects.filter(patient=alias, department=department_id).order_by("pk")
        self.trail.note(studies)
        for study in studies.select_for_update(no_key=True):
            self.changes.set(study, patient_id=target.pk)
        self.changes.set(alias, merged_into_id=target.pk)


def _trace(actor: User, trail: IdentityTrail, action: Action, *, moved: Action) -> None:
    """Tell of every study that shows its patient differently now, here and in other departments."""
    changes = trail.changes()
    record_identity_changes(actor=actor, changes=changes, action=action, moved=moved)
    propose_changes(actor=actor, changes=changes)


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
