"""Deletion, legal holds and the state of storage, on the pages, over the API and by command."""

import io
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from accounts.roles import Role
from medimaging import checks
from records.choices import Action
from records.errors import StorageLow
from records.models import Instance, LegalHold, Study, Submission, SubmissionFile
from records.services import delete_study, scrub_storage
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_study, make_user
from tests.records.test_api import post as send_by_api
from tests.records.test_pages import upload

pytestmark = pytest.mark.django_db

FULL = 1 << 60


@pytest.fixture
def reviewer(department) -> User:
    return make_user(Role.REVIEWER, department=department)


@pytest.fixture
def study(department) -> Study:
    return make_study(department=department, accession_number="A-17")


@pytest.fixture
def page(client, reviewer):
    """A browser in which the reviewer is signed in."""
    client.force_login(reviewer)
    return client


@pytest.fixture
def admin_page(client):
    client.force_login(make_user(Role.ADMINISTRATOR))
    return client


def api_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def text_of(response) -> str:
    return response.content.decode()


def run(command: str, *args: str) -> str:
    out = io.StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


def test_reviewer_deletes_and_restores_a_study_on_the_pages(page, study):
    name = study.patient.display_name
    assert reverse("records:study-delete", args=[study.pk]) in text_of(
        page.get(study.get_absolute_url())
    )

    page.post(reverse("records:study-delete", args=[study.pk]), {"reason": "Wrong patient"})
    deleted = text_of(page.get(reverse("records:deleted-study-list")))

    assert page.get(study.get_absolute_url()).status_code == 404
    assert name not in text_of(page.get(reverse("records:study-list")))
    assert name in deleted
    assert "Wrong patient" in deleted

    restored = page.post(reverse("records:study-restore", args=[study.pk]))

    assert restored["Location"] == study.get_absolute_url()
    assert name in text_of(page.get(reverse("records:study-list")))
    assert name not in text_of(page.get(reverse("records:deleted-study-list")))


def test_deletion_page_asks_for_a_reason(page, study):
    answer = page.post(reverse("records:study-delete", args=[study.pk]), {"reason": " "})

    assert "This field is required" in text_of(answer)
    assert Study.objects.get(pk=study.pk).deleted_at is None


def test_deletion_is_refused_where_the_role_is_held_elsewhere_only(client, department, study):
    person = make_user(Role.TECHNICIAN, department=department)
    person.memberships.create(role=Role.REVIEWER, department=make_department())
    client.force_login(User.objects.get(pk=person.pk))

    shown = client.get(study.get_absolute_url())
    asked = client.get(reverse("records:study-delete", args=[study.pk]))

    assert reverse("records:study-delete", args=[study.pk]) not in text_of(shown)
    assert asked.status_code == 403


def test_administrator_holds_and_lifts_without_seeing_a_patient(admin_page, study, reviewer):
    placed = admin_page.post(
        reverse("records:hold-list"), {"study": "A-17", "reason": "Case 4"}, follow=True
    )
    hold = LegalHold.objects.get()
    asked = admin_page.get(reverse("records:hold-lift", args=[hold.pk]))

    for page in (placed, asked):
        assert study.study_instance_uid in text_of(page)
        assert study.patient.display_name not in text_of(page)
        assert study.patient.mrn not in text_of(page)

    admin_page.post(reverse("records:hold-lift", args=[hold.pk]), {"reason": "Closed"})
    assert not LegalHold.objects.standing().exists()


def test_hold_page_says_when_no_study_is_meant(admin_page, study):
    answer = admin_page.post(reverse("records:hold-list"), {"study": "B", "reason": "Case 4"})

    assert "No study is held under “B”" in text_of(answer)


def test_study_page_shows_hold_and_damage(page, study):
    run("hold_study", study.study_instance_uid, "--reason", "Case 4")
    Instance.objects.update(damage="altered")

    shown = text_of(page.get(study.get_absolute_url()))

    assert "Legal hold" in shown
    assert "damaged or missing" in shown
    assert "Case 4" not in shown.split("What happened to this study")[0]
    delete = page.post(reverse("records:study-delete", args=[study.pk]), {"reason": "x"})
    assert "under a legal hold" in text_of(delete)


def test_storage_page_names_damaged_files_and_no_patient(admin_page, study):
    Instance.objects.update(damage="missing")

    shown = text_of(admin_page.get(reverse("records:storage")))

    assert Instance.objects.get().file.name in shown
    assert study.patient.display_name not in shown
    assert "1 stored file is damaged or missing" in shown


def test_storage_page_says_when_room_is_low(admin_page, settings):
    settings.INTAKE_MIN_FREE_BYTES = FULL

    assert "Nothing more is taken in" in text_of(admin_page.get(reverse("records:storage")))


@pytest.mark.parametrize("kind", ["frame-png", "instance-file"])
def test_damaged_image_is_refused_in_plain_words(page, study, kind):
    Instance.objects.update(damage="altered")
    instance = Instance.objects.get()
    args = [instance.pk, 1] if kind == "frame-png" else [instance.pk]

    answer = page.get(reverse(f"records:{kind}", args=args))

    assert answer.status_code == 404
    assert "damaged" in text_of(answer)


def test_batch_page_does_not_link_to_a_deleted_study(client, technician, send, reviewer):
    submission = send(("a", make_dicom()))
    study = Study.objects.get()
    client.force_login(technician)
    address = reverse("records:submission-detail", args=[submission.pk])
    assert study.get_absolute_url() in text_of(client.get(address))

    delete_study(actor=reviewer, study=study, reason="Mistake")

    assert study.get_absolute_url() not in text_of(client.get(address))


def test_api_deletes_lists_and_restores(study, reviewer):
    api = api_of(reviewer)
    address = f"/api/v1/studies/{study.pk}/"

    nameless = api.delete(address)
    deleted = api.delete(address, {"reason": "Wrong patient"})
    (row,) = api.get("/api/v1/deleted-studies/").json()["results"]
    gone = api.get(address)
    restored = api.post(f"/api/v1/deleted-studies/{study.pk}/restore/")

    assert (nameless.status_code, deleted.status_code, gone.status_code) == (400, 204, 404)
    assert nameless.json()["errors"][0]["pointer"] == "/reason"
    assert (row["id"], row["deletion_reason"]) == (str(study.pk), "Wrong patient")
    assert row["restorable_until"] > row["deleted_at"]
    assert restored.status_code == 204
    assert api.get(address).status_code == 200


def test_api_holds_and_lifts(study, reviewer):
    admin, holder = api_of(make_user(Role.ADMINISTRATOR)), api_of(reviewer)

    unknown = admin.post("/api/v1/holds/", {"study": "1.2.3", "reason": "Case 4"})
    (hold,) = admin.post("/api/v1/holds/", {"study": "A-17", "reason": "Case 4"}).json()
    refused = holder.delete(f"/api/v1/studies/{study.pk}/", {"reason": "x"})
    shown = holder.get(f"/api/v1/studies/{study.pk}/").json()
    lifted = admin.post(f"/api/v1/holds/{hold['id']}/lift/", {"reason": "Closed"})
    (listed,) = admin.get("/api/v1/holds/").json()["results"]

    assert (unknown.status_code, unknown.json()["code"]) == (404, "no_such_study")
    assert hold["study_instance_uid"] == study.study_instance_uid
    assert (refused.status_code, refused.json()["code"]) == (409, "study_held")
    assert shown["is_held"] is True
    assert lifted.json()["lift_reason"] == listed["lift_reason"] == "Closed"


def test_api_tells_of_damage(study, reviewer):
    Instance.objects.update(damage="altered")
    api, admin = api_of(reviewer), api_of(make_user(Role.ADMINISTRATOR))
    instance = Instance.objects.get()

    file = api.get(f"/api/v1/instances/{instance.pk}/file/")

    assert api.get(f"/api/v1/studies/{study.pk}/").json()["damaged_instances"] == 1
    assert api.get(f"/api/v1/instances/{instance.pk}/").json()["damage"] == "altered"
    assert (file.status_code, file.json()["code"]) == (404, "file_damaged")
    state = admin.get("/api/v1/storage/").json()
    assert (state["files"], state["damaged"], state["room"]["is_low"]) == (1, 1, False)


def test_api_refuses_with_retry_after_before_the_disk_is_full(department, settings):
    settings.INTAKE_MIN_FREE_BYTES = FULL
    api = api_of(make_user(Role.INTEGRATOR, department=department))

    answer = send_by_api(api, make_dicom())

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_low")
    assert int(answer["Retry-After"]) > 0
    assert not Submission.objects.exists()


def test_uploader_is_told_when_to_come_again_and_no_verdict_is_written(
    client, technician, department, settings
):
    client.force_login(technician)
    create = reverse("records:submission-create")
    opened = client.post(create, {"department": str(department.pk), "priority": "routine"}).json()
    settings.INTAKE_MIN_FREE_BYTES = FULL

    refused = [
        client.post(create, {"department": str(department.pk), "priority": "routine"}),
        upload(client, opened["upload_url"], make_dicom()),
    ]

    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_low")
        assert int(answer["Retry-After"]) > 0
    assert not SubmissionFile.objects.exists()


def test_no_verdict_is_written_when_room_runs_out_within_a_batch(send_one, settings, monkeypatch):
    from records.services import submissions

    monkeypatch.setattr(submissions, "check_room", lambda: None)  # there was room at the start
    settings.INTAKE_MIN_FREE_BYTES = FULL

    with pytest.raises(StorageLow):
        send_one(make_dicom())

    assert not SubmissionFile.objects.exists()


def test_readiness_tells_of_low_storage_and_goes_on(client, settings):
    def room() -> tuple[int, str]:
        answer = client.get("/readyz")
        (part,) = [part for part in answer.json()["parts"] if part["name"] == "room"]
        return answer.status_code, part["code"]

    assert room() == (200, "ok")
    settings.INTAKE_MIN_FREE_BYTES = FULL

    assert room() == (200, "storage_low")


def test_scrub_command_fails_and_names_the_file_when_one_is_damaged(local_store, send_one):
    instance = send_one(make_dicom()).instance
    assert run("scrub_storage", "--all").startswith("1 files read")
    local_store.delete(instance.file.name)
    local_store.save(instance.file.name, ContentFile(b"rotten"))
    out = io.StringIO()

    with pytest.raises(CommandError):
        call_command("scrub_storage", "--all", stdout=out)

    assert instance.file.name in out.getvalue()
    events = AuditEvent.objects.filter(action=Action.STORAGE_CHECKED)
    assert [event.details["damaged"] for event in events.order_by("id")] == [0, 1]


def test_classification_of_damaged_bytes_is_refused_with_its_reason(local_store, send_one):
    from records.errors import StoredFileDamaged
    from records.files.pixels import iter_frames

    instance = send_one(make_dicom()).instance
    scrub_storage()
    local_store.delete(instance.file.name)
    local_store.save(instance.file.name, ContentFile(b"rotten"))

    with pytest.raises(StoredFileDamaged):
        next(iter_frames(instance))


def test_commands_sweep_and_apply_retention(local_store, settings, department):
    settings.RETENTION_YEARS = 10
    old = make_study(department=department, study_date="2001-02-28")

    assert run("sweep_storage") == "0 files removed, 0 wait without a record.\n"
    assert run("apply_retention", "--list") == f"2001-02-28\t{old.study_instance_uid}\n"
    assert run("apply_retention") == "0 studies deleted, 0 destroyed.\n"


def test_hold_command_holds_lifts_and_says_what_is_wrong(study):
    assert run("hold_study", "A-17", "--reason", "Case 4") == "1 studies held.\n"
    assert run("hold_study", "A-17", "--reason", "Closed", "--lift") == "1 holds lifted.\n"
    with pytest.raises(CommandError, match="No study is held"):
        run("hold_study", "B", "--reason", "Case 4")


def test_check_spool_finds_fault_when_it_is_on_another_disk(settings):
    assert checks.check_spool(None) == []

    settings.INTAKE_SPOOL_DIR = Path("/proc/incoming")

    assert [found.id for found in checks.check_spool(None)] == ["medimaging.E003"]
