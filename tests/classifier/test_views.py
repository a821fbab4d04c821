"""The pages of the workflow by URL: what is drawn, what is refused, what is recorded."""

import dataclasses

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.answers import Answer
from classifier.choices import Abstention, Action
from classifier.models import Classification, Deployment
from classifier.services import runs
from classifier.services.requests import request_classifications
from classifier.services.versions import register_bundles
from records.choices import Action as RecordsAction
from tests import factories
from tests.classifier.bundles import copy_chest

SUPPORT = "A person decides"


@pytest.fixture
def as_reviewer(client: Client, reviewer):
    client.force_login(reviewer)
    return client


def url(name, *args):
    return reverse(f"classifier:{name}", args=args)


def test_status_keeps_asking_while_it_runs_and_stops_when_it_has_ended(
    as_reviewer, claim, answered
):
    ended = as_reviewer.get(url("status", answered.pk)).content.decode()
    assert "every 2s" not in ended
    assert url("opinion", answered.pk) in ended


def test_status_asks_again_every_two_seconds_while_queued(as_reviewer, queued):
    page = as_reviewer.get(url("status", queued.pk)).content.decode()
    assert "every 2s" in page
    assert "Queued" in page


def test_opinion_shows_label_limits_support_sentence_and_is_recorded(as_reviewer, answered):
    page = as_reviewer.get(url("opinion", answered.pk)).content.decode()
    assert "Pneumonia" in page
    assert "0.92" in page
    assert "Made from the images of one hospital." in page
    assert SUPPORT in page
    assert AuditEvent.objects.filter(
        action=Action.CLASSIFICATION_VIEWED, target_id=str(answered.pk)
    ).exists()


def test_opinion_offers_no_form_when_the_role_does_not_review(client, technician, answered):
    client.force_login(technician)
    page = client.get(url("opinion", answered.pk)).content.decode()
    assert url("review-create", answered.pk) not in page


def test_opinion_says_what_to_do_when_it_failed(as_reviewer, queued):
    Classification.objects.filter(pk=queued.pk).update(
        state="failed",
        failure_code="image_truncated",
        failure_message="Cut short.",
        failure_action="Send it again.",
    )
    page = as_reviewer.get(url("opinion", queued.pk)).content.decode()
    assert "Cut short." in page
    assert "Send it again." in page


def test_review_create_records_the_override(as_reviewer, answered):
    response = as_reviewer.post(
        url("review-create", answered.pk),
        {"decision": "override", "label": "normal", "reason": "false_positive", "comment": ""},
    )
    assert response.status_code == 200
    assert "Overridden by" in response.content.decode()
    answered.refresh_from_db()
    assert answered.review.label == "normal"


@pytest.mark.parametrize(
    ("posted", "sentence"),
    [
        ({"decision": "override", "reason": "false_positive"}, "needs your own finding"),
        ({"decision": "override", "label": "normal"}, "needs a reason"),
        ({"decision": ""}, "required"),
        ({"decision": "sign it"}, "valid choice"),
    ],
)
def test_review_create_answers_422_with_the_reason(as_reviewer, answered, posted, sentence):
    response = as_reviewer.post(url("review-create", answered.pk), posted)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    answered.refresh_from_db()
    assert answered.state == "awaiting_review"


def test_rerun_returns_to_the_study(client, technician, answered):
    client.force_login(technician)
    response = client.post(url("rerun", answered.pk))
    assert response.url == answered.study.get_absolute_url()
    assert answered.study.classifications.current().get().state == "queued"


def test_worklist_shows_urgent_first_then_the_oldest(as_reviewer, department, reviewer):
    names = ["Early^Routine", "Late^Routine", "Late^Urgent"]
    priorities = ["routine", "routine", "urgent"]
    for name, priority in zip(names, priorities, strict=True):
        study = factories.make_study(
            department=department,
            priority=priority,
            patient=factories.make_patient(name=name),
        )
        request_classifications(actor=reviewer, study=study)
    page = as_reviewer.get(url("worklist")).content.decode()
    places = [page.index(words) for words in ("Late, Urgent", "Early, Routine", "Late, Routine")]
    assert places == sorted(places)


def test_worklist_finds_by_patient_id_and_records_the_search_without_its_text(
    as_reviewer, answered, reviewer
):
    other = factories.make_study(
        department=answered.study.department, patient=factories.make_patient(name="Other^Person")
    )
    request_classifications(actor=reviewer, study=other)
    mrn = answered.study.patient.mrn
    page = as_reviewer.post(url("worklist"), {"q": mrn}, follow=True).content.decode()
    assert answered.study.patient.display_name in page
    assert "Other, Person" not in page
    event = AuditEvent.objects.get(action=RecordsAction.STUDIES_SEARCHED)
    assert mrn not in str(event.details)


def test_worklist_leaves_out_other_departments(client, answered):
    client.force_login(factories.make_user(Role.REVIEWER))
    page = client.get(url("worklist")).content.decode()
    assert answered.study.patient.display_name not in page


def test_worklist_asks_as_many_queries_for_fifty_rows_as_for_one(
    as_reviewer, department, reviewer, django_assert_max_num_queries
):
    for _ in range(55):
        study = factories.make_study(department=department)
        request_classifications(actor=reviewer, study=study)
    with django_assert_max_num_queries(16) as queries:
        page = as_reviewer.get(url("worklist")).content.decode()
    assert page.count("Test, Patient") >= 50, len(queries)


def test_model_pages_show_versions_limits_and_who_put_them_live(client, version):
    client.force_login(factories.make_user(Role.DATA_SCIENTIST))
    assert version.version in client.get(url("model-list")).content.decode()
    assert "operating" in client.get(url("model-detail", version.pk)).content.decode().lower()


def test_model_deploy_appends_and_task_withdraw_stops_it(client, version, tmp_path):
    copy_chest(tmp_path)
    (newer,) = register_bundles(actor=None, root=tmp_path, deploy=False).versions
    administrator = factories.make_user(Role.ADMINISTRATOR)
    client.force_login(administrator)
    watched = {"reason": "to be watched"}
    client.post(url("model-deploy", newer.pk), watched)
    assert Deployment.objects.live_version("chest-xray") == newer
    page = client.post(url("model-deploy", version.pk), watched, follow=True).content.decode()
    assert f"The files of {version} are missing on this installation." in page
    assert Deployment.objects.live_version("chest-xray") == newer
    client.post(url("task-withdraw", "chest-xray"))
    assert Deployment.objects.live_version("chest-xray") is None
    assert Deployment.objects.filter(task="chest-xray").count() == 3
    events = AuditEvent.objects.filter(action=Action.MODEL_DEPLOYED)
    assert {event.actor_id for event in events} == {administrator.pk}


def test_home_shows_the_queue_and_the_latest_results(as_reviewer, answered):
    page = as_reviewer.get(reverse("home")).content.decode()
    assert answered.study.patient.display_name in page


@pytest.mark.parametrize(
    ("role", "page"),
    [
        (Role.ADMINISTRATOR, "accounts:user-list"),
        (Role.AUDITOR, "accounts:audit-list"),
        (Role.DATA_SCIENTIST, "classifier:model-list"),
    ],
)
def test_home_leads_on_when_the_role_looks_at_no_studies(client, db, role, page):
    client.force_login(factories.make_user(role))
    assert client.get(reverse("home")).url == reverse(page)


def test_home_leads_to_the_profile_when_somebody_has_no_role_yet(client, db):
    client.force_login(factories.make_user())
    assert client.get(reverse("home")).url == reverse("accounts:profile")


@pytest.fixture
def unrouted(department):
    """A study that nobody knows the task of, as the router leaves it when it isn't sure."""
    study = factories.make_study(department=department, modality="XC", body_part="")
    return Classification.objects.create(
        study=study,
        task="unrouted",
        state="abstained",
        outcome="abstained",
        abstention="route_unsure",
        abstention_reason="Say which body part this is.",
        finished_at="2026-01-01T00:00:00Z",
    )


def test_opinion_asks_what_the_images_show_when_the_header_is_silent(client, technician, unrouted):
    client.force_login(technician)
    page = client.get(url("opinion", unrouted.pk)).content.decode()
    assert url("task-state", unrouted.pk) in page
    assert all(f'value="{task}"' in page for task in ("retina", "skin-lesion"))
    assert 'value="chest-xray"' not in page


def test_opinion_asks_nobody_whose_role_runs_nothing_again(client, department, unrouted):
    client.force_login(factories.make_user(Role.INTEGRATOR, department=department))
    page = client.get(url("opinion", unrouted.pk)).content.decode()
    assert "Say which body part this is." in page
    assert url("task-state", unrouted.pk) not in page


def test_opinion_doesn_t_ask_when_the_header_says_it(client, technician, claim, version):
    disagreement = Answer(
        model_version=version,
        abstention=Abstention.ROUTED_ELSEWHERE,
        abstention_reason="The header says a chest X-ray, the image looks like a hand X-ray.",
    )
    assert runs.complete_classification(claim=claim, answer=disagreement)
    client.force_login(technician)
    page = client.get(url("opinion", claim.classification_id)).content.decode()
    assert "No result: image and header disagree" in page
    assert "the image looks like a hand X-ray" in page
    assert url("task-state", claim.classification_id) not in page


def test_task_state_queues_what_was_named_and_returns_to_the_study(client, technician, unrouted):
    client.force_login(technician)
    response = client.post(url("task-state", unrouted.pk), {"task": "retina"})
    assert response.url == unrouted.study.get_absolute_url()
    current = unrouted.study.classifications.current().get()
    assert (current.task, current.state, current.supersedes) == ("retina", "queued", unrouted)
    page = client.get(response.url).content.decode()
    assert "stated by a person" in page
    assert "stated what the images show: OP EYE" in page


@pytest.mark.parametrize("posted", [{}, {"task": "chest-xray"}, {"task": "body-part"}])
def test_task_state_changes_nothing_when_the_header_rules_it_out(
    client, technician, unrouted, posted
):
    client.force_login(technician)
    response = client.post(url("task-state", unrouted.pk), posted, follow=True)
    assert "header says otherwise" in response.content.decode()
    assert unrouted.study.classifications.get() == unrouted


def test_opinion_says_that_the_image_and_not_the_header_was_believed(
    as_reviewer, claim, answer, study
):
    look = {"task": "chest-xray", "probability": 0.97}
    chosen = dataclasses.replace(
        answer,
        routing={**look, "chosen": True, "stage": "research", "series": {"1": look}},
        notes=["Chosen from the image, not from the header."],
    )
    assert runs.complete_classification(claim=claim, answer=chosen)
    page = as_reviewer.get(url("opinion", claim.classification_id)).content.decode()
    assert page.count("Chosen from the image, not from the header.") == 1
    assert "0.97" in page
    assert "research model itself" in page


def test_opinion_shows_each_label_s_code(as_reviewer, answered):
    page = as_reviewer.get(url("opinion", answered.pk)).content.decode()
    assert "SNOMED CT <code>233604007</code>" in page
    assert "SNOMED CT 17621005: Normal" in page


def test_patient_results_show_the_current_answers_and_are_recorded(as_reviewer, answered):
    patient = answered.study.patient
    page = as_reviewer.get(url("patient-results", patient.pk)).content.decode()
    assert "Pneumonia" in page
    assert SUPPORT in page
    assert AuditEvent.objects.filter(
        action=RecordsAction.PATIENT_VIEWED, patient_id=patient.pk
    ).exists()


def test_model_pages_say_that_the_router_gives_no_result(client, db):
    router = factories.make_model_version(task="body-part")
    client.force_login(factories.make_user(Role.ADMINISTRATOR))
    assert "gives no result of its own" in client.get(url("model-list")).content.decode()
    assert (
        "What the image looks like" in client.get(url("model-detail", router.pk)).content.decode()
    )
    stopped = client.post(url("task-withdraw", "body-part"), follow=True).content.decode()
    assert "the header alone decides which model" in stopped
