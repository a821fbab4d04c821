"""A person's decision: what is recorded, what is refused."""

import pytest
from django.db import DatabaseError

from accounts.errors import NotYourDepartment
from accounts.models import AuditEvent
from accounts.roles import Role
from classifier import errors
from classifier.answers import Answer
from classifier.choices import Abstention, Action
from classifier.models import Review
from classifier.services import runs
from classifier.services.reviews import review_classification
from tests import factories
from tests.classifier.outcomes import OUTCOMES, answer_of


def decide(reviewer, row, **decision):
    return review_classification(actor=reviewer, classification=row, **decision)


def test_review_classification_confirms_and_audits_once(reviewer, answered):
    marker = AuditEvent.objects.order_by("-id").first().id
    review = decide(reviewer, answered, decision="confirm", comment=" agreed ")
    answered.refresh_from_db()
    assert (answered.state, review.label, review.comment) == ("confirmed", "pneumonia", "agreed")
    events = AuditEvent.objects.filter(id__gt=marker)
    assert [event.action for event in events] == [Action.REVIEW_CREATED]
    assert events[0].actor_id == reviewer.pk
    assert events[0].study_id == answered.study_id


def test_review_classification_overrides_without_altering_the_answer(reviewer, answered):
    review = decide(
        reviewer, answered, decision="override", label="normal", reason="false_positive"
    )
    answered.refresh_from_db()
    assert (answered.state, answered.label, review.label) == ("overridden", "pneumonia", "normal")


def test_review_classification_records_that_it_cannot_be_assessed(reviewer, answered):
    decide(reviewer, answered, decision="uninterpretable", reason="image_quality")
    answered.refresh_from_db()
    assert answered.state == "uninterpretable"


@pytest.mark.parametrize(
    ("decision", "error"),
    [
        ({"decision": "override", "reason": "other"}, errors.LabelRequired),
        (
            {"decision": "override", "label": "flu", "reason": "false_positive"},
            errors.LabelUnknown,
        ),
        (
            {"decision": "override", "label": "pneumonia", "reason": "false_positive"},
            errors.LabelUnchanged,
        ),
        ({"decision": "override", "label": "normal"}, errors.ReasonRequired),
        ({"decision": "uninterpretable"}, errors.ReasonRequired),
        (
            {"decision": "override", "label": "other", "reason": "other", "comment": " "},
            errors.CommentRequired,
        ),
        ({"decision": "confirm", "comment": "x" * 2001}, errors.CommentTooLong),
    ],
)
def test_review_classification_refuses_what_does_not_fit(reviewer, answered, decision, error):
    with pytest.raises(error):
        decide(reviewer, answered, **decision)
    answered.refresh_from_db()
    assert answered.state == "awaiting_review"
    assert not Review.objects.exists()


def test_review_classification_refuses_a_second_decision(reviewer, answered):
    decide(reviewer, answered, decision="confirm")
    with pytest.raises(errors.NotReviewable):
        decide(reviewer, answered, decision="uninterpretable", reason="image_quality")


def test_review_classification_refuses_a_reviewer_of_another_department(answered):
    stranger = factories.make_user(Role.REVIEWER)
    with pytest.raises(NotYourDepartment):
        decide(stranger, answered, decision="confirm")


def test_review_classification_refuses_a_technician(technician, answered):
    with pytest.raises(NotYourDepartment):
        decide(technician, answered, decision="confirm")


def test_review_classification_has_nothing_to_confirm_when_the_model_abstained(
    reviewer, claim, answer, queued
):
    abstained = Answer(abstention=Abstention.WRONG_VIEW, abstention_reason="Lateral view")
    runs.complete_classification(claim=claim, answer=abstained)
    with pytest.raises(errors.NothingToConfirm):
        decide(reviewer, queued, decision="confirm")
    decide(reviewer, queued, decision="override", label="other", reason="other", comment="Fracture")


@pytest.mark.parametrize("outcome", ["indeterminate", "below_operating_point"])
def test_review_classification_wants_a_label_where_the_model_gave_none(
    reviewer, claim, answer, queued, outcome
):
    runs.complete_classification(claim=claim, answer=answer_of(answer, outcome))
    with pytest.raises(errors.LabelRequired):
        decide(reviewer, queued, decision="confirm")
    assert not Review.objects.exists()
    suspected = OUTCOMES[outcome]["suspected_label"]
    review = decide(reviewer, queued, decision="override", label=suspected)
    assert (review.label, review.reason) == (suspected, "no_model_label")


def test_review_classification_has_no_reason_of_its_own_where_the_model_gave_a_label(
    reviewer, answered
):
    with pytest.raises(errors.ReasonRequired):
        decide(reviewer, answered, decision="override", label="normal", reason="no_model_label")


def test_database_refuses_to_change_a_review(reviewer, answered):
    review = decide(reviewer, answered, decision="confirm")
    with pytest.raises(DatabaseError, match="permission denied"):
        Review.objects.filter(pk=review.pk).update(comment="changed")
