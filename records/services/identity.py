"""Whose an image is: what the file says, what was declared, and what is already held."""

import datetime as dt
import hashlib
from dataclasses import dataclass

from django.db.models import Q

from records.errors import PatientConflict, StudyPatientMismatch
from records.intake.declared import DeclaredFields
from records.intake.header import DicomHeader
from records.models import Patient, Study

TEMPORARY_ISSUER = "medimaging"


@dataclass(frozen=True, slots=True)
class Whose:
    """The patient that an object is to be filed under; no `patient_id` where nobody says."""

    patient_id: str
    issuer: str
    name: str
    birth_date: dt.date | None
    sex: str
    ignored_patient_id: str = ""


def whose_is(header: DicomHeader, declared: DeclaredFields) -> Whose:
    """Put together header and declaration: the header wins, the declaration fills gaps.

    A declaration for another patient ID fills nothing: it speaks of somebody else.
    """
    said = header.patient
    if said.patient_id and declared.patient_id and said.patient_id != declared.patient_id:
        return Whose(
            said.patient_id,
            said.issuer,
            said.name,
            said.birth_date,
            said.sex,
            ignored_patient_id=declared.patient_id,
        )
    return Whose(
        patient_id=said.patient_id or declared.patient_id,
        issuer=said.issuer or declared.issuer,
        name=said.name or declared.patient_name,
        birth_date=said.birth_date or declared.birth_date,
        sex=said.sex or declared.sex,
    )


def find_or_create_patient(whose: Whose, *, study_instance_uid: str) -> Patient:
    """Return the record for a patient, a temporary one where the ID is missing.

    Raises PatientConflict when the record has another name or birth date. Gaps in the
    record are filled. Two senders at once get the same row.
    """
    identity = _record_key(whose, study_instance_uid)
    new = Patient(
        **identity,
        name=whose.name,
        birth_date=whose.birth_date,
        sex=whose.sex,
        is_identified=bool(whose.patient_id),
    )
    Patient.objects.bulk_create([new], ignore_conflicts=True)
    patient = Patient.objects.get(**identity)
    _check_same_person(patient, whose)
    _fill_gaps(patient, whose)
    return patient


def settle_patient(study: Study, whose: Whose) -> None:
    """Check that an object belongs under its study's patient; raises StudyPatientMismatch.

    A study that nobody was named for takes the patient of the first file that names one,
    so that it doesn't matter in which order files arrive. The caller holds the lock.
    """
    if not whose.patient_id:
        return
    held = study.patient
    if not held.is_identified:
        _identify(study, whose)
    elif held.mrn != whose.patient_id or (
        held.issuer and whose.issuer and held.issuer != whose.issuer
    ):
        raise StudyPatientMismatch
    else:
        _check_same_person(held, whose)
        _fill_gaps(held, whose)


def _identify(study: Study, whose: Whose) -> None:
    temporary = study.patient
    study.patient = find_or_create_patient(whose, study_instance_uid=study.study_instance_uid)
    study.save(update_fields=["patient"])
    if not temporary.studies.exists():
        temporary.delete()


def _record_key(whose: Whose, study_instance_uid: str) -> dict[str, str]:
    if whose.patient_id:
        return {"mrn": whose.patient_id, "issuer": whose.issuer}
    digest = hashlib.sha256(study_instance_uid.encode()).hexdigest()[:12].upper()
    return {"mrn": f"TEMP-{digest}", "issuer": TEMPORARY_ISSUER}


def _check_same_person(patient: Patient, whose: Whose) -> None:
    differing = []
    if not _is_same_name(patient.name, whose.name):
        differing.append("name")
    if patient.birth_date and whose.birth_date and patient.birth_date != whose.birth_date:
        differing.append("birth date")
    if differing:
        raise PatientConflict(patient_id=patient.mrn, differing=" and ".join(differing))


def _is_same_name(one: str, other: str) -> bool:
    """Compare family and given name; what either leaves out doesn't differ."""
    pairs = zip(_name_parts(one), _name_parts(other), strict=True)
    return all(a == b for a, b in pairs if a and b)


def _name_parts(name: str) -> tuple[str, str]:
    family, _, rest = name.partition("^")
    given = rest.partition("^")[0]
    return " ".join(family.casefold().split()), " ".join(given.casefold().split())


def _fill_gaps(patient: Patient, whose: Whose) -> None:
    stated = {"name": whose.name, "birth_date": whose.birth_date, "sex": whose.sex}
    for field, value in stated.items():
        if value and not getattr(patient, field):
            empty = Q(**{f"{field}__isnull": True}) if field == "birth_date" else Q(**{field: ""})
            Patient.objects.filter(empty, pk=patient.pk).update(**{field: value})
