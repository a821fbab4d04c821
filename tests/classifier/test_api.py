"""Classifications, reviews and model versions over REST."""

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.choices import Action
from classifier.services import runs
from classifier.services.requests import request_classifications
from records.models import Study
from tests import factories
from tests.classifier.outcomes import OUTCOMES, answer_of

ROOT = "/api/v1/classifications/"


@pytest.fixture
def as_reviewer(reviewer):
    client = APIClient()
    client.force_login(reviewer)
    return client


def test_list_answers_with_the_current_result_of_a_study(as_reviewer, answered):
    (row,) = as_reviewer.get(ROOT, {"study": str(answered.study_id)}).json()["results"]
    assert (row["status"], row["label"], row["task"]) == (
        "awaiting_review",
        "pneumonia",
        "chest-xray",
    )
    assert row["probabilities"]["pneumonia"] == 0.92
    assert row["model_digest"] == answered.model_digest
    assert row["notice"]
    listed = AuditEvent.objects.filter(action=Action.CLASSIFICATIONS_LISTED)
    assert listed.get().study_id == answered.study_id


def test_list_refuses_a_study_that_is_no_uuid(as_reviewer):
    response = as_reviewer.get(ROOT, {"study": "12"})
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_retrieve_comes_with_every_frame(as_reviewer, answered):
    row = as_reviewer.get(f"{ROOT}{answered.pk}/").json()
    (score,) = row["instance_scores"]
    assert (score["frame"], score["is_deciding"]) == (1, True)


def test_review_create_answers_201_and_can_be_read_back(as_reviewer, answered):
    path = f"{ROOT}{answered.pk}/reviews/"
    decision = {"decision": "override", "label": "normal", "reason": "false_positive"}
    response = as_reviewer.post(path, decision, format="json")
    assert response.status_code == 201
    assert response.json()["decision"] == "override"
    assert [review["label"] for review in as_reviewer.get(path).json()] == ["normal"]
    assert as_reviewer.get(f"{ROOT}{answered.pk}/").json()["review"]["label"] == "normal"


@pytest.mark.parametrize(
    ("decision", "status", "code"),
    [
        ({"decision": "override", "reason": "false_positive"}, 400, "label_required"),
        ({"decision": "override", "label": "normal"}, 400, "reason_required"),
        ({"decision": "maybe"}, 400, "invalid"),
        ({}, 400, "invalid"),
    ],
)
def test_review_create_names_the_problem(as_reviewer, answered, decision, status, code):
    response = as_reviewer.post(f"{ROOT}{answered.pk}/reviews/", decision, format="json")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert problem["action"]


def test_review_create_answers_409_the_second_time(as_reviewer, answered):
    path = f"{ROOT}{answered.pk}/reviews/"
    assert as_reviewer.post(path, {"decision": "confirm"}, format="json").status_code == 201
    again = as_reviewer.post(path, {"decision": "confirm"}, format="json")
    assert again.status_code == 409
    assert again.json()["code"] == "already_reviewed"


def test_other_departments_results_are_not_there(answered):
    client = APIClient()
    client.force_login(factories.make_user(Role.REVIEWER))
    assert client.get(f"{ROOT}{answered.pk}/").status_code == 404
    assert client.get(ROOT).json()["results"] == []


def test_rerun_answers_with_the_new_row(technician, answered):
    client = APIClient()
    client.force_login(technician)
    response = client.post(f"{ROOT}{answered.pk}/rerun/")
    assert response.status_code == 201
    assert response.json()["supersedes"] == str(answered.pk)


def test_model_versions_say_which_is_live(as_reviewer, version):
    (row,) = as_reviewer.get("/api/v1/model-versions/").json()["results"]
    assert (row["digest"], row["is_live"]) == (version.digest, True)


def test_state_task_answers_with_the_new_row(technician, department):
    study = factories.make_study(department=department, modality="OT", body_part="")
    (row,) = request_classifications(actor=technician, study=study)
    client = APIClient()
    client.force_login(technician)
    response = client.post(f"{ROOT}{row.pk}/task/", {"task": "lung-ct"}, format="json")
    assert response.status_code == 201
    assert (response.json()["task"], response.json()["supersedes"]) == ("lung-ct", str(row.pk))


def test_state_task_names_the_problem_when_the_header_says_otherwise(technician, answered):
    client = APIClient()
    client.force_login(technician)
    response = client.post(f"{ROOT}{answered.pk}/task/", {"task": "retina"}, format="json")
    assert (response.status_code, response.json()["code"]) == (400, "not_statable")


def test_retrieve_names_the_label_in_words_and_code(as_reviewer, answered):
    row = as_reviewer.get(f"{ROOT}{answered.pk}/").json()
    assert (row["label_display"], row["label_code"]["value"]) == ("Pneumonia", "233604007")
    assert (row["outcome"], row["routing"]) == ("finding", None)


def test_a_refusal_says_of_what_kind_it_is_and_which_field_is_to_blame(as_reviewer, answered):
    path = f"{ROOT}{answered.pk}/reviews/"
    for body, code, pointer in (
        ({"decision": "override", "reason": "false_positive"}, "label_required", "/label"),
        ({"decision": "override", "label": "normal"}, "reason_required", "/reason"),
        ({"decision": "override", "label": "x", "reason": "other"}, "label_unknown", "/label"),
        ({"decision": "uninterpretable"}, "reason_required", "/reason"),
    ):
        problem = as_reviewer.post(path, body, format="json").json()
        assert (problem["code"], problem["errors"][0]["pointer"]) == (code, pointer)
        assert problem["errors"][0]["code"] == code
        assert problem["type"] == f"urn:medimaging:problem:{code}"


def test_what_is_no_uuid_is_nowhere_at_every_door(as_reviewer):
    for path in (
        "classifications/x/",
        "classifications/x/reviews/",
        "instances/x/",
        "instances/x/file/",
        "instances/x/rendered/",
        "studies/1/",
        "exports/x/file/",
        "tokens/x/",
        "submissions/x/uploads/",
    ):
        answer = as_reviewer.get(f"/api/v1/{path}")
        assert answer.status_code == 404, path
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:medimaging:problem:not_found"


def test_a_body_of_the_wrong_kind_is_told_the_right_one(reviewer):
    client = APIClient()
    client.force_login(factories.make_user(Role.INTEGRATOR, department=factories.make_department()))
    for path, body, kind, wanted in (
        ("submissions/", b"{}", "application/json", "multipart/form-data"),
        ("studies/search/", b"<x/>", "application/xml", "application/json"),
        ("tokens/", b"a=b", "application/x-www-form-urlencoded", "application/json"),
    ):
        answer = client.generic("POST", f"/api/v1/{path}", body, content_type=kind)
        assert answer.status_code == 415
        assert answer.json()["action"] == f"Send {wanted}."


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_result_says_its_outcome_and_whose_it_is(as_reviewer, claim, answer, outcome):
    assert runs.complete_classification(claim=claim, answer=answer_of(answer, outcome))
    detail = as_reviewer.get(f"{ROOT}{claim.classification_id}/").json()
    (row,) = as_reviewer.get(ROOT).json()["results"]
    for found in (row, detail):
        assert found["outcome"] == outcome
        assert found["label"] == OUTCOMES[outcome].get("label")
        assert found["suspected_label"] == OUTCOMES[outcome].get("suspected_label")
        scores = OUTCOMES[outcome]["probabilities"]
        assert found["likeliest_label"] == (max(scores, key=scores.get) if scores else None)
        assert found["conclusion"] is None
        study = Study.objects.get(pk=found["study"])
        assert found["study_instance_uid"] == study.study_instance_uid
        assert found["accession_number"] == study.accession_number
        assert (found["patient_id"], found["issuer"]) == (study.patient.mrn, study.patient.issuer)
        assert not {"abstained", "is_indeterminate"} & set(found)


def test_conclusion_is_the_person_s_and_the_model_s_label_stays(as_reviewer, reviewer, answered):
    decision = {"decision": "override", "label": "normal", "reason": "false_positive"}
    path = f"{ROOT}{answered.pk}/"
    assert as_reviewer.post(f"{path}reviews/", decision, format="json").status_code == 201
    found = as_reviewer.get(path).json()
    assert found["label"] == "pneumonia"
    said = found["conclusion"]
    assert (said["label"], said["by"], said["decision"]) == ("normal", str(reviewer), "override")
    assert said["at"] == found["review"]["created_at"]


@pytest.mark.parametrize(
    "outcome", ["flagged", "indeterminate", "below_operating_point", "abstained"]
)
def test_answer_without_a_label_can_t_be_confirmed(as_reviewer, claim, answer, outcome):
    assert runs.complete_classification(claim=claim, answer=answer_of(answer, outcome))
    path = f"{ROOT}{claim.classification_id}/reviews/"
    refused = as_reviewer.post(path, {"decision": "confirm"}, format="json")
    wanted = "nothing_to_confirm" if outcome == "abstained" else "label_required"
    assert (refused.status_code, refused.json()["code"]) == (400, wanted)
    stated = {"decision": "override", "label": "tuberculosis"}
    assert as_reviewer.post(path, stated, format="json").status_code == 201
