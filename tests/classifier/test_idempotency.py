"""`Idempotency-Key`: what comes twice is done once, by every door that takes one."""

import datetime as dt
import threading
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiToken, AuditEvent, KeptAnswer
from accounts.roles import Role
from accounts.services import forget_answers
from records.choices import Action
from records.models import Instance, Submission, Upload
from records.services import delete_study, submit_study
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_user
from tests.security.together import at_once

ROOT = "/api/v1"
TUS = {"HTTP_TUS_RESUMABLE": "1.0.0", "content_type": "application/offset+octet-stream"}


@pytest.fixture
def api(department) -> APIClient:
    client = APIClient()
    client.force_login(make_user(Role.INTEGRATOR, Role.REVIEWER, department=department))
    return client


def send(api: APIClient, key: str, content: bytes = b"", **fields):
    file = {"files": [SimpleUploadedFile("a.dcm", content)]} if content else {"keep_open": True}
    body = {**file, **fields}
    return api.post(f"{ROOT}/submissions/", body, format="multipart", HTTP_IDEMPOTENCY_KEY=key)


@pytest.mark.django_db
def test_same_key_gives_the_same_answer_and_does_nothing_twice(api):
    key, content = str(uuid.uuid4()), make_dicom()
    first = send(api, key, content)

    again = send(api, key, content)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.json()["files"][0]["verdict"] == "stored"
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert Submission.objects.count() == 1
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_VIEWED).count() == 1
    kept = KeptAnswer.objects.get()
    for held in (kept.key, kept.fingerprint, kept.body):
        assert key not in held
        assert first.json()["id"] not in held


@pytest.mark.django_db
def test_same_key_with_something_else_is_refused(api):
    key, content = "order-42", make_dicom()
    send(api, key, content)

    for other in (send(api, key, make_dicom()), send(api, key, content, priority="urgent")):
        assert other.status_code == 422
        assert other.json()["code"] == "idempotency_key_reused"
    other = api.post(
        f"{ROOT}/tokens/",
        {"name": "x", "scopes": ["study.view"]},
        format="json",
        HTTP_IDEMPOTENCY_KEY=key,
    )
    assert other.status_code == 422
    assert Submission.objects.count() == 1


@pytest.mark.django_db
def test_a_key_is_one_callers_own_and_a_refusal_frees_it(api, department):
    other = APIClient()
    other.force_login(make_user(Role.INTEGRATOR, department=department))
    assert send(api, "k").json()["id"] != send(other, "k").json()["id"]

    refused = send(api, "free", priority="soon")
    assert refused.status_code == 400
    assert send(api, "free").status_code == 201
    for bad in ("", "x" * 256, "with space"):
        assert send(api, bad).json()["code"] == "idempotency_key_invalid"


@pytest.mark.django_db
def test_a_tokens_secret_is_kept_nowhere(api):
    body = {"name": "bridge", "scopes": ["study.view"]}
    asked = {"data": body, "format": "json", "HTTP_IDEMPOTENCY_KEY": "t"}
    first = api.post(f"{ROOT}/tokens/", **asked)

    again = api.post(f"{ROOT}/tokens/", **asked)

    assert again.status_code == 409
    assert again.json()["code"] == "secret_shown_once"
    assert first.json()["id"] in again.json()["detail"]
    assert first.json()["value"] not in again.content.decode()
    assert ApiToken.objects.count() == 1


@pytest.mark.django_db
def test_uploads_are_begun_once(api):
    submission = send(api, "s").json()["id"]
    path = f"{ROOT}/submissions/{submission}/uploads/"
    asked = {**TUS, "HTTP_UPLOAD_LENGTH": "100", "HTTP_IDEMPOTENCY_KEY": "u"}

    first, again = api.post(path, **asked), api.post(path, **asked)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Location"] == first["Location"]
    assert Upload.objects.count() == 1
    assert api.post(path, **{**asked, "HTTP_UPLOAD_LENGTH": "99"}).status_code == 422


@pytest.mark.django_db
def test_answers_are_kept_for_a_day(api):
    first = send(api, "k").json()["id"]
    KeptAnswer.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert send(api, "k").json()["id"] != first

    KeptAnswer.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert forget_answers() == 1
    assert not KeptAnswer.objects.exists()


@pytest.mark.django_db
def test_a_kept_answer_shows_nothing_that_is_out_of_sight_since(api, department):
    user = make_user(Role.INTEGRATOR, department=department)
    client = APIClient()
    client.force_login(user)
    send(client, "k")
    user.memberships.all().delete()
    user.memberships.create(role=Role.INTEGRATOR, department=make_department())

    assert send(client, "k").status_code == 404


@pytest.mark.django_db
def test_a_review_is_signed_once(api, answered):
    path = f"{ROOT}/classifications/{answered.pk}/reviews/"
    asked = {"data": {"decision": "confirm"}, "format": "json", "HTTP_IDEMPOTENCY_KEY": "r"}
    first, again = api.post(path, **asked), api.post(path, **asked)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()

    delete_study(actor=None, study=answered.study, reason="Sent by mistake")
    assert api.post(path, **asked).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_done(department):
    user = make_user(Role.INTEGRATOR, department=department)
    answers, content = [], make_dicom()

    def ask() -> None:
        client = APIClient()
        client.force_login(user)
        answers.append(send(client, "k", content).status_code)
        connection.close()

    at_once(*[ask] * 4)

    assert Submission.objects.count() == 1
    assert set(answers) <= {201, 409}
    assert 201 in answers


@pytest.mark.django_db(transaction=True)
def test_files_whose_server_died_over_them_are_taken_again(api):
    """The files were stored, and nobody was told."""
    content = make_dicom()
    send(api, "k", content)
    KeptAnswer.objects.update(status=None, headers={}, body="")

    again = send(api, "k", content)

    assert again.status_code == 201
    assert again.json()["files"][0]["verdict"] == "duplicate"
    assert Instance.objects.count() == 1
    assert send(api, "k", content).content == again.content


@pytest.mark.django_db(transaction=True)
def test_files_that_another_server_still_takes_are_not_taken_beside_it(api, monkeypatch):
    content, answers = make_dicom(), []
    began, goes_on = threading.Event(), threading.Event()

    def slowly(**kwargs):
        began.set()
        assert goes_on.wait(20)
        return submit_study(**kwargs)

    monkeypatch.setattr("records.api.views.submit_study", slowly)

    def first() -> None:
        answers.append(send(api, "k", content))
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(20)
    meanwhile = send(api, "k", content)
    goes_on.set()
    thread.join()

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "request_under_way")
    assert int(meanwhile["Retry-After"]) > 0
    assert [answer.status_code for answer in answers] == [201]
    assert send(api, "k", content).json() == answers[0].json()
    assert Submission.objects.count() == 1


@pytest.mark.django_db
def test_a_review_whose_server_died_over_it_is_not_signed_again(api, answered):
    path = f"{ROOT}/classifications/{answered.pk}/reviews/"
    asked = {"data": {"decision": "confirm"}, "format": "json", "HTTP_IDEMPOTENCY_KEY": "r"}
    assert api.post(path, **asked).status_code == 201
    KeptAnswer.objects.update(status=None)

    again = api.post(path, **asked)

    assert (again.status_code, again.json()["code"]) == (409, "request_under_way")
