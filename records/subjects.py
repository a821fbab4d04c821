"""Patients and studies as the audit trail is asked about them: by patient ID, accession, UID."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Q

from accounts.subjects import Subject
from records.models import Patient, Study


def find_subjects(text: str) -> Iterable[Subject]:
    """What departments have under exactly this patient ID, accession number or Study UID.

    A patient's events are those of the record and of every study that is now in it. Deleted and
    destroyed studies count: their events outlive them.
    """
    yield from _find_patients(text)
    yield from _find_studies(text)


def _find_patients(mrn: str) -> Iterable[Subject]:
    patients = list(Patient.objects.filter(mrn=mrn).select_related("department").order_by("pk"))
    studies = defaultdict(list)
    rows = Study.objects.filter(patient__in=patients).values_list("patient_id", "pk")
    for patient_id, pk in rows:
        studies[patient_id].append(pk)
    for patient in patients:
        issuer = f" of {patient.issuer}" if patient.issuer else ""
        where = patient.department.name if patient.department else "several departments"
        yield Subject(
            words=f"Patient {patient.mrn}{issuer}, {where}",
            patients=(patient.pk,),
            studies=tuple(studies[patient.pk]),
        )


def _find_studies(text: str) -> Iterable[Subject]:
    wanted = Q(accession_number=text) | Q(study_instance_uid=text)
    for study in Study.objects.filter(wanted).select_related("department").order_by("pk"):
        by = "accession number" if study.accession_number == text else "Study Instance UID"
        yield Subject(words=f"Study with {by} {text}, {study.department.name}", studies=(study.pk,))
