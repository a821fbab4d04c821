"""A store that is away: told from a file that is missing, and nothing lost or made meanwhile."""

import io
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

import medimaging.health.probes  # noqa: F401  (registers what can be asked)
from accounts.api import idempotency
from accounts.models import AuditEvent
from accounts.roles import Role
from medimaging.health import parts
from records import services, tasks
from records.dicom.deidentification import Options
from records.errors import (
    StoredFileDamaged,
    StoredFileMissing,
    StoreUnavailable,
)
from records.files.open import check_untouched, find_digest, open_stored, open_verified
from records.files.stores import check_store, image_store
from records.files.stores.local import LocalStore
from records.models import (
    Export,
    Instance,
    Study,
    SubmissionFile,
    UnreferencedFile,
    Upload,
)
from records.services import reception
from tests.dicom.files import make_dicom
from tests.factories import make_user
from tests.records.dicomweb.messages import body_of
from tests.records.dicomweb.messages import store as stow
from tests.records.outages import LOCAL, SERVICE, directory_away
from tests.records.tus import CONTENT

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("store", ["local", "s3"], indirect=True)
EACH = pytest.mark.parametrize(
    ("store", "outage"),
    [*(("local", how) for how in LOCAL), *(("s3", how) for how in SERVICE)],
    indirect=True,
)
ONE_OF_EACH = pytest.mark.parametrize(
    ("store", "outage"),
    [("local", "moved"), ("local", "not mounted"), ("s3", "refused")],
    indirect=True,
)


@pytest.fixture
def instance(store, send_one) -> Instance:
    return send_one(make_dicom()).instance


def is_service() -> bool:
    return not isinstance(image_store(), LocalStore)


def storage_events() -> list[str]:
    return list(
        AuditEvent.objects.filter(action__startswith="storage.").values_list("action", flat=True)
    )


@EACH
def test_check_store_tells_within_a_second_that_the_store_is_away(store, outage):
    check_store()

    with outage():
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable) as caught:
                check_store()
            assert time.monotonic() - began < 1.2
        assert caught.value.reason

    check_store()


@EACH
@pytest.mark.parametrize("read", [open_stored, find_digest, check_untouched])
def test_no_file_is_missing_while_the_store_is_away(outage, instance, read):
    if read is check_untouched and is_service():
        pytest.skip("a service isn't asked for dates")
    with outage(), pytest.raises(StoreUnavailable):
        read(instance)

    with open_verified(instance) as stream:
        assert stream.read(132)[-4:] == b"DICM"


@BOTH
def test_file_is_missing_when_the_store_is_there_without_it(instance):
    image_store().delete(instance.file.name)

    with pytest.raises(StoredFileMissing):
        open_stored(instance)


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_open_finds_the_file_when_the_store_was_away_for_that_moment_alone(
    instance, store, monkeypatch
):
    """The mount is back between the failed look and the question after the store."""
    directory, tried = Path(store.path("")), []
    original = type(store).open

    def flapping(self, name, mode="rb"):
        if not tried:
            tried.append(name)
            with directory_away(directory, "moved"):
                return original(self, name, mode)
        return original(self, name, mode)

    monkeypatch.setattr(type(store), "open", flapping)

    with open_stored(instance) as stream:
        assert stream.read(132)[-4:] == b"DICM"


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_file_that_the_disk_can_not_read_is_damaged_and_no_outage(instance, store, monkeypatch):
    def broken(self, name, mode="rb"):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(store), "open", broken)
    with pytest.raises(StoredFileDamaged):
        open_stored(instance)
    monkeypatch.setattr(
        type(store), "open", lambda *_: (_ for _ in ()).throw(OSError(116, "Stale"))
    )
    with pytest.raises(StoreUnavailable):
        open_stored(instance)


@ONE_OF_EACH
def test_looking_after_files_stops_while_the_store_is_away(outage, instance, settings):
    UnreferencedFile.objects.create(
        name="aa/bb/" + "aabb" * 16 + ".dcm", size_bytes=1, due_at=timezone.now()
    )
    checked = Instance.objects.get().checked_at

    with outage():
        for look_after in (
            services.scrub_storage,
            services.sweep_storage,
            services.sweep_exports,
            services.sweep_submissions,
            services.sweep_uploads,
            services.apply_retention,
        ):
            with pytest.raises(StoreUnavailable):
                look_after()
        for task in (tasks.scrub_storage, tasks.sweep_storage, tasks.apply_retention):
            task()
        for command in ("scrub_storage", "sweep_storage"):
            with pytest.raises(CommandError, match="can't be reached"):
                call_command(command)

    instance.refresh_from_db()
    assert (instance.damage, instance.checked_at) == ("", checked)
    assert UnreferencedFile.objects.count() == 1
    assert storage_events() == []
    assert services.scrub_storage().damaged == 0


@ONE_OF_EACH
def test_every_door_refuses_files_with_503_while_the_store_is_away(
    outage, store, client, technician, department, tus
):
    address = tus.begun()
    upload = Upload.objects.get()
    half = upload.offset

    with outage():
        answers = {
            "rest": client.post(
                reverse("api-submission-list"),
                {"files": io.BytesIO(make_dicom()), "department": department.slug},
            ),
            "stow": stow(client, body_of(make_dicom())),
            "page": client.post(
                reverse("records:submission-create"),
                {"department": str(department.pk), "priority": "routine"},
            ),
            "tus": tus.patch(address, half, b"x" * 10),
        }
        for door, answer in answers.items():
            assert (door, answer.status_code) == (door, 503)
            assert answer.json()["code"] == "storage_unavailable"
            assert int(answer["Retry-After"]) > 0

    upload.refresh_from_db()
    assert (upload.state, upload.offset) == ("receiving", half)
    assert not SubmissionFile.objects.exists()
    assert not Instance.objects.exists()
    assert tus.patch(address, half, CONTENT[half:]).status_code == 204
    assert SubmissionFile.objects.get().verdict == "stored"


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_request_is_refused_whole_when_the_store_goes_in_the_middle_of_it(
    store, client, technician, department, monkeypatch
):
    """It goes between the check at the door and the moment at which the files are put there."""
    client.force_login(technician)
    original = type(store).add
    bare = []

    def unmount(self, files):
        directory = Path(self.path(""))
        away = directory_away(directory, "moved")
        away.__enter__()
        bare.append(away)
        return original(self, files)

    monkeypatch.setattr(type(store), "add", unmount)
    answer = client.post(
        reverse("api-submission-list"),
        {"files": io.BytesIO(make_dicom()), "department": department.slug},
    )
    monkeypatch.undo()
    for away in bare:
        away.__exit__(None, None, None)

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert not Instance.objects.exists()
    assert not SubmissionFile.objects.exists()


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_request_is_taken_again_whose_server_died_while_the_store_was_away(
    store, client, technician, department, settings, monkeypatch
):
    """What it sent couldn't be read to its end then: that doesn't make it another request."""
    directory = Path(store.path(""))
    settings.INTAKE_SPOOL_DIR = directory / "incoming"
    client.force_login(technician)
    content = make_dicom()

    def send():
        files = {"files": io.BytesIO(content), "department": department.slug}
        return client.post(reverse("api-submission-list"), files, HTTP_IDEMPOTENCY_KEY="order-42")

    with monkeypatch.context() as patch, directory_away(directory, "moved"):
        patch.setattr(idempotency, "release_request", lambda *, row: None)
        away = send()

    assert (away.status_code, away.json()["code"]) == (503, "storage_unavailable")
    assert send().status_code == 201
    assert Instance.objects.count() == 1


@pytest.mark.parametrize("door", ["rest", "stow"])
@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_file_that_goes_with_the_store_while_it_is_examined_is_our_fault(
    store, client, technician, department, settings, monkeypatch, door
):
    """As it ships, files on their way lie on the store's own volume."""
    directory = Path(store.path(""))
    settings.INTAKE_SPOOL_DIR = directory / "incoming"
    client.force_login(technician)
    examined = reception._Waiting.received
    content = make_dicom()

    def unmount(waiting):
        waiting.examined.result()
        away.enter_context(directory_away(directory, "moved"))
        return examined(waiting)

    def send():
        if door == "stow":
            return stow(client, body_of(content))
        files = {"files": io.BytesIO(content), "department": department.slug}
        return client.post(reverse("api-submission-list"), files)

    with ExitStack() as away, monkeypatch.context() as patch:
        patch.setattr(reception._Waiting, "received", unmount)
        answer = send()

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert int(answer["Retry-After"]) > 0
    assert not SubmissionFile.objects.exists()
    assert send().status_code in (200, 201)
    assert SubmissionFile.objects.get().verdict == "stored"


@ONE_OF_EACH
def test_images_answer_503_at_every_door_while_the_store_is_away(
    outage, instance, client, department
):
    client.force_login(make_user(Role.REVIEWER, department=department))
    study, series = instance.series.study, instance.series
    url = f"/dicomweb/studies/{study.study_instance_uid}"
    image = f"{url}/series/{series.series_instance_uid}/instances/{instance.sop_instance_uid}"
    addresses = [
        url,
        *(image + ending for ending in ("", "/metadata", "/frames/1", "/rendered")),
        reverse("api-instance-file", args=[instance.pk]),
        reverse("records:instance-file", args=[instance.pk]),
        reverse("records:frame-png", args=[instance.pk, 1]),
        reverse("records:frame-values", args=[instance.pk, 1]),
    ]
    with outage():
        for address in addresses:
            if is_service() and address.endswith("/metadata"):
                continue  # what is kept beside the row tells it
            answer = client.get(address)
            assert (address, answer.status_code) == (address, 503)
            assert int(answer["Retry-After"]) > 0
            said = answer.content.decode()
            assert "storage" in said
        page = client.get(reverse("records:study-detail", args=[study.pk]))
        assert page.status_code == 200

    assert client.get(addresses[-1]).status_code == 200


@ONE_OF_EACH
def test_export_waits_while_the_store_is_away_and_is_made_afterwards(outage, instance, department):
    reviewer = make_user(Role.REVIEWER, department=department)
    export = services.request_export(
        actor=reviewer,
        studies=[Study.objects.get()],
        project="p",
        purpose="why",
        options=Options(),
    )
    with outage():
        tasks.prepare_next_export()
        export.refresh_from_db()
        assert (export.state, export.failure_code) == ("preparing", "")
        tasks.sweep_exports()

    assert Export.objects.waiting(before=timezone.now()).filter(pk=export.pk).exists()
    tasks.prepare_next_export()
    export.refresh_from_db()
    assert export.state in ("ready", "held")


def test_health_names_a_store_that_is_away(local_store):
    with directory_away(Path(local_store.path("")), "stalled"):
        began = time.monotonic()
        (part,) = parts(names=["store"])
    assert time.monotonic() - began < 1
    assert (part.state, part.code) == ("degraded", "storage_unavailable")
    assert parts(names=["store"])[0].state == "ok"
