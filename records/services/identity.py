"""Whose an image is: what the file says, what was declared, and what is already held."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings
from django.db.models import Q
from django.utils.crypto import salted_hmac

from records.errors import StudyPatientMismatch
from records.intake.declared import DeclaredFields
from records.intake.header import DicomHeader
from records.models import NAME_FIELDS, IdentityConflict, Patient, Resolution, Study
from records.names import PersonName, fold_words

TEMPORARY_ISSUER = "medimaging"
QUALIFIER_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Whose:
    """The patient that an object is to be filed under; no `patient_id` where nobody says."""

    patient_id: str
    issuer: str
    name: PersonName
    birth_date: dt.date | None
    sex: str
    ignored_patient_id: str = ""

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
class Placement:
    """The record that an object goes under, and the one that it contradicts, if it does."""

    patient: Patient
    contradicted: Patient | None = None
    differing: tuple[str, ...] = ()


def whose_is(header: DicomHeader, declared: DeclaredFields) -> Whose:
    """Put together header and declaration: the header wins, the declaration fills gaps.

    A declaration for another patient ID fills nothing: it speaks of somebody else.
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


def find_or_create_patient(whose: Whose, *, study_instance_uid: str) -> Placement:
    """Return the record for a patient, a temporary one where the ID is missing.

    Where the ID is held for another person, or for several of whom this could be either, the
    record is one of its own, and the placement says whom it contradicts. Gaps in the record
    are filled. Two senders at once get the same row.
    """
    if not whose.patient_id:
        return Placement(_temporary_patient(study_instance_uid, whose))
    match, others = find_patient(whose)
    if match is None and not others:
        # Checked even when it is new: another sender may have made it in the meantime.
        made = make_patient(whose, is_apart=False, study_instance_uid=study_instance_uid)
        match, others = (None, [made]) if differing_fields(made, whose) else (made, [])
    if match is not None:
        fill_gaps(match, whose)
        return Placement(match)
    apart = make_patient(whose, is_apart=True, study_instance_uid=study_instance_uid)
    return Placement(apart, others[0], tuple(differing_fields(others[0], whose)))


def find_patient(whose: Whose) -> tuple[Patient | None, list[Patient]]:
    """Return the one record that `whose` speaks of, or else all that hold the ID, the first first.

    Where several could be meant, those count of which name or birth date say so.
    """
    roots = _records_of(whose)
    matching = [root for root in roots if not differing_fields(root, whose)]
    if len(matching) > 1:
        matching = [root for root in matching if _agrees(root, whose)]
    return (matching[0], []) if len(matching) == 1 else (None, roots)


def make_patient(whose: Whose, *, is_apart: bool, study_instance_uid: str) -> Patient:
    """Return a record for an ID, made unless another sender was quicker.

    `is_apart` makes it one of its own beside the record that holds the ID already.
    """
    qualifier = _qualifier(whose, study_instance_uid) if is_apart else ""
    return _insert(Patient(mrn=whose.patient_id, issuer=whose.issuer, qualifier=qualifier), whose)


def settle_patient(study: Study, whose: Whose) -> Placement | None:
    """Check that an object belongs under its study's patient; raises StudyPatientMismatch.

    A study whose files gave no patient ID takes the patient of the first file that gives one,
    so that it doesn't matter in which order files arrive; the placement says which. Without an
    ID, name and birth date must not contradict all the same. The caller holds the lock.
    """
    differing = differing_fields(study.patient, whose, is_same_study=True)
    if differing and not _is_accepted(study, whose):
        raise StudyPatientMismatch(study=study, whose=whose, differing=differing)
    if whose.patient_id and not study.patient.is_identified:
        return _identify(study, whose)
    if not differing:
        fill_gaps(study.patient, whose)
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


def fill_gaps(patient: Patient, whose: Whose) -> None:
    """Note what a record doesn't say yet; what it says stays."""
    stated: dict[str, Any] = {"birth_date": whose.birth_date, "sex": whose.sex}
    for field, value in stated.items():
        if value and not getattr(patient, field):
            empty = Q(**{f"{field}__isnull": True}) if field == "birth_date" else Q(**{field: ""})
            Patient.objects.filter(empty, pk=patient.pk).update(**{field: value})
    _fill_names(patient, whose.name)


def _fill_names(patient: Patient, name: PersonName) -> None:
    held = patient.person_name
    fuller = PersonName(
        held.alphabetic or name.alphabetic,
        held.ideographic or name.ideographic,
        held.phonetic or name.phonetic,
    )
    if fuller == held or held.differs_from(name):
        return
    locked = Patient.objects.select_for_update(no_key=True).get(pk=patient.pk)
    if locked.person_name == held:
        patient.person_name = fuller
        patient.save(update_fields=NAME_FIELDS)


def _records_of(whose: Whose) -> list[Patient]:
    """The records that stand for an ID, the first one first: what they were merged into."""
    found = Patient.objects.holding(mrn=whose.patient_id, issuer=whose.issuer)
    return list(dict.fromkeys(root_of(patient) for patient in found))


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


def _agrees(patient: Patient, whose: Whose) -> bool:
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


def _identify(study: Study, whose: Whose) -> Placement:
    temporary = study.patient
    placement = find_or_create_patient(whose, study_instance_uid=study.study_instance_uid)
    study.patient = placement.patient
    study.save(update_fields=["patient"])
    if not (temporary.studies.exists() or temporary.conflicts_as_held.exists()):
        temporary.delete()
    return placement


def _temporary_patient(study_instance_uid: str, whose: Whose) -> Patient:
    digest = hashlib.sha256(study_instance_uid.encode()).hexdigest()[:12].upper()
    new = Patient(mrn=f"TEMP-{digest}", issuer=TEMPORARY_ISSUER, is_identified=False)
    return _insert(new, whose)


def _insert(new: Patient, whose: Whose) -> Patient:
    new.person_name, new.birth_date, new.sex = whose.name, whose.birth_date, whose.sex
    Patient.objects.bulk_create([new], ignore_conflicts=True)
    key = {"mrn": new.mrn, "issuer": new.issuer, "qualifier": new.qualifier}
    return Patient.objects.get(**key)


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
