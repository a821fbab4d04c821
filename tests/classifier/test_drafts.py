"""Nothing typed into a review is lost: it is kept for its person alone until they sign."""

import datetime as dt
import html
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.choices import Action
from classifier.models import Classification, ReviewDraft
from classifier.services.requests import rerun_classification
from classifier.services.reviews import review_classification
from classifier.services.runs import sweep_classifications
from records.services import delete_study
from records.services.retention import apply_retention
from tests import factories

TYPED = {
    "decision": "override",
    "label": "normal",
    "reason": "false_positive",
    "comment": "Old scar,\nsee 2019 <film>",
}


@pytest.fixture
def second(department):
    return factories.make_user(Role.REVIEWER, department=department)


def url(name, row):
    return reverse(f"classifier:{name}", args=[row.pk])


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def opinion(user, row) -> str:
    return html.unescape(signed_in(user).get(url("opinion", row)).content.decode())


def test_draft_is_shown_again_after_leaving_and_signing_in_anew(reviewer, answered):
    saved = signed_in(reviewer).post(url("review-draft", answered), TYPED)
    assert re.fullmatch(r"Draft from \d\d:\d\d, not signed", saved.content.decode())
    page = opinion(reviewer, answered)
    assert "Old scar,\nsee 2019 <film>" in page.replace("\r", "")
    assert re.search(r'value="override"[^>]*checked', page)
    assert re.search(r'value="normal" selected', page)
    assert re.search(r'value="false_positive"[^>]*selected', page)
    assert "Draft from " in page


def test_draft_may_be_half_done_and_the_newest_counts(reviewer, answered):
    client = signed_in(reviewer)
    for comment in ("S", "See", "See 2019 "):
        client.post(url("review-draft", answered), {"comment": comment})
    assert ReviewDraft.objects.get().comment == "See 2019 "
    client.post(url("review-draft", answered), {"comment": ""})
    assert "Draft from" not in opinion(reviewer, answered)


def test_draft_is_nobody_else_s(reviewer, second, answered):
    signed_in(reviewer).post(url("review-draft", answered), TYPED)
    assert "Old scar" not in opinion(second, answered)
    study_page = signed_in(second).get(answered.study.get_absolute_url()).content.decode()
    assert "Old scar" not in study_page
    assert "began to write" not in study_page
    signed_in(second).post(url("review-draft", answered), {"comment": "mine"})
    assert {draft.comment for draft in ReviewDraft.objects.all()} == {TYPED["comment"], "mine"}


def test_trail_tells_once_that_a_draft_was_begun_and_nothing_of_it(reviewer, answered):
    client = signed_in(reviewer)
    for comment in ("Berger", "Berger has", "Berger has a scar"):
        client.post(url("review-draft", answered), {"comment": comment})
    event = AuditEvent.objects.get(action=Action.REVIEW_DRAFTED)
    assert (event.actor_id, event.target_id) == (reviewer.pk, str(answered.pk))
    assert "Berger" not in f"{event.details} {event.sentence}"


@pytest.mark.parametrize(
    ("entered", "status"),
    [({"comment": "x" * 2001}, 422), ({"label": "flu"}, 422), ({"decision": "sign it"}, 422)],
)
def test_draft_is_refused_when_no_review_could_hold_it(reviewer, answered, entered, status):
    answer = signed_in(reviewer).post(url("review-draft", answered), entered)
    assert answer.status_code == status
    assert not ReviewDraft.objects.exists()


def test_draft_is_refused_to_those_who_may_not_review_here(technician, department, answered):
    assert signed_in(technician).post(url("review-draft", answered), TYPED).status_code == 403
    stranger = factories.make_user(Role.REVIEWER)
    assert signed_in(stranger).post(url("review-draft", answered), TYPED).status_code == 404
    both = factories.make_user(Role.TECHNICIAN, department=department)
    both.memberships.create(role=Role.REVIEWER, department=factories.make_department())
    assert signed_in(both).post(url("review-draft", answered), TYPED).status_code == 403
    delete_study(actor=None, study=answered.study, reason="Sent by mistake")
    assert signed_in(both).post(url("review-draft", answered), TYPED).status_code == 404
    assert not ReviewDraft.objects.exists()


@pytest.mark.parametrize("door", ["page", "api"])
def test_draft_goes_when_its_person_signs_by_whatever_door(reviewer, second, answered, door):
    for user in (reviewer, second):
        signed_in(user).post(url("review-draft", answered), TYPED)
    client = signed_in(reviewer)
    if door == "page":
        client.post(url("review-create", answered), {"decision": "confirm"})
    else:
        address = reverse("api-classification-review-list", args=[answered.pk])
        answer = client.post(address, {"decision": "confirm"}, content_type="application/json")
        assert answer.status_code == 201
    assert [draft.person for draft in ReviewDraft.objects.all()] == [second]


def test_draft_goes_on_to_the_run_that_replaces_the_one_it_was_about(reviewer, answered):
    client = signed_in(reviewer)
    client.post(url("review-draft", answered), TYPED)
    newer = rerun_classification(actor=reviewer, classification=answered)
    assert ReviewDraft.objects.get().classification == newer
    client.post(url("review-draft", answered), {**TYPED, "comment": "typed into the old page"})
    draft = ReviewDraft.objects.get()
    assert (draft.classification, draft.comment) == (newer, "typed into the old page")
    refused = client.post(url("review-create", answered), TYPED)
    assert refused.status_code == 409
    words = html.unescape(refused.content.decode())
    assert "A newer run stands in its place; yours was not saved." in words
    assert "Old scar" in words
    assert ReviewDraft.objects.get().comment == TYPED["comment"]


def test_draft_is_destroyed_with_its_study_and_not_before(reviewer, answered, settings):
    signed_in(reviewer).post(url("review-draft", answered), TYPED)
    study = delete_study(actor=None, study=answered.study, reason="Sent by mistake")
    sweep_classifications()
    assert ReviewDraft.objects.exists()
    study.deleted_at = timezone.now() - settings.RETENTION_DELETED - dt.timedelta(days=1)
    study.save()
    apply_retention()
    sweep_classifications()
    assert not ReviewDraft.objects.exists()


def test_second_decision_is_told_who_was_first_and_gives_the_text_back(reviewer, second, answered):
    review = review_classification(actor=reviewer, classification=answered, decision="confirm")
    late = {"decision": "uninterpretable", "reason": "image_quality", "comment": "Second opinion"}
    answer = signed_in(second).post(url("review-create", answered), late)
    at = timezone.localtime(review.created_at).strftime("%H:%M")
    assert answer.status_code == 409
    for page in (html.unescape(answer.content.decode()), opinion(second, answered)):
        assert "Second opinion</textarea>" in page
        assert "Cannot assess" in page
        assert "data-copy" in page
        assert f'Confirmed by <span class="strong">{reviewer}' in page
    told = html.unescape(answer.content.decode())
    assert f"{reviewer} confirmed this at {at}; yours was not saved." in told
    assert Classification.objects.get(pk=answered.pk).review == review
    discarded = signed_in(second).post(url("review-draft", answered), {})
    assert discarded.status_code == 200
    assert "Second opinion" not in opinion(second, answered)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ({"decision": "override", "label": "normal", "reason": "false_positive"}, "overrode"),
        ({"decision": "uninterpretable", "reason": "image_quality"}, "could not assess this"),
    ],
)
def test_second_decision_is_told_which_the_first_was_by_page_and_api(
    reviewer, second, answered, first, words
):
    review_classification(actor=reviewer, classification=answered, **first)
    client = signed_in(second)
    page = client.post(url("review-create", answered), {"decision": "confirm", "comment": "Mine"})
    assert f"{reviewer} {words}" in html.unescape(page.content.decode())
    address = reverse("api-classification-review-list", args=[answered.pk])
    problem = client.post(address, {"decision": "confirm"}, content_type="application/json")
    assert (problem.status_code, problem.json()["code"]) == (409, "already_reviewed")
    assert f"{reviewer} {words}" in problem.json()["detail"]


def test_the_same_decision_sent_twice_is_one_and_no_refusal(reviewer, answered):
    client = signed_in(reviewer)
    answers = [client.post(url("review-create", answered), TYPED) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "not saved" not in answers[1].content.decode()
    other = client.post(url("review-create", answered), {"decision": "confirm"})
    assert other.status_code == 409
    assert "You overrode this at" in html.unescape(other.content.decode())
