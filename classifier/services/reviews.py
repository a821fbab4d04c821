"""A person's decision."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts.audit import current_context, record_event
from accounts.errors import NotYourDepartment
from accounts.models import User
from accounts.roles import Verb
from classifier import errors
from classifier.choices import Action, ClassificationState, Decision, OverrideReason
from classifier.models import Classification, Review, ReviewDraft
from classifier.models.reviews import COMMENT_MAXIMUM, OTHER_LABEL, REASONS_TO_CHOOSE
from records.errors import StudyGone
from records.models import Study

DONE = {
    Decision.CONFIRM: "confirmed this",
    Decision.OVERRIDE: "overrode this",
    Decision.UNINTERPRETABLE: "could not assess this",
}
STATE_AFTER = {
    Decision.CONFIRM: ClassificationState.CONFIRMED,
    Decision.OVERRIDE: ClassificationState.OVERRIDDEN,
    Decision.UNINTERPRETABLE: ClassificationState.UNINTERPRETABLE,
}


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

    What the person had drafted goes with it. Raises StudyGone, NotYourDepartment, AlreadyReviewed,
    Replaced, NotReviewable, NothingToConfirm, LabelRequired, LabelUnknown, LabelUnchanged,
    ReasonRequired, CommentRequired, CommentTooLong.
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
        raise _refusal(row, actor)
    label = _label_decided(row, decision=Decision(decision), label=label)
    reason = _reason_given(row, Decision(decision), reason=reason)
    _check_comment(label=label, reason=reason, comment=comment)
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
    ReviewDraft.objects.filter(classification=row, person=actor).delete()
    record_event(
        action=Action.REVIEW_CREATED,
        actor=actor,
        target=row,
        study=row.study,
        details={
            "decision": review.decision,
            "label": review.label,
            "label_display": review.label_display,
            "outcome": row.outcome,
            "model_label": row.label,
            "model_label_display": row.label_display,
            "model_suspected_label": row.suspected_label,
            "stage": row.model_version.stage if row.model_version else "",
            "reason": review.reason,
        },
    )
    return review


def is_repeated(
    *,
    actor: User,
    classification: Classification,
    decision: str,
    label: str,
    reason: str,
    comment: str,
) -> bool:
    """Tell whether this very decision is already signed by this very person: it was sent twice."""
    review = Review.objects.filter(classification=classification, reviewer=actor).first()
    if review is None or (review.decision, review.comment) != (decision, comment.strip()):
        return False
    if decision == Decision.CONFIRM:
        return True
    is_same_label = decision != Decision.OVERRIDE or review.label == label
    return is_same_label and review.reason in {reason, reason or OverrideReason.NO_MODEL_LABEL}


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


def _reason_given(row: Classification, decision: Decision, *, reason: str) -> str:
    """The reason to record; whoever overrules no label of the model's needs none of their own."""
    if decision == Decision.CONFIRM:
        return ""
    if decision == Decision.OVERRIDE and not row.may_be_confirmed and not reason:
        return OverrideReason.NO_MODEL_LABEL
    choices = [value for value, _ in REASONS_TO_CHOOSE]
    if reason not in choices:
        raise errors.ReasonRequired(choices=", ".join(choices))
    return reason


def _check_comment(*, label: str, reason: str, comment: str) -> None:
    if len(comment) > COMMENT_MAXIMUM:
        raise errors.CommentTooLong(length=len(comment), maximum=COMMENT_MAXIMUM)
    if (reason == OverrideReason.OTHER or label == OTHER_LABEL) and not comment.strip():
        raise errors.CommentRequired


def _refusal(row: Classification, actor: User) -> errors.NotReviewable:
    """Why there is nothing to decide on: somebody did, or another run came in between."""
    review = Review.objects.filter(classification=row).select_related("reviewer").first()
    if review is None:
        if row.state == ClassificationState.SUPERSEDED:
            return errors.Replaced()
        return errors.NotReviewable(state=row.get_state_display())
    is_own = review.reviewer_id == actor.pk
    is_stated = review.decision == Decision.OVERRIDE and not row.may_be_confirmed
    return errors.AlreadyReviewed(
        who="You" if is_own else str(review.reviewer),
        other="this second decision" if is_own else "yours",
        decided="decided this" if is_stated else DONE[Decision(review.decision)],
        at=_moment_in_words(review.created_at),
    )


def _moment_in_words(moment: dt.datetime) -> str:
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return f"at {local:%H:%M}"
    return f"on {local.day} {local:%b %Y} at {local:%H:%M}"
