"""Two people who are taken for one, the decision about them, and all that it may change."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from records.choices import Resolution
from records.models import (
    IdentityConflict,
    Instance,
    Patient,
    QuarantinedFile,
    Study,
    SubmissionFile,
)
from records.services import resolve_conflict

OTHER = {"PatientName": "Beispiel^Max", "PatientBirthDate": "19790228"}
REASON = "Compared with the request"

SendOne = Callable[..., SubmissionFile]


def decide(actor: User, conflict: IdentityConflict, resolution: str, **how: Any) -> Any:
    return resolve_conflict(
        actor=actor, conflict=conflict, resolution=Resolution(resolution), reason=REASON, **how
    )


def picture() -> dict[str, Any]:
    """Everything that a decision may change and a reversal has to bring back."""
    patient_fields = ("mrn", "issuer", "qualifier", "name", "search_name", "birth_date")
    return {
        "patients": list(
            Patient.objects.values_list("pk", *patient_fields, "merged_into").order_by("pk")
        ),
        "studies": list(
            Study.objects.values_list(
                "pk", "patient", "is_in_question", "instance_count", "modalities", "state"
            ).order_by("pk")
        ),
        "instances": set(Instance.objects.values_list("sop_instance_uid", "series__study")),
        "files": list(QuarantinedFile.objects.values_list("pk", "state", "file").order_by("pk")),
        "conflicts": list(IdentityConflict.objects.values_list("pk", "state").order_by("pk")),
    }
