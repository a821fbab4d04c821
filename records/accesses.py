"""What pages, the API and DICOMweb note in the audit trail when somebody sees patients' data."""

from collections.abc import Iterable, Sequence
from typing import Any

from accounts.actions import AuditAction
from accounts.audit import record_access, record_accesses, record_event
from accounts.deliveries import begin_tallied
from accounts.models import User
from accounts.texts import search_terms
from records.choices import Action
from records.models import Export, IdentityConflict, Patient, QuarantinedFile, Study, Submission


def record_list_read(
    *,
    actor: User | None,
    action: AuditAction,
    place: str,
    rows: Sequence[Any],
    filters: dict[str, str] | None = None,
    searched: Iterable[str] = (),
    is_continued: bool = False,
    study: Study | None = None,
) -> None:
    """Note that somebody read a list or a part of it: each time, how many rows it showed.

    Never what was typed, which may be a name: of `searched` the trail keeps hashes. A list that
    is about one study or one patient names it.
    """
    of_study = study or _only_study(rows)
    record_event(
        action=action,
        actor=actor,
        target_id=place,
        study=of_study,
        patient_id=None if of_study else _only_patient(rows),
        details={"filters": filters or {}, "count": len(rows), "continued": is_continued},
        searched=search_terms(searched),
    )


def record_picture(user: User, picture: bytes, study: Study) -> None:
    """Note that one picture of a study leaves."""
    begin_tallied(action=Action.IMAGE_VIEWED, actor=user, study=study, frames=1, size=len(picture))


def record_export_view(user: User, export: Export) -> None:
    """Note that somebody saw which studies a copy is of, and how far it has come."""
    record_accesses(
        action=Action.EXPORT_VIEWED, actor=user, target=export, studies=export.studies.all()
    )


def record_submission_view(user: User, submission: Submission) -> None:
    """Note that somebody saw what was sent: names of files, and what became of them."""
    record_accesses(
        action=Action.SUBMISSION_VIEWED,
        actor=user,
        target=submission,
        studies=Study.objects.filter(pk__in=submission.files.values("study")),
    )


def record_held_view(user: User, conflict: IdentityConflict) -> None:
    """Note that somebody saw the held record, where it is another than the study's."""
    held = conflict.held_patient
    if held.pk != conflict.study.patient_id:
        record_access(action=Action.PATIENT_VIEWED, actor=user, target=held, patient_id=held.pk)


def record_quarantine_view(user: User, file: QuarantinedFile) -> None:
    """Note that somebody saw a file's identifiers."""
    record_access(
        action=Action.QUARANTINE_VIEWED,
        actor=user,
        target=file,
        study=file.study,
        department_id=file.submission.department_id,
    )


def _only_study(rows: Sequence[Any]) -> Study | None:
    ids = {_study_id(row) for row in rows}
    if len(ids) != 1 or ids == {None}:
        return None
    row = rows[0]
    found: Study = row if isinstance(row, Study) else getattr(row, "series", row).study
    return found


def _study_id(row: Any) -> Any:
    if isinstance(row, Study):
        return row.pk
    return getattr(getattr(row, "series", row), "study_id", None)


def _only_patient(rows: Sequence[Any]) -> Any:
    ids = {row.pk if isinstance(row, Patient) else getattr(row, "patient_id", None) for row in rows}
    return ids.pop() if len(ids) == 1 else None
