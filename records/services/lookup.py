"""Who is known under a patient ID, told before anything is sent."""

from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from accounts.roles import Verb
from records.dicom.names import PersonName
from records.dicom.reading.declared import DeclaredFields, check_declared
from records.models import Patient
from records.services.identity import Whose, differing_fields


@dataclass(frozen=True, slots=True)
class Known:
    """A patient that the asker may see, and what of the entered description contradicts them."""

    patient: Patient
    study_count: int
    differing: list[str]


def who_is(
    *, actor: User, declared: DeclaredFields, department_id: UUID | None = None
) -> list[Known]:
    """Return whom the actor sees under the declared patient ID, the first record first.

    With a department, those of whom that one has studies: theirs are the records that a file sent
    there is compared with. Of anybody else nothing is told. Raises InvalidField. The caller notes
    the search.
    """
    declared = check_declared(declared)
    is_seen = department_id is None or actor.has_verb_in(Verb.PATIENT_VIEW, department_id)
    if not (declared.patient_id and is_seen):
        return []
    rows = Patient.objects.visible_to(actor).with_counts(actor)
    rows = rows.filter(mrn=declared.patient_id, is_identified=True)
    if declared.issuer:
        rows = rows.filter(issuer=declared.issuer)
    if department_id is not None:
        rows = rows.of_department(department_id)
    whose = Whose(
        patient_id=declared.patient_id,
        issuer=declared.issuer,
        name=PersonName.from_text(declared.patient_name),
        birth_date=declared.birth_date,
        sex=declared.sex,
    )
    found = rows.order_by("qualifier", "created_at", "pk")
    return [
        Known(row, row.study_count, differing_fields(row, whose))  # type: ignore[attr-defined]  # annotated
        for row in found
    ]
