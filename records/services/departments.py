"""Records of one person in several departments: kept apart, divided where shared, and told of."""

import datetime as dt
import uuid

from django.db.models import Min, QuerySet

from accounts.audit import record_event
from accounts.models import User
from records.choices import Action, ConflictKind
from records.errors import HeldSideOutOfSight
from records.models import IdentityConflict, Patient, Study
from records.services.changes import Changes
from records.services.identity import differing_fields, speaks_for, whose_of
from records.services.trail import Identity, IdentityChange


def own_record(patient: Patient, *, department_id: uuid.UUID, changes: Changes) -> Patient:
    """Return the record that a department may change: one with no other department's studies.

    A record that several share is divided: each keeps what it said, under its own studies. Raises
    HeldSideOutOfSight where another department did so in the meantime. The caller holds the
    transaction, and has locked the study in hand.
    """
    studies = Study.objects.filter(patient=patient)
    others = studies.exclude(department=department_id)
    if not others.exists():
        return patient
    patient = Patient.objects.select_for_update().get(pk=patient.pk)
    if patient.department_id != department_id:
        if not studies.filter(department=department_id).exists():
            raise HeldSideOutOfSight
        return _divide(patient, department_id, changes)
    for other in set(others.values_list("department", flat=True)):
        _divide(patient, other, changes)
    return patient


def tell_other_departments(*, actor: User | None, study: Study) -> None:
    """Tell those who hold a new study's patient ID, unless name or birth date speak for one person.

    They learn which department uses the ID, and nothing of its patient. Nothing is told to the
    sender. The caller holds the transaction.
    """
    whose = whose_of(study.patient)
    for held in Patient.objects.elsewhere(
        mrn=whose.patient_id, issuer=whose.issuer, department_id=study.department_id
    ):
        if speaks_for(held, whose) and not differing_fields(held, whose):
            continue
        sent = {**whose.as_json(), "name": "", "birth_date": "", "sex": ""}
        _tell(actor, held, study, sent, [])


def propose_changes(*, actor: User, changes: list[IdentityChange]) -> None:
    """Tell earlier departments of the same person what one of them now says of that person.

    Only those whose record said the very same before: same ID, name and birth date. Each decides
    for itself. The caller holds the transaction.
    """
    seen: list[tuple[Identity, Identity]] = []
    for change in changes:
        before, after = change.before, change.after
        is_new = (before, after) not in seen
        seen.append((before, after))
        differing = [words for words in change.changed if words in ("name", "birth date")]
        if not (is_new and differing and before["name"] and before["birth date"]):
            continue
        for held in Patient.objects.elsewhere(
            mrn=before["patient ID"],
            issuer=before["issuer"],
            department_id=change.study.department_id,
        ):
            if _said(held, before) and _is_earlier(held, change.study):
                _tell(actor, held, change.study, _as_sent(after), differing)


def _divide(patient: Patient, department_id: uuid.UUID, changes: Changes) -> Patient:
    """Give a department a copy of the record that it shares with others, for all that is its own.

    That is its studies, its conflicts, and the spellings that it has merged into the record.
    """
    copy = Patient(department_id=department_id)
    for field in ("mrn", "issuer", "qualifier", "birth_date", "sex", "is_identified"):
        setattr(copy, field, getattr(patient, field))
    copy.person_name = patient.person_name
    key = {"mrn": copy.mrn, "issuer": copy.issuer, "department": department_id}
    if Patient.objects.filter(**key, qualifier=copy.qualifier).exists():
        copy.qualifier = uuid.uuid4().hex[:12]
    copy.save(force_insert=True)
    changes.created(copy)
    studies = Study.objects.select_for_update(no_key=True).filter(patient=patient)
    for study in studies.filter(department=department_id).order_by("pk"):
        changes.set(study, patient_id=copy.pk)
    for conflict in IdentityConflict.objects.filter(
        held_patient=patient, department=department_id
    ).order_by("pk"):
        changes.set(conflict, held_patient_id=copy.pk)
    for alias in patient.aliases.filter(department=department_id).order_by("pk"):
        changes.set(alias, merged_into_id=copy.pk)
    return copy


def _said(held: Patient, identity: Identity) -> bool:
    birth_date = held.birth_date.isoformat() if held.birth_date else ""
    return (str(held.person_name), birth_date) == (identity["name"], identity["birth date"])


def _is_earlier(held: Patient, study: Study) -> bool:
    first = _first_at(held.studies.exclude(department=study.department_id))
    own = _first_at(Study.objects.filter(patient=study.patient_id, department=study.department_id))
    return first is not None and own is not None and first < own


def _first_at(studies: QuerySet[Study]) -> dt.datetime | None:
    found: dt.datetime | None = studies.aggregate(first=Min("received_at"))["first"]
    return found


def _as_sent(identity: Identity) -> dict[str, str]:
    return {
        "patient_id": identity["patient ID"],
        "issuer": identity["issuer"],
        "name": identity["name"],
        "birth_date": identity["birth date"],
        "sex": identity["sex"],
    }


def _tell(
    actor: User | None,
    held: Patient,
    study: Study,
    sent: dict[str, str],
    differing: list[str],
) -> None:
    """Raise a conflict in each other department that has studies under a record."""
    sent = {**sent, "department": study.department.name}
    theirs = held.studies.exclude(department=study.department_id).order_by("-received_at", "pk")
    for latest in {row.department_id: row for row in reversed(theirs)}.values():
        conflict, is_new = IdentityConflict.objects.get_or_create(
            kind=ConflictKind.ELSEWHERE,
            held_patient=held,
            department_id=latest.department_id,
            sent=sent,
            defaults={"study": latest, "differing": differing},
        )
        if is_new:
            record_event(
                action=Action.CONFLICT_RAISED,
                actor=actor,
                target=conflict,
                study=latest,
                details={
                    "kind": str(ConflictKind.ELSEWHERE.label).lower(),
                    "differing": differing,
                },
            )
