"""What studies say of their patient before and after a change, in the trail of each of them."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from accounts.audit import prepare_event, record_events
from accounts.models import User
from accounts.sealing import seal_values
from records.choices import Action
from records.models import Patient, Study

Identity = dict[str, str]
"""What a record says of its patient, by what it is, in words."""


@dataclass(frozen=True, slots=True)
class IdentityChange:
    """A study that shows another patient, or another description of the same one."""

    study: Study
    before: Identity
    after: Identity
    is_moved: bool

    @property
    def changed(self) -> list[str]:
        """What of the description is another, in words."""
        return [words for words, value in self.after.items() if value != self.before[words]]


class IdentityTrail:
    """Notes what studies say of their patient, and what has become of that."""

    def __init__(self) -> None:
        """Begin with no study noted."""
        self._noted: dict[UUID, tuple[UUID, Identity]] = {}

    def note(self, studies: QuerySet[Study]) -> None:
        """Keep what studies say now; what was kept first stands."""
        for study in studies.select_related("patient"):
            self._noted.setdefault(study.pk, (study.patient_id, identity_of(study.patient)))

    def changes(self) -> list[IdentityChange]:
        """Those of the noted studies that say something else by now, or are another record's."""
        found = []
        rows = Study.objects.filter(pk__in=self._noted).select_related("patient").order_by("pk")
        for study in rows:
            patient_id, before = self._noted[study.pk]
            is_moved, after = study.patient_id != patient_id, identity_of(study.patient)
            if is_moved or after != before:
                found.append(IdentityChange(study, before, after, is_moved))
        return found


def identity_of(patient: Patient) -> Identity:
    """What a record says of its patient."""
    return {
        "patient ID": patient.mrn,
        "issuer": patient.issuer,
        "name": str(patient.person_name),
        "birth date": patient.birth_date.isoformat() if patient.birth_date else "",
        "sex": patient.sex,
    }


def record_identity_changes(
    *,
    actor: User | None,
    changes: list[IdentityChange],
    action: Action,
    moved: Action | None = None,
) -> None:
    """Append an event for each study, its values sealed; `moved` is the action of moved ones.

    A study that another record describes in the same words gets an event only if `moved` is given.
    """
    events = []
    for change in changes:
        if not change.changed and moved is None:
            continue
        values = {"before": change.before, "after": change.after}
        events.append(
            prepare_event(
                action=moved if moved and change.is_moved else action,
                actor=actor,
                target=change.study.patient,
                study=change.study,
                details={"changed": change.changed},
                sealed=seal_values(values),
            )
        )
    record_events(events)
