"""Run again, many at once: by administrators on a page, by operators with a command."""

import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.choices import Action
from classifier.errors import InferenceFailed, ModelMissing
from classifier.models import Classification
from classifier.services import requests, reruns, runs
from classifier.services.requests import request_classifications
from classifier.services.reruns import rerun_failed
from records.services import delete_study
from tests import factories

LIST, RERUN = "classifier:failed-list", "classifier:failed-rerun"


@pytest.fixture
def administrator(db):
    return factories.make_user(Role.ADMINISTRATOR)


@pytest.fixture
def make_failed(department):
    def make(code: str = "file_missing", **fields) -> Classification:
        study = factories.make_study(department=department, **fields)
        (row,) = request_classifications(actor=None, study=study)
        claim = runs.claim_classification(worker="w")
        assert claim is not None
        error = InferenceFailed(code=code, reason="gone.", remedy="Send it again.")
        runs.fail_classification(claim=claim, error=error)
        row.refresh_from_db()
        return row

    return make


def current(row: Classification) -> Classification:
    return Classification.objects.current().get(study=row.study)


def test_rerun_failed_queues_those_of_the_reason_urgent_first_and_once(make_failed, administrator):
    routine, urgent = make_failed(), make_failed(priority="urgent")
    other = make_failed("image_truncated")
    assert rerun_failed(actor=administrator, code="file_missing", limit=1) == 1
    assert (current(urgent).state, current(routine).state) == ("queued", "failed")
    assert rerun_failed(actor=administrator, code="file_missing", limit=9) == 1
    assert rerun_failed(actor=administrator, code="file_missing", limit=9) == 0
    assert (current(routine).state, current(other).state) == ("queued", "failed")
    assert current(routine).supersedes == routine
    told = AuditEvent.objects.filter(action=Action.FAILED_RERUN)
    assert [event.details["count"] for event in told] == [1, 1]
    queued = AuditEvent.objects.filter(
        action=Action.CLASSIFICATION_QUEUED, actor_id=administrator.pk
    )
    assert queued.count() == 2


def test_rerun_failed_leaves_what_was_deleted_or_run_again_meanwhile(
    make_failed, administrator, reviewer, monkeypatch
):
    deleted, taken, left = (make_failed() for _ in range(3))
    rerun = requests.rerun_classification

    def rerun_after_others(*, actor, classification):
        if classification.pk == deleted.pk:
            delete_study(actor=reviewer, study=deleted.study, reason="sent twice")
        if classification.pk == taken.pk:
            rerun(actor=None, classification=Classification.objects.get(pk=taken.pk))
        return rerun(actor=actor, classification=classification)

    monkeypatch.setattr(reruns, "rerun_classification", rerun_after_others)
    assert rerun_failed(actor=administrator, code="file_missing", limit=9) == 1
    assert current(left).requested_by == administrator
    assert current(taken).requested_by is None


def test_page_counts_by_reason_and_task_and_names_no_patient(client, administrator, make_failed):
    rows = [make_failed() for _ in range(3)]
    client.force_login(administrator)
    page = client.get(reverse(LIST)).content.decode()
    assert "file_missing" in page
    assert ">3<" in page
    assert rows[0].study.patient.name.split("^")[1] not in page
    answer = client.post(
        reverse(RERUN), {"code": "file_missing", "task": "chest-xray"}, follow=True
    ).content.decode()
    assert "3 queued again." in answer
    assert {current(row).state for row in rows} == {"queued"}
    again = client.post(reverse(RERUN), {"code": "file_missing"}, follow=True).content.decode()
    assert "None of them is failed any more." in again


def test_page_says_how_many_are_left_when_there_are_more_than_a_request_takes(
    client, administrator, make_failed, monkeypatch
):
    monkeypatch.setattr("classifier.views.failures.AT_ONCE", 2)
    for _ in range(3):
        make_failed()
    client.force_login(administrator)
    answer = client.post(reverse(RERUN), {"code": "file_missing"}, follow=True).content.decode()
    assert "2 are queued again. 1 are left" in answer


def test_page_refuses_a_request_without_a_reason(client, administrator, make_failed):
    row = make_failed()
    client.force_login(administrator)
    assert "named none" in client.post(reverse(RERUN), {}, follow=True).content.decode()
    assert current(row).state == "failed"


def test_pages_tell_of_what_waits(client, administrator, reviewer, claim):
    runs.postpone_classification(claim=claim, error=ModelMissing(version="chest-xray 1.0.0"))
    client.force_login(administrator)
    page = client.get(reverse(LIST)).content.decode()
    assert "Waiting: the model in use is missing." in page
    assert (
        "Deployed model missing"
        not in client.get(reverse("classifier:model-list")).content.decode()
    )
    factories.make_model_version()
    models = client.get(reverse("classifier:model-list")).content.decode()
    assert "Deployed model missing" in models
    assert reverse(LIST) in models
    client.force_login(reviewer)
    address = reverse("classifier:status", args=[claim.classification_id])
    status = client.get(address).content.decode()
    assert "Waiting: the model in use is missing." in status
    assert "every 2s" in status
    row = client.get(f"{address}?as=row").content.decode()
    assert "Waiting: the model in use is missing." in row
    api = client.get(f"/api/v1/classifications/{claim.classification_id}/").json()
    assert (api["status"], api["waiting"]["code"], api["failure"]) == (
        "queued",
        "model_missing",
        None,
    )


def test_command_lists_counts_and_runs_again(make_failed, capsys):
    old, new = make_failed(), make_failed()
    make_failed("image_truncated")
    call_command("rerun_failed")
    assert "file_missing chest-xray 2" in capsys.readouterr().out
    call_command("rerun_failed", reason="file_missing", dry_run=True)
    assert "2 failed; none was run again." in capsys.readouterr().out
    tomorrow = (timezone.now() + dt.timedelta(days=1)).date().isoformat()
    call_command("rerun_failed", "--reason", "file_missing", "--since", tomorrow)
    assert "0 of 0 failed" in capsys.readouterr().out
    call_command("rerun_failed", "--reason", "file_missing", "--task", "chest-xray")
    assert "2 of 2 failed are queued again." in capsys.readouterr().out
    assert {current(old).state, current(new).state} == {"queued"}
    event = AuditEvent.objects.get(action=Action.FAILED_RERUN)
    assert event.actor_name == "system"
    for wrong in (["--since", "yesterday"], ["--task", "palmistry"]):
        with pytest.raises(CommandError):
            call_command("rerun_failed", "--reason", "file_missing", *wrong)
