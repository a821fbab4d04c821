"""A person's decision."""

from django.db import transaction

from accounts.audit import current_context, record_event
from accounts.errors import NotYourDepartment
from accounts.models import Action, User
from accounts.roles import Verb
from classifier import errors
from classifier.models import (
    Classification,
    ClassificationState,
    Decision,
    OverrideReason,
    Review,
)
from classifier.models.reviews import OTHER_LABEL, REASONS_TO_CHOOSE
from records.errors import StudyGone
from records.models import Study

STATE_AFTER = {
    Decision.CONFIRM: ClassificationState.CONFIRMED,
    Decision.OVERRIDE: ClassificationState.OVERRIDDEN,
    Decision.UNINTERPRETABLE: ClassificationState.UNINTERPRETABLE,
}
COMMENT_MAXIMUM = 2000


@transaction.atomic
def review_classification(
    *,
    actor: User,
    classification: Classification,
    decision: str,
    label: str = "",
    reason: str = "",
    comment: str = "",
) -> Review:
    """Record one decision for good; the network's own answer stays as it was.

    Raises StudyGone, NotYourDepartment, NotReviewable, NothingToConfirm, LabelRequired,
    LabelUnknown, LabelUnchanged, ReasonRequired, CommentRequired, CommentTooLong.
    """
    study = Study.objects.select_for_update(no_key=True).get(pk=classification.study_id)
    if study.deleted_at is not None:
        raise StudyGone
    row = (
        Classification.objects.select_for_update(of=("self",))
        .select_related("study", "model_version")
        .get(pk=classification.pk)
    )
    if not actor.has_verb_in(Verb.REVIEW_CREATE, row.study.department_id):
        raise NotYourDepartment
    if not row.is_reviewable:
        raise errors.NotReviewable(state=row.get_state_display())
    label = _label_decided(row, decision=Decision(decision), label=label)
    reason = _reason_given(row, Decision(decision), reason=reason, comment=comment)
    review = Review.objects.create(
        classification=row,
        reviewer=actor,
        responsible=current_context().responsible,
        decision=decision,
        label=label,
        reason=reason,
        comment=comment.strip(),
    )
    row.state = STATE_AFTER[Decision(decision)]
    row.save(update_fields=["state"])
    record_event(
        action=Action.REVIEW_CREATED,
        actor=actor,
        target=row,
        study=row.study,
        details={
            "decision": review.decision,
            "label": review.label,
            "outcome": row.outcome,
            "model_label": row.label,
            "model_suspected_label": row.suspected_label,
            "stage": row.model_version.stage if row.model_version else "",
            "reason": review.reason,
        },
    )
    return review


def labels_for_review(row: Classification) -> list[tuple[str, str]]:
    """The findings a person may name: the model's labels, and one outside them."""
    version = row.model_version
    choices = [(name, version.display_of(name)) for name in version.labels] if version else []
    return [*choices, (OTHER_LABEL, "Another finding (in the comment)")]


def _label_decided(row: Classification, *, decision: Decision, label: str) -> str:
    if decision == Decision.UNINTERPRETABLE:
        return ""
    if decision == Decision.CONFIRM:
        if row.state == ClassificationState.ABSTAINED:
            raise errors.NothingToConfirm
        if not row.may_be_confirmed:
            raise errors.LabelRequired
        return row.label
    choices = [name for name, _ in labels_for_review(row)]
    if not label:
        raise errors.LabelRequired
    if label not in choices:
        raise errors.LabelUnknown(label=label, choices=", ".join(choices))
    if label == row.label:
        raise errors.LabelUnchanged
    return label


def _reason_given(row: Classification, decision: Decision, *, reason: str, comment: str) -> str:
    """The reason to record; whoever overrules no label of the model's needs none of their own."""
    if len(comment) > COMMENT_MAXIMUM:
        raise errors.CommentTooLong(length=len(comment), maximum=COMMENT_MAXIMUM)
    if decision == Decision.CONFIRM:
        return ""
    if decision == Decision.OVERRIDE and not row.may_be_confirmed and not reason:
        return OverrideReason.NO_MODEL_LABEL
    choices = [value for value, _ in REASONS_TO_CHOOSE]
    if reason not in choices:
        raise errors.ReasonRequired(choices=", ".join(choices))
    if reason == OverrideReason.OTHER and not comment.strip():
        raise errors.CommentRequired
    return reason
