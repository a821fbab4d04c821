"""Stating that a version was validated on a source of images, and taking that back."""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts.audit import record_event
from accounts.models import Department, User
from classifier.choices import Action, SourceKind
from classifier.errors import FiguresMissing, SourceRequired, SourceStated, ValidationWithdrawn
from classifier.models import ModelVersion, SourceValidation
from classifier.models.sources import FIGURES_LENGTH, SOURCE_LENGTH
from records.services.reasons import clean_reason


@transaction.atomic
def state_validation(
    *,
    actor: User,
    version: ModelVersion,
    kind: str,
    department: Department | None = None,
    value: str = "",
    figures: str,
    reason: str,
) -> SourceValidation:
    """Let a version for its own source only give labels to images of one more source.

    `figures` are what was measured there, or where that is written. Raises SourceRequired,
    SourceStated, FiguresMissing, ReasonMissing and ReasonTooLong.
    """
    reason, figures, value = clean_reason(reason), figures.strip(), " ".join(value.split())
    if not figures or len(figures) > FIGURES_LENGTH:
        raise FiguresMissing(maximum=FIGURES_LENGTH)
    is_department = kind == SourceKind.DEPARTMENT
    value, department = ("", department) if is_department else (value, None)
    if (department is None) == is_department or (not is_department and not value):
        raise SourceRequired
    if len(value) > SOURCE_LENGTH:
        raise SourceRequired
    locked = ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    same = SourceValidation.objects.standing().filter(model_version=locked, kind=kind)
    if same.filter(department=department, value=value).exists():
        raise SourceStated(version=str(locked))
    statement = SourceValidation.objects.create(
        model_version=locked,
        kind=kind,
        department=department,
        value=value,
        figures=figures,
        reason=reason,
        stated_by=actor,
    )
    statement.refresh_from_db(fields=["stated_at"])
    _record(Action.MODEL_SOURCE_VALIDATED, actor, statement, reason=reason, figures=figures)
    return statement


@transaction.atomic
def withdraw_validation(*, actor: User, statement: UUID, reason: str) -> SourceValidation:
    """Take a statement back: from now on the version gives no label to images of that source.

    Answers that were given stay. Raises ValidationWithdrawn, ReasonMissing and ReasonTooLong.
    """
    reason = clean_reason(reason)
    rows = SourceValidation.objects.select_for_update(of=("self",))
    row: SourceValidation = rows.select_related("model_version", "department").get(pk=statement)
    if not row.is_standing:
        raise ValidationWithdrawn
    row.withdrawn_at, row.withdrawn_by, row.withdrawal_reason = Now(), actor, reason
    row.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawal_reason"])
    row.refresh_from_db(fields=["withdrawn_at"])
    _record(Action.MODEL_SOURCE_WITHDRAWN, actor, row, reason=reason)
    return row


def _record(action: Action, actor: User, row: SourceValidation, **told: str) -> None:
    record_event(
        action=action,
        actor=actor,
        target=row.model_version,
        details={
            "statement": str(row.pk),
            "task": row.model_version.task,
            "version": row.model_version.version,
            "model_digest": row.model_version.digest,
            "kind": row.kind,
            "source": row.source,
            **told,
        },
    )
