"""What a system that polls may rely on: tags, changes since a moment, orders, and If-Match."""

import datetime as dt
import threading

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.models import Classification
from records.models import Patient, Study
from records.services import close_submission, open_submission
from tests.factories import make_study, make_user

ROOT = "/api/v1"


@pytest.fixture
def api(department) -> APIClient:
    client = APIClient()
    client.force_login(make_user(Role.INTEGRATOR, Role.REVIEWER, department=department))
    return client


def names(answer) -> list[str]:
    return [row["id"] for row in answer.json()["results"]]


@pytest.mark.django_db
def test_what_is_polled_is_sent_once_and_the_look_is_told_each_time(api, department, answered):
    study, actor = answered.study, make_user(Role.TECHNICIAN, department=department)
    submission = open_submission(actor=actor, department=department, origin="api")
    for path in (
        f"classifications/{answered.pk}/",
        f"classifications/?study={study.pk}",
        "classifications/?page_size=1",
        f"studies/{study.pk}/",
        "studies/",
        f"submissions/{submission.pk}/",
        "submissions/",
        f"patients/{study.patient_id}/",
        "me/",
    ):
        address = f"{ROOT}/{path}"
        tag = api.get(address)["ETag"]
        told = AuditEvent.objects.count()
        for given in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            same = api.get(address, HTTP_IF_NONE_MATCH=given)
            assert (same.status_code, same.content) == (304, b""), path
            assert same["ETag"] == tag
        assert api.get(address, HTTP_IF_NONE_MATCH='"other"').status_code == 200
        if "?" in path or path in {"studies/", "submissions/"}:
            assert AuditEvent.objects.count() == told + 5, path

    detail = f"{ROOT}/studies/{study.pk}/"
    tag = api.get(detail)["ETag"]
    Patient.objects.filter(pk=study.patient_id).update(name="Other^Name")
    changed = api.get(detail, HTTP_IF_NONE_MATCH=tag)
    assert changed.status_code == 200
    assert changed["ETag"] != tag


@pytest.mark.django_db
def test_out_of_sight_is_404_whatever_is_known(api, answered):
    path = f"{ROOT}/classifications/{answered.pk}/"
    tag = api.get(path)["ETag"]
    stranger = APIClient()
    stranger.force_login(make_user(Role.REVIEWER, department=None))
    assert stranger.get(path, HTTP_IF_NONE_MATCH=tag).status_code in {403, 404}


@pytest.mark.django_db
def test_a_decision_about_what_has_changed_is_refused(api, answered):
    path = f"{ROOT}/classifications/{answered.pk}/"
    seen = api.get(path)["ETag"]
    Patient.objects.filter(pk=answered.study.patient_id).update(name="Other^Name", mrn="CHANGED")
    Study.objects.filter(pk=answered.study_id).update(accession_number="CHANGED")
    Classification.objects.filter(pk=answered.pk).update(priority="urgent")

    old = api.post(f"{path}reviews/", {"decision": "confirm"}, format="json", HTTP_IF_MATCH=seen)
    assert old.status_code == 412
    assert old.json()["code"] == "changed_meanwhile"
    weak = api.post(
        f"{path}reviews/", {"decision": "confirm"}, format="json", HTTP_IF_MATCH=f"W/{seen}"
    )
    assert weak.status_code == 412

    now = api.get(path)["ETag"]
    done = api.post(f"{path}reviews/", {"decision": "confirm"}, format="json", HTTP_IF_MATCH=now)
    assert done.status_code == 201

    study = f"{ROOT}/studies/{answered.study_id}/"
    reason = {"data": {"reason": "Sent by mistake"}, "format": "json"}
    assert api.delete(study, **reason, HTTP_IF_MATCH=seen).status_code == 412
    assert Study.objects.kept().filter(pk=answered.study_id).exists()
    tag = api.get(study)["ETag"]
    assert api.delete(study, **reason, HTTP_IF_MATCH=tag).status_code == 204


@pytest.mark.django_db
def test_changes_since_a_moment_are_told_in_order(api, department, answered):
    studies = [answered.study, *(make_study(department=department) for _ in range(2))]
    start = api.get(f"{ROOT}/studies/?ordering=updated_at").json()["results"]
    assert [row["id"] for row in start] == [str(study.pk) for study in studies]
    last = start[-1]["updated_at"]

    Study.objects.filter(pk=studies[1].pk).update(description="Other")
    Study.objects.filter(pk=studies[2].pk).update(description=studies[2].description)
    Patient.objects.filter(pk=studies[0].patient_id).update(name="Other^Name")

    since = {"updated_since": last, "ordering": "updated_at"}
    found = api.get(f"{ROOT}/studies/", since)
    # The last one seen comes again; a row that was written as it was hasn't changed.
    assert names(found) == [str(studies[index].pk) for index in (2, 1, 0)]
    assert names(api.get(f"{ROOT}/classifications/", since)) == [str(answered.pk)]
    assert names(api.get(f"{ROOT}/studies/", {**since, "page_size": 1})) == [str(studies[2].pk)]
    late = (timezone.now() + dt.timedelta(minutes=1)).isoformat()
    assert names(api.get(f"{ROOT}/studies/", {"updated_since": late})) == []

    actor = make_user(Role.TECHNICIAN, department=department)
    submission = open_submission(actor=actor, department=department, origin="api")
    before = api.get(f"{ROOT}/submissions/{submission.pk}/").json()["updated_at"]
    close_submission(actor=actor, submission=submission)
    (row,) = api.get(f"{ROOT}/submissions/", {"updated_since": before}).json()["results"]
    assert row["updated_at"] > before


@pytest.mark.django_db
def test_a_workers_lease_is_no_change(answered):
    before = Classification.objects.get(pk=answered.pk).updated_at
    Classification.objects.filter(pk=answered.pk).update(worker="w", fence=9)
    assert Classification.objects.get(pk=answered.pk).updated_at == before
    Classification.objects.filter(pk=answered.pk).update(priority="urgent")
    assert Classification.objects.get(pk=answered.pk).updated_at > before


@pytest.mark.django_db
def test_what_an_order_or_moment_can_t_be_is_refused(api):
    for path in (
        "studies/?ordering=patient__name",
        "studies/?ordering=name",
        "classifications/?ordering=-label",
        "submissions/?ordering=",
        "studies/?updated_since=yesterday",
        "studies/?updated_since=2026-03-01T09:30:00",
        "classifications/?updated_since=",
        "submissions/?updated_since=2026-13-01T00:00:00Z",
    ):
        answer = api.get(f"{ROOT}/{path}")
        assert answer.status_code == 400, path
        assert answer.json()["errors"][0]["pointer"] in {"/ordering", "/updated_since"}
    for order in ("received_at", "-received_at", "-updated_at"):
        assert api.get(f"{ROOT}/studies/?ordering={order}").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_committed_late_is_not_missed(api, department):
    """Two writers: the one that began first ends last; who polls between sees neither."""
    early, late = (make_study(department=department) for _ in range(2))
    moment = api.get(f"{ROOT}/studies/?ordering=-updated_at").json()["results"][0]["updated_at"]
    begun, may_end = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            Study.objects.filter(pk=early.pk).update(description="Slow")
            begun.set()
            may_end.wait(timeout=20)
        connections.close_all()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    try:
        assert begun.wait(timeout=20)
        Study.objects.filter(pk=late.pk).update(description="Quick")
        since = {"updated_since": moment, "ordering": "updated_at"}
        between = api.get(f"{ROOT}/studies/", since).json()["results"]
        assert "Quick" not in [row["description"] for row in between]
        next_since = max([moment, *(row["updated_at"] for row in between)])
    finally:
        may_end.set()
        writer.join(timeout=20)
    found = api.get(f"{ROOT}/studies/", {**since, "updated_since": next_since})
    described = [row["description"] for row in found.json()["results"]]
    assert described[-2:] == ["Slow", "Quick"]
    connection.close()
