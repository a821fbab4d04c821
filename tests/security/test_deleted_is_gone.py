"""What a deleted study leaves behind, asked for at every door; and images that nobody looked at."""

import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.services import issue_token
from classifier.answers import Answer
from classifier.models import Classification
from classifier.services.requests import rerun_classification, state_task
from classifier.services.reviews import review_classification
from classifier.services.runs import claim_classification, complete_classification, renew_lease
from records.choices import Action, ConflictState, ExportState, Origin, Resolution
from records.dicom.deidentification import Options
from records.errors import ExportHoldUnseen, ExportNotAllowed, StudyGone
from records.models import Export, ExportHold, IdentityConflict, Study
from records.services import (
    clear_export,
    delete_study,
    discard_quarantined,
    fail_export,
    hand_out_export,
    open_submission,
    prepare_export,
    request_export,
    resolve_conflict,
    restore_study,
    sweep_exports,
)
from tests.factories import (
    make_department,
    make_model_version,
    make_quarantined,
    make_study,
    make_user,
)

pytestmark = pytest.mark.django_db
IMAGE = next(Path("samples").glob("chest-*/*.dcm")).read_bytes()
ASK = {"project": "p", "purpose": "q", "options": Options()}


@pytest.fixture
def department():
    return make_department()


@pytest.fixture
def reviewer(department):
    return make_user(Role.REVIEWER, department=department)


@pytest.fixture
def study(department):
    return make_study(department=department, content=IMAGE)


@pytest.fixture
def browser(client, reviewer):
    client.force_login(reviewer)
    return client


@pytest.fixture
def ready(study, reviewer):
    export = prepare_export(export_id=request_export(actor=reviewer, studies=[study], **ASK).pk)
    if export.state == ExportState.HELD:
        see_all(export, reviewer)
        holds = dict.fromkeys(export.holds.values_list("pk", flat=True), ())
        clear_export(actor=reviewer, export=export, decisions=holds)
        export = prepare_export(export_id=export.pk)
    assert export.state == ExportState.READY, export.failure
    return export


@pytest.fixture
def held(study, reviewer):
    export = request_export(actor=reviewer, studies=[study], **ASK)
    instance = study.series.get().instances.get()
    ExportHold.objects.create(export=export, instance=instance, cause="text")
    Export.objects.filter(pk=export.pk).update(state=ExportState.HELD)
    export.refresh_from_db()
    return export


def see_all(export, person, *, name="records:export-hold-png"):
    client = Client()
    client.force_login(person)
    for hold in export.holds.all():
        for frame in hold.frames:
            answer = client.get(reverse(name, args=[export.pk, hold.pk]), {"frame": frame})
            assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")


def delete(study):
    return delete_study(actor=None, study=study, reason="Sent by mistake")


def clean(export):
    return dict.fromkeys(export.holds.values_list("pk", flat=True), ())


def test_form_of_a_deleted_study_is_gone(browser, study):
    delete(study)
    address = reverse("records:study-export", args=[study.pk])

    asked = browser.post(address, {"project": "p", "purpose": "q"})

    assert (browser.get(address).status_code, asked.status_code) == (404, 404)
    assert not Export.objects.exists()


def test_service_doesn_t_copy_a_deleted_study(reviewer, study, department):
    other = make_study(department=department)
    delete(study)

    for wanted in ([study], [other, study]):
        with pytest.raises(ExportNotAllowed):
            request_export(actor=reviewer, studies=wanted, **ASK)
    assert not Export.objects.exists()


def test_copy_that_is_ready_goes_with_its_study(
    browser, reviewer, ready, study, django_capture_on_commit_callbacks
):
    storage, name = ready.file.storage, ready.file.name
    with django_capture_on_commit_callbacks(execute=True):
        delete(study)

    for address in ("records:export-file", "records:export-detail", "api-export-file"):
        assert browser.get(reverse(address, args=[ready.pk])).status_code == 404
    with pytest.raises(ExportNotAllowed):
        hand_out_export(actor=reviewer, export=ready)
    assert not storage.exists(name)
    event = AuditEvent.objects.filter(action=Action.EXPORT_BLOCKED).order_by("-id")[0]
    assert (event.study_id, event.details["reason"]) == (study.pk, "export_study_deleted")


def test_restored_study_has_to_be_asked_for_again(
    browser, reviewer, ready, study, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        delete(study)
        restore_study(actor=reviewer, study=study)

    page = browser.get(reverse("records:export-detail", args=[ready.pk])).content.decode()
    taken = browser.get(reverse("api-export-file", args=[ready.pk]))

    assert "A study of this export was deleted" in page
    assert (taken.status_code, taken.json()["code"]) == (410, "export_study_deleted")
    assert request_export(actor=reviewer, studies=[study], **ASK).state == ExportState.PREPARING


def test_copy_of_several_goes_when_one_of_them_does(browser, reviewer, study, department):
    other = make_study(department=department, content=IMAGE)
    export = request_export(actor=reviewer, studies=[study, other], **ASK)
    delete(other)

    assert prepare_export(export_id=export.pk) is None
    assert browser.get(reverse("records:export-detail", args=[export.pk])).status_code == 404
    assert not sweep_exports()


def test_worker_in_the_middle_of_a_copy_throws_it_away(reviewer, study, monkeypatch):
    from records.services import preparing

    export = request_export(actor=reviewer, studies=[study], **ASK)
    finish, hold = preparing._finish, preparing._hold

    def deleted_first(work):
        def end(*args, **kwargs):
            Study.objects.filter(pk=study.pk).update(
                deleted_at="2026-01-01T00:00Z", deletion_reason="x"
            )
            return work(*args, **kwargs)

        return end

    monkeypatch.setattr(preparing, "_finish", deleted_first(finish))
    monkeypatch.setattr(preparing, "_hold", deleted_first(hold))

    assert prepare_export(export_id=export.pk) is None
    export.refresh_from_db()
    assert not export.file
    assert not export.holds.exists()
    assert fail_export(export_id=export.pk, error=StudyGone()) is None


def test_command_doesn_t_write_a_deleted_study(reviewer, ready, study, tmp_path):
    delete(study)
    out = tmp_path / "out"
    for which in ({"studies": [str(study.pk)]}, {"export": ready.pk}):
        with pytest.raises(CommandError):
            call_command("deidentify", user=reviewer.username, project="p", out=out, **which)
    assert not out.exists()


def test_held_image_of_a_deleted_study_is_neither_shown_nor_cleared(browser, reviewer, held, study):
    see_all(held, reviewer)
    hold = held.holds.get()
    delete(study)

    for name in ("records:export-hold-png", "api-export-hold"):
        assert browser.get(reverse(name, args=[held.pk, hold.pk])).status_code == 404
    cleared = browser.post(reverse("records:export-clear", args=[held.pk]), {"clean": str(hold.pk)})
    assert cleared.status_code == 404
    with pytest.raises(ExportNotAllowed):
        clear_export(actor=reviewer, export=held, decisions=clean(held))
    hold.refresh_from_db()
    assert hold.decided_at is None


@pytest.mark.django_db(transaction=True)
def test_deleting_and_asking_at_once_leave_no_copy(reviewer, study):
    for _ in range(5):
        start = threading.Barrier(2)

        def ask(start=start):
            try:
                start.wait()
                request_export(actor=reviewer, studies=[study], **ASK)
            except ExportNotAllowed:
                pass
            finally:
                connection.close()

        asking = threading.Thread(target=ask)
        asking.start()
        start.wait()
        delete(study)
        asking.join()
        assert not Export.objects.exclude(state=ExportState.FAILED).exists()
        restore_study(actor=reviewer, study=study)


def test_unseen_image_cannot_be_cleared_by_page_or_api(browser, reviewer, held):
    hold = held.holds.get()
    picture = reverse("records:export-hold-png", args=[held.pk, hold.pk])
    browser.head(picture)
    browser.get(reverse("records:export-detail", args=[held.pk]))
    browser.get(reverse("records:frame-png", args=[hold.instance_id, 1]))

    page = browser.post(
        reverse("records:export-clear", args=[held.pk]), {"clean": str(hold.pk)}, follow=True
    )
    api = browser.post(
        reverse("api-export-clear", args=[held.pk]),
        {"decisions": [{"hold": str(hold.pk)}]},
        content_type="application/json",
    )

    assert "haven&#x27;t been shown" in page.content.decode()
    assert (api.status_code, api.json()["code"]) == (409, "export_hold_unseen")
    hold.refresh_from_db()
    assert hold.decided_at is None


@pytest.mark.parametrize("name", ["records:export-hold-png", "api-export-hold"])
def test_image_that_was_shown_can_be_cleared(reviewer, held, name):
    see_all(held, reviewer, name=name)

    export = clear_export(actor=reviewer, export=held, decisions=clean(held))

    assert export.state == ExportState.PREPARING


def test_image_shown_to_a_colleague_counts_for_nobody_else(reviewer, held, department):
    see_all(held, make_user(Role.REVIEWER, department=department))

    with pytest.raises(ExportHoldUnseen):
        clear_export(actor=reviewer, export=held, decisions=clean(held))


def test_every_frame_must_have_been_shown(browser, reviewer, held):
    hold = held.holds.get()
    instance = hold.instance
    instance.number_of_frames = 3
    instance.save(update_fields=["number_of_frames"])
    picture = reverse("records:export-hold-png", args=[held.pk, hold.pk])

    first = browser.get(picture, {"frame": 1})
    beyond = [browser.get(picture, {"frame": one}).status_code for one in ("4", "0", "x", "-1")]

    assert first.status_code == 200
    assert set(beyond) == {404}
    with pytest.raises(ExportHoldUnseen):
        clear_export(actor=reviewer, export=held, decisions=clean(held))


def test_image_that_can_t_be_drawn_wasn_t_seen(browser, reviewer, held, department):
    hold = held.holds.get()
    broken = make_study(department=department, content=b"not an image")
    hold.instance = broken.series.get().instances.get()
    hold.save(update_fields=["instance"])

    answer = browser.get(reverse("records:export-hold-png", args=[held.pk, hold.pk]))

    assert answer.status_code != 200
    with pytest.raises(ExportHoldUnseen):
        clear_export(actor=reviewer, export=held, decisions=clean(held))


def test_hold_of_another_export_is_not_shown(browser, held, ready):
    hold = held.holds.get()

    answer = browser.get(reverse("records:export-hold-png", args=[ready.pk, hold.pk]))

    assert answer.status_code == 404


def classification_of(study, **fields):
    version = make_model_version()
    values = {
        "task": "chest-xray",
        "state": "awaiting_review",
        "finished_at": "2026-01-01T00:00:00Z",
        "model_version": version,
        "model_digest": version.digest,
        "outcome": "finding",
        "label": "pneumonia",
        "probabilities": {"normal": 0.1, "pneumonia": 0.9},
    }
    return Classification.objects.create(study=study, **values | fields)


def test_services_of_the_classifier_leave_a_deleted_study_alone(reviewer, study):
    row = classification_of(study)
    delete(study)

    with pytest.raises(StudyGone):
        review_classification(actor=reviewer, classification=row, decision="confirm")
    with pytest.raises(StudyGone):
        rerun_classification(actor=reviewer, classification=row)
    with pytest.raises(StudyGone):
        state_task(actor=reviewer, classification=row, task="chest-xray")
    row.refresh_from_db()
    assert row.state == "awaiting_review"


def test_worker_s_late_answer_about_a_deleted_study_is_dropped(study):
    row = classification_of(
        study,
        state="queued",
        finished_at=None,
        model_version=None,
        model_digest="",
        outcome="",
        label="",
    )
    claim = claim_classification(worker="w")
    delete(study)

    assert not renew_lease(claim=claim)
    assert not complete_classification(
        claim=claim, answer=Answer(outcome="finding", label="pneumonia")
    )
    row.refresh_from_db()
    assert (row.state, row.label) == ("running", "")


def conflict_of(study, department):
    sender = make_user(Role.TECHNICIAN, department=department)
    submission = open_submission(actor=sender, department=department, origin=Origin.WEB)
    return make_quarantined(study=study, submission=submission)


def test_conflict_about_a_deleted_study_is_not_decided(reviewer, study, department):
    file = conflict_of(study, department)
    delete(study)

    with pytest.raises(StudyGone):
        resolve_conflict(
            actor=reviewer,
            conflict=file.conflict,
            resolution=Resolution.KEEP_APART,
            reason="x",
        )
    assert IdentityConflict.objects.get().state == ConflictState.OPEN


def test_quarantined_file_of_a_deleted_study_stays_until_it_is_restored(
    client, reviewer, study, department
):
    file = conflict_of(study, department)
    IdentityConflict.objects.update(state=ConflictState.RESOLVED)
    administrator = make_user(Role.ADMINISTRATOR)
    client.force_login(administrator)
    delete(study)

    shown = client.get(reverse("records:quarantine-list")).content.decode()
    assert file.sop_instance_uid not in shown
    with pytest.raises(StudyGone):
        discard_quarantined(actor=administrator, file=file, reason="x")

    restore_study(actor=reviewer, study=study)
    shown = client.get(reverse("records:quarantine-list")).content.decode()
    assert file.sop_instance_uid in shown


def test_conflict_about_a_person_stays_while_another_study_of_theirs_is_kept(
    reviewer, study, department
):
    other = make_study(department=department, patient=study.patient)
    conflict = IdentityConflict.objects.create(
        kind="patient",
        department=department,
        study=study,
        held_patient=make_study(department=department).patient,
        sent_patient=study.patient,
        sent={"patient_id": "P", "issuer": "", "name": "A^B", "birth_date": "", "sex": ""},
    )
    delete(study)
    visible = IdentityConflict.objects.visible_to(reviewer)
    assert conflict in visible

    delete(other)

    assert conflict not in visible.all()


def test_verdicts_lead_to_no_deleted_study(client, study, department):
    technician = make_user(Role.TECHNICIAN, department=department)
    submission = open_submission(actor=technician, department=department, origin=Origin.API)
    instance = study.series.get().instances.get()
    submission.files.create(
        name="a", verdict="stored", code="stored", message="Stored.", study=study, instance=instance
    )
    client.force_login(technician)
    address = reverse("api-submission-detail", args=[submission.pk])
    before = client.get(address).json()["files"][0]
    delete(study)

    after = client.get(address).json()["files"][0]

    assert before["study"] == str(study.pk)
    assert (after["study"], after["instance"]) == (None, None)


def test_batches_stay_behind_when_their_sender_leaves_the_department(client, department):
    person = make_user(Role.TECHNICIAN, department=department)
    submission = open_submission(actor=person, department=department, origin=Origin.WEB)
    submission.files.create(name="Geheim^Maria.dcm", verdict="rejected", code="x", message="x")
    elsewhere = make_department()
    person.memberships.all().delete()
    person.memberships.create(role=Role.TECHNICIAN, department=elsewhere)
    _, token = issue_token(actor=person, user=person, name="x", days=1)
    header = {"Authorization": f"Token {token}"}
    client.force_login(person)

    detail = reverse("api-submission-detail", args=[submission.pk])
    page = submission.get_absolute_url()
    close = reverse("records:submission-close", args=[submission.pk])
    asked = [client.get(page), client.post(close), client.get(detail)]
    asked += [Client().get(detail, headers=header)]

    assert {answer.status_code for answer in asked} == {404}
    for shown in ("/submit/", "/", "/api/v1/submissions/"):
        text = client.get(shown).content.decode()
        assert str(submission.pk) not in text
        assert "Geheim" not in text
