"""Whose an image is: what the file says, what was declared, and what is already held."""

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import Department, User
from records.choices import Action, Resolution
from records.dicom.names import PersonName, fold_words
from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.header import DicomHeader
from records.errors import StudyPatientMismatch
from records.models import IdentityConflict, Patient, Study
from records.services.trail import IdentityTrail, record_identity_changes

TEMPORARY_ISSUER = "medimaging"
QUALIFIER_LENGTH = 12
NAME_GROUPS = ("name", "ideographic_name", "phonetic_name")


@dataclass(frozen=True, slots=True)
class Whose:
    """The patient that an object is to be filed under; no `patient_id` where nobody says.

    `is_issuer_open`: a person typed the ID of a picture, and nobody said who issued it. It means
    whom the department knows by that ID, whoever issued it.
    """

    patient_id: str
    issuer: str
    name: PersonName
    birth_date: dt.date | None
    sex: str
    ignored_patient_id: str = ""
    is_issuer_open: bool = False

    def as_json(self) -> dict[str, str]:
        """What is kept of it in a conflict."""
        return {
            "patient_id": self.patient_id,
            "issuer": self.issuer,
            "name": str(self.name),
            "birth_date": self.birth_date.isoformat() if self.birth_date else "",
            "sex": self.sex,
        }

    @classmethod
    def from_json(cls, stored: dict[str, str]) -> Self:
        """The reverse of `as_json`."""
        birth_date = stored["birth_date"]
        return cls(
            patient_id=stored["patient_id"],
            issuer=stored["issuer"],
            name=PersonName.from_text(stored["name"]),
            birth_date=dt.date.fromisoformat(birth_date) if birth_date else None,
            sex=stored["sex"],
        )

    def differing_from(self, other: "Whose") -> list[str]:
        """What of two descriptions isn't the same, in words."""
        pairs = {
            "patient ID": (self.patient_id, other.patient_id),
            "issuer": (self.issuer, other.issuer),
            "name": (self.name, other.name),
            "birth date": (self.birth_date, other.birth_date),
            "sex": (self.sex, other.sex),
        }
        return [words for words, (one, another) in pairs.items() if one != another]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is looked for or made: a department, for a study."""

    department_id: UUID
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class Placement:
    """The record that an object goes under, and the one that it contradicts, if it does."""

    patient: Patient
    contradicted: Patient | None = None
    differing: tuple[str, ...] = ()


def whose_is(header: DicomHeader, declared: DeclaredFields, *, is_picture: bool = False) -> Whose:
    """Put together header and declaration: the header wins, the declaration fills gaps.

    A declaration for another patient ID fills nothing: it speaks of somebody else. The header of a
    picture (`is_picture`) is the declaration itself.
    """
    said = header.patient
    if said.patient_id and declared.patient_id and said.patient_id != declared.patient_id:
        return Whose(
            said.patient_id,
            said.issuer,
            PersonName.from_text(said.name),
            said.birth_date,
            said.sex,
            ignored_patient_id=declared.patient_id,
        )
    return Whose(
        patient_id=said.patient_id or declared.patient_id,
        issuer=said.issuer or declared.issuer,
        name=PersonName.from_text(said.name or declared.patient_name),
        birth_date=said.birth_date or declared.birth_date,
        sex=said.sex or declared.sex,
        is_issuer_open=(is_picture or not said.patient_id) and not (said.issuer or declared.issuer),
    )


def whose_of(patient: Patient) -> Whose:
    """What a record says of its patient."""
    return Whose(
        patient_id=patient.mrn if patient.is_identified else "",
        issuer=patient.issuer if patient.is_identified else "",
        name=patient.person_name,
        birth_date=patient.birth_date,
        sex=patient.sex,
    )


def find_or_create_patient(
    whose: Whose, *, actor: User | None, department_id: UUID, study_instance_uid: str
) -> Placement:
    """Return a department's record for a patient, a temporary one where the ID is missing.

    Where the ID is held for another person, or for several of whom this could be either, the
    record is one of its own, and the placement says whom it contradicts. Gaps in the record
    are filled. Two senders at once get the same row. Other departments' records count for nothing.
    """
    place = Place(department_id, study_instance_uid)
    if not whose.patient_id:
        return Placement(_temporary_patient(whose, place))
    match, others = find_patient(whose, department_id=department_id)
    if match is None and not others:
        # Checked even when it is new: another sender may have made it in the meantime.
        stated = replace(whose, issuer=_issuer_for(whose, department_id))
        made = make_patient(stated, is_apart=False, place=place)
        match, others = (None, [made]) if differing_fields(made, whose) else (made, [])
    if match is not None:
        fill_gaps(match, whose, actor=actor, department_id=department_id)
        return Placement(match)
    # Beside the record that it contradicts: the same ID from the same issuer.
    issuer = others[0].issuer if whose.is_issuer_open else whose.issuer
    apart = make_patient(replace(whose, issuer=issuer), is_apart=True, place=place)
    return Placement(apart, others[0], tuple(differing_fields(others[0], whose)))


def find_patient(whose: Whose, *, department_id: UUID) -> tuple[Patient | None, list[Patient]]:
    """Return a department's one record that `whose` speaks of, or else all that hold the ID.

    Where several could be meant, those count of which name or birth date say so. The first that
    holds the ID comes first.
    """
    roots = _records_of(whose, department_id)
    matching = [root for root in roots if not differing_fields(root, whose)]
    if len(matching) > 1:
        matching = [root for root in matching if speaks_for(root, whose)]
    if len(matching) > 1 and whose.is_issuer_open:
        # One person may have a record from before there was an issuer.
        matching = [root for root in matching if not root.issuer] or matching
    return (matching[0], []) if len(matching) == 1 else (None, roots)


def make_patient(whose: Whose, *, is_apart: bool, place: Place) -> Patient:
    """Return a department's record for an ID, made unless another sender was quicker.

    `is_apart` makes it one of its own beside the record that holds the ID already.
    """
    qualifier = _qualifier(whose, place.study_instance_uid) if is_apart else ""
    new = Patient(mrn=whose.patient_id, issuer=whose.issuer, qualifier=qualifier)
    return _insert(new, whose, place.department_id)


def settle_patient(study: Study, whose: Whose, *, actor: User | None) -> Placement | None:
    """Check that an object belongs under its study's patient; raises StudyPatientMismatch.

    A study whose files gave no patient ID takes the patient of the first file that gives one,
    so that it doesn't matter in which order files arrive; the placement says which. Without an
    ID, name and birth date must not contradict all the same. The caller holds the lock.
    """
    differing = differing_fields(study.patient, whose, is_same_study=True)
    if differing and not _is_accepted(study, whose):
        raise StudyPatientMismatch(study=study, whose=whose, differing=differing)
    if whose.patient_id and not study.patient.is_identified:
        return _identify(study, whose, actor)
    if not differing:
        fill_gaps(study.patient, whose, actor=actor, department_id=study.department_id)
    return None


def differing_fields(patient: Patient, whose: Whose, *, is_same_study: bool = False) -> list[str]:
    """What of `whose` contradicts a record and everything that was merged into it.

    What either side leaves out doesn't differ. Within one study a missing issuer is one of these;
    between studies the record was found by its issuer, missing or not.
    """
    known = [patient]
    if _contradicts(known, whose, is_same_study=is_same_study):
        known += patient.aliases.all()
    return _contradicts(known, whose, is_same_study=is_same_study)


def fill_gaps(patient: Patient, whose: Whose, *, actor: User | None, department_id: UUID) -> None:
    """Note what a record doesn't say yet; what it says stays.

    A record that other departments share stays as it is: nobody of them was asked.
    """
    if not _gaps(patient, whose):
        return
    locked = Patient.objects.select_for_update(no_key=True).get(pk=patient.pk)
    gaps = _gaps(locked, whose)
    if not gaps or Study.objects.filter(patient=patient).exclude(department=department_id).exists():
        return
    trail = IdentityTrail()
    trail.note(Study.objects.filter(patient=patient))
    for row in (locked, patient):
        for field, value in gaps.items():
            setattr(row, field, value)
    locked.save(update_fields=[*gaps, "search_name"])
    record_identity_changes(actor=actor, changes=trail.changes(), action=Action.PATIENT_COMPLETED)


def _gaps(patient: Patient, whose: Whose) -> dict[str, Any]:
    """What a description says that a record doesn't, by the record's fields."""
    name, held = whose.name, patient.person_name
    stated: dict[str, Any] = {"birth_date": whose.birth_date, "sex": whose.sex}
    if not held.differs_from(name):
        groups = (name.alphabetic, name.ideographic, name.phonetic)
        stated |= zip(NAME_GROUPS, groups, strict=True)
    return {
        field: value for field, value in stated.items() if value and not getattr(patient, field)
    }


def _records_of(whose: Whose, department_id: UUID) -> list[Patient]:
    """A department's records that stand for an ID, the first one first: the merged ones' roots."""
    if whose.is_issuer_open:
        rows = Patient.objects.holding_any(mrn=whose.patient_id, department_id=department_id)
        issuer = _issuer_for(whose, department_id)
        found = [row for row in rows if issuer and row.issuer == issuer] or list(rows)
    else:
        found = list(
            Patient.objects.holding(
                mrn=whose.patient_id, issuer=whose.issuer, department_id=department_id
            )
        )
    roots = dict.fromkeys(root_of(patient) for patient in found)
    return [root for root in roots if root in found or is_record_of(root, department_id)]


def _issuer_for(whose: Whose, department_id: UUID) -> str:
    """Who issued an ID: as stated, or else the department's default."""
    if not whose.is_issuer_open:
        return whose.issuer
    return Department.objects.values_list("default_issuer", flat=True).get(pk=department_id)


def is_record_of(patient: Patient, department_id: UUID) -> bool:
    """Tell whether a record is a department's, alone or with others."""
    is_own = patient.department_id == department_id
    return is_own or Patient.objects.of_department(department_id).filter(pk=patient.pk).exists()


def root_of(patient: Patient) -> Patient:
    """The record that holds the studies of a merged one."""
    while patient.merged_into is not None:
        patient = patient.merged_into
    return patient


def _contradicts(known: list[Patient], whose: Whose, *, is_same_study: bool) -> list[str]:
    differing = []
    if is_same_study and not any(_could_have_id(patient, whose) for patient in known):
        differing.append("patient ID")
    if all(patient.person_name.differs_from(whose.name) for patient in known):
        differing.append("name")
    births = {patient.birth_date for patient in known}
    if whose.birth_date and None not in births and whose.birth_date not in births:
        differing.append("birth date")
    return differing


def _could_have_id(patient: Patient, whose: Whose) -> bool:
    if not whose.patient_id or not patient.is_identified:
        return True
    is_same_issuer = not (patient.issuer and whose.issuer) or patient.issuer == whose.issuer
    return patient.mrn == whose.patient_id and is_same_issuer


def speaks_for(patient: Patient, whose: Whose) -> bool:
    """Tell whether name or birth date speak for a record, and not only not against it."""
    has_name = bool(patient.person_name and whose.name)
    return has_name or (whose.birth_date is not None and patient.birth_date == whose.birth_date)


def _is_accepted(study: Study, whose: Whose) -> bool:
    """Tell whether a person decided that files for `whose` belong to the study."""
    decided = IdentityConflict.objects.of_identity(study, whose.as_json())
    return decided.filter(
        decisions__reversed_at__isnull=True,
        decisions__resolution__in=(Resolution.MERGE, Resolution.CORRECT),
    ).exists()


def _identify(study: Study, whose: Whose, actor: User | None) -> Placement:
    temporary, trail = study.patient, IdentityTrail()
    trail.note(Study.objects.filter(pk=study.pk))
    placement = find_or_create_patient(
        whose,
        actor=actor,
        department_id=study.department_id,
        study_instance_uid=study.study_instance_uid,
    )
    study.patient = placement.patient
    study.save(update_fields=["patient"])
    record_identity_changes(actor=actor, changes=trail.changes(), action=Action.PATIENT_COMPLETED)
    if not (temporary.studies.exists() or temporary.conflicts_as_held.exists()):
        temporary.delete()
    return placement


def _temporary_patient(whose: Whose, place: Place) -> Patient:
    digest = hashlib.sha256(place.study_instance_uid.encode()).hexdigest()[:12].upper()
    new = Patient(mrn=f"TEMP-{digest}", issuer=TEMPORARY_ISSUER, is_identified=False)
    return _insert(new, whose, place.department_id)


def _insert(new: Patient, whose: Whose, department_id: UUID) -> Patient:
    new.person_name, new.birth_date, new.sex = whose.name, whose.birth_date, whose.sex
    new.department_id = department_id
    Patient.objects.bulk_create([new], ignore_conflicts=True)
    key = {"mrn": new.mrn, "issuer": new.issuer, "qualifier": new.qualifier}
    return Patient.objects.get(**key, department=department_id)


def _qualifier(whose: Whose, study_instance_uid: str) -> str:
    """The same for everybody who sends the same person, and telling nothing of that person."""
    stated = (*fold_words(str(whose.name)), str(whose.birth_date or ""))
    return stand_in_digest("|".join(stated) if any(stated) else study_instance_uid)


def stand_in_digest(person: str) -> str:
    """What stands for a person whose name must not be written; the same in every process."""
    digest = salted_hmac(
        "records.services.identity", person, settings.DIGEST_KEY, algorithm="sha256"
    )
    return digest.hexdigest()[:QUALIFIER_LENGTH]
