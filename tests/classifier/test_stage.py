"""What is below its release gate says so: beside its results, on every page and in the API.

The pages are those of the URL map. Whichever shows the label of a result has to show the badge.
"""

import html
import json
import re

import pytest
from django.http import HttpResponse
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.answers import Answer, FrameResult
from classifier.models import RESEARCH_SENTENCE, Classification
from classifier.services import runs
from classifier.services.requests import request_classifications
from classifier.services.reviews import review_classification
from tests import factories
from tests.test_access_matrix import RULES

WORDS = "Zebra sign"
"""What the label is called here: words that no page has for any other reason."""
BADGE = re.compile("chip-research|research-strip|research-word")
"""A chip beside a model, a strip at the top of a panel, a word in a row: wherever there is room."""
SHOWING = {
    "home",
    "records:study-detail",
    "classifier:worklist",
    "classifier:opinion",
    "classifier:patient-results",
    "classifier:model-list",
    "classifier:model-detail",
    "api-classification-list",
    "api-classification-detail",
    "api-model-version-list",
    "api-model-version-detail",
}
"""The addresses that show labels today, so that the walk can't come to nothing unnoticed."""


@pytest.fixture(params=["research", "released"])
def stage(request):
    return request.param


@pytest.fixture
def result(department, stage, reviewer):
    """A result that is superseded by another one, each of a version of that stage."""
    version = factories.make_model_version(stage=stage)
    manifest = json.loads(json.dumps(version.manifest))
    manifest["codes"]["pneumonia"]["meaning"] = WORDS
    type(version).objects.filter(pk=version.pk).update(manifest=manifest)
    version.refresh_from_db()
    study = factories.make_study(department=department)
    for _ in range(2):
        (row,) = request_classifications(actor=reviewer, study=study)
        claim = runs.claim_classification(worker="one")
        assert claim is not None
        runs.complete_classification(claim=claim, answer=answer_by(version, study))
    return Classification.objects.get(pk=row.pk)


def answer_by(version, study):
    frames = [
        FrameResult(
            instance_id=study.series.get().instances.get().pk,
            frame=1,
            probabilities={"normal": 0.1, "pneumonia": 0.9},
            activation_maps={"pneumonia": [[0.0, 1.0]]},
            is_deciding=True,
        )
    ]
    return Answer(
        model_version=version,
        outcome="finding",
        label="pneumonia",
        probabilities={"normal": 0.1, "pneumonia": 0.9},
        confidence="high",
        frames=frames,
    )


def addresses(row):
    """Every address that can be read, with what it needs to point at the result."""
    targets = {
        "": {},
        "study": {"pk": row.study_id},
        "patient": {"pk": row.study.patient_id},
        "instance": {"pk": row.study.series.get().instances.get().pk},
        "classification": {"pk": row.pk},
        "model": {"pk": row.model_version_id},
        "event": {"event_id": AuditEvent.objects.order_by("-id")[0].event_id},
    }
    return {
        name: reverse(name, kwargs=targets[target])
        for name, method, _, target in RULES
        if method == "get" and target in targets
    }


def body_of(response: HttpResponse) -> str:
    if response.streaming:
        return ""
    return html.unescape(response.content.decode(errors="replace"))


def is_marked(name: str, body: str) -> bool:
    return '"stage":"research"' in body if name.startswith("api-") else bool(BADGE.search(body))


def test_every_page_that_shows_a_label_shows_the_stage(client, department, result, stage):
    user = factories.make_user(Role.REVIEWER, Role.TECHNICIAN, department=department)
    for role in (Role.ADMINISTRATOR, Role.AUDITOR):
        user.memberships.create(role=role)
    client.force_login(user)
    shown = {}
    for name, address in addresses(result).items():
        body = body_of(client.get(address))
        if WORDS in body:
            shown[name] = is_marked(name, body)
    assert set(shown) == SHOWING
    assert set(shown.values()) == {stage == "research"}


@pytest.mark.parametrize("query", ["", "?as=row"])
def test_status_marks_the_row_and_the_answer(client, reviewer, result, stage, query):
    client.force_login(reviewer)
    body = body_of(client.get(reverse("classifier:status", args=[result.pk]) + query))
    assert bool(BADGE.search(body)) == (stage == "research" and bool(query))


def test_opinion_says_the_stage_once_at_its_top(client, reviewer, result, stage):
    client.force_login(reviewer)
    body = body_of(client.get(reverse("classifier:opinion", args=[result.pk])))
    is_research = stage == "research"
    assert len(BADGE.findall(body)) == body.count(RESEARCH_SENTENCE) == int(is_research)
    assert not is_research or body.index("research-strip") < body.index(WORDS)


def test_superseded_result_keeps_its_badge(client, reviewer, result, stage):
    client.force_login(reviewer)
    body = body_of(client.get(result.study.get_absolute_url()))
    earlier = body[body.index("<details") :]
    assert WORDS in earlier
    assert bool(BADGE.search(earlier)) == (stage == "research")


def test_decision_carries_no_badge_and_the_model_s_line_below_keeps_it(
    client, reviewer, result, stage
):
    client.force_login(reviewer)
    address = reverse("classifier:review-create", args=[result.pk])
    body = body_of(client.post(address, {"decision": "confirm"}))
    decision, model = body.split("Model: ", 1)
    assert f'Confirmed by <span class="strong">{reviewer}' in decision
    assert not BADGE.search(decision)
    assert bool(BADGE.search(model)) == (stage == "research")


def test_api_says_the_stage_and_the_sentence(client, reviewer, result, stage):
    review_classification(actor=reviewer, classification=result, decision="confirm")
    client.force_login(reviewer)
    row = client.get(reverse("api-classification-detail", args=[result.pk])).json()
    assert (row["stage"], row["review"]["stage"]) == (stage, stage)
    assert (RESEARCH_SENTENCE in row["notice"]) == (stage == "research")
    (listed,) = client.get(reverse("api-classification-review-list", args=[result.pk])).json()
    assert listed["stage"] == stage


def test_api_has_no_stage_while_there_is_no_answer(client, reviewer, queued):
    client.force_login(reviewer)
    row = client.get(reverse("api-classification-detail", args=[queued.pk])).json()
    assert (row["stage"], row["label_display"], row["label_code"]) == (None, None, None)


def test_audit_trail_and_its_export_keep_the_stage(client, reviewer, result, stage):
    review_classification(actor=reviewer, classification=result, decision="confirm")
    client.force_login(factories.make_user(Role.AUDITOR))
    response = client.post(reverse("accounts:audit-export"))
    lines = b"".join(response.streaming_content).decode().splitlines()
    kept = [line for line in lines if '""label"": ""pneumonia""' in line]
    assert len(kept) == 3
    assert all(f'""stage"": ""{stage}""' in line for line in kept)
