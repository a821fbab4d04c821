"""A store that is away: told from a file that is missing, and nothing lost or made meanwhile."""

import io
import threading
import time
import uuid
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

import medimaging.health.probes  # noqa: F401  (registers what can be asked)
from accounts.models import AuditEvent
from accounts.roles import Role
from medimaging.health import parts
from records import services, tasks
from records.deidentification import Options
from records.errors import (
    StoredFileDamaged,
    StoredFileMissing,
    StoreForeign,
    StoreUnavailable,
)
from records.models import (
    Export,
    Instance,
    StoreIdentity,
    Study,
    SubmissionFile,
    UnreferencedFile,
    Upload,
)
from records.stored import check_untouched, find_digest, open_stored, open_verified
from records.stores import MARKER, check_store, ensure_store, forget_store, image_store
from records.stores.bounded import MOST_HANGING, bounded
from records.stores.local import LocalStore
from tests.factories import make_user
from tests.records.dicomweb.messages import body_of
from tests.records.dicomweb.messages import store as stow
from tests.records.files import make_dicom
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


@BOTH
def test_check_store_names_a_store_of_another_database(store):
    image_store().write_marker(f"{uuid.uuid4()}\n")
    forget_store()

    with pytest.raises(StoreForeign):
        ensure_store()
    (part,) = parts(names=["store"])
    assert (part.state, part.code) == ("degraded", "storage_foreign")

    call_command("adopt_store", stdout=io.StringIO())
    ensure_store()


def test_health_names_a_store_that_is_away(local_store):
    with directory_away(Path(local_store.path("")), "stalled"):
        began = time.monotonic()
        (part,) = parts(names=["store"])
    assert time.monotonic() - began < 1
    assert (part.state, part.code) == ("degraded", "storage_unavailable")
    assert parts(names=["store"])[0].state == "ok"


@pytest.fixture
def bare_store(store):
    """A store that no database has been at, and a database that never had one."""
    store.delete(MARKER)
    forget_identity()
    return store


def forget_identity() -> None:
    """As a database is that was made, or restored from, before there was a marker."""
    StoreIdentity.objects.update(store_id=uuid.uuid4(), adopted_at=None)
    forget_store()


@BOTH
def test_first_start_marks_an_empty_store(bare_store):
    check_store()

    identity = StoreIdentity.objects.get()
    assert identity.adopted_at
    assert image_store().read_marker(seconds=1).strip() == str(identity.store_id)


@BOTH
def test_upgrade_marks_a_store_that_has_our_files(instance, bare_store):
    check_store()

    assert StoreIdentity.objects.get().adopted_at


@BOTH
def test_upgrade_marks_no_store_without_our_files(instance, bare_store):
    Instance.objects.update(file="aa/bb/" + "aabb" * 16 + ".dcm")

    with pytest.raises(StoreUnavailable):
        check_store()

    assert image_store().read_marker(seconds=1) is None
    assert not StoreIdentity.objects.filter(adopted_at__isnull=False).exists()


@BOTH
def test_new_database_takes_no_store_that_holds_somebody_s_files(instance, bare_store):
    Instance.objects.update(file="")

    with pytest.raises(StoreForeign):
        check_store()


@BOTH
def test_older_database_knows_its_store_again_by_the_files(store, instance):
    marker = image_store().read_marker(seconds=1)
    forget_identity()

    check_store()

    assert str(StoreIdentity.objects.get().store_id) == marker.strip()


def test_bounded_leaves_behind_what_hangs_and_fails_at_once_beyond_some(local_store):
    go_on = threading.Event()
    try:
        for _ in range(MOST_HANGING):
            with pytest.raises(StoreUnavailable):
                bounded(lambda _: go_on.wait(), seconds=0.01)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="storage_unavailable"):
            bounded(lambda _: 1, seconds=5)
        assert time.monotonic() - began < 1
    finally:
        go_on.set()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert bounded(lambda _: 1, seconds=5) == 1
        except StoreUnavailable:
            continue
        break
    else:
        pytest.fail("what had hung was never let go")


def test_bounded_waits_for_work_that_goes_on(local_store):
    def slowly(alive):
        for _ in range(5):
            time.sleep(0.03)
            alive()
        return "done"

    assert bounded(slowly, seconds=0.1) == "done"
