"""Looking after stored files: what the scrubber finds, and what nobody points to."""

import datetime as dt
import hashlib
import io
import threading

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from pydicom.uid import generate_uid

from accounts.choices import Outcome
from accounts.models import AuditEvent
from accounts.roles import Role
from records import tasks
from records.choices import Action
from records.errors import StoredFileDamaged, StoredFileMissing
from records.files.open import open_stored, open_verified
from records.files.pixels import read_frame, render_png
from records.files.spool import publish, spooled
from records.files.stores import PREFIXES, image_store
from records.models import Instance, QuarantinedFile, UnreferencedFile
from records.services import scrub_storage, sweep_storage
from records.services.storage import describe_storage, remove_unreferenced
from tests.dicom.files import make_dicom
from tests.factories import make_user

BOTH = pytest.mark.parametrize("store", ["local", "s3"], indirect=True)

pytestmark = pytest.mark.django_db


@pytest.fixture
def instance(store, send_one) -> Instance:
    return send_one(make_dicom()).instance


def damage(instance: Instance, content: bytes | None) -> None:
    """What a failing disk does: other bytes under the same name, or none."""
    storage = instance.file.storage
    storage.delete(instance.file.name)
    if content is not None:
        assert storage.save(instance.file.name, ContentFile(content)) == instance.file.name


def leave_behind(content: bytes = b"left by a crash") -> str:
    """A file whose row was never committed."""
    with spooled(io.BytesIO(content), limit=1000) as file:
        publish([file])
        return file.name


def names_in_store() -> set[str]:
    return {file.name for prefix in PREFIXES for file in image_store().walk(prefix)}


def events(action: Action) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


@BOTH
def test_scrub_storage_notes_the_time_when_the_bytes_are_whole(instance):
    done = scrub_storage()

    instance.refresh_from_db()
    assert (done.checked, done.size_bytes, done.damaged) == (1, instance.size_bytes, 0)
    assert instance.damage == ""
    assert instance.checked_at
    assert scrub_storage().checked == 0
    assert events(Action.STORAGE_DAMAGED) == events(Action.STORAGE_CHECKED) == []


@BOTH
@pytest.mark.parametrize("problem", ["altered", "missing"])
def test_scrub_storage_reports_damage_once_and_repairs_nothing(instance, problem):
    content = b"\0" * instance.size_bytes if problem == "altered" else None
    damage(instance, content)

    first, second = scrub_storage(everything=True), scrub_storage(everything=True)

    instance.refresh_from_db()
    assert (first.damaged, second.damaged, instance.damage) == (1, 1, problem)
    (event,) = events(Action.STORAGE_DAMAGED)
    assert (event.study_id, event.outcome) == (instance.series.study_id, Outcome.SERIOUS_FAILURE)
    assert event.details["expected_sha256"] == instance.sha256
    assert event.sentence == f"A stored file was found {problem}"
    assert instance.file.storage.exists(instance.file.name) is (problem == "altered")


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_scrub_storage_notes_recovery_when_the_file_was_restored(instance):
    with open_verified(instance) as stream:
        content = stream.read()
    damage(instance, None)
    scrub_storage()
    damage(instance, content)

    done = scrub_storage(everything=True)

    instance.refresh_from_db()
    assert (done.recovered, instance.damage) == (1, "")
    assert [event.details["recovered"] for event in events(Action.STORAGE_CHECKED)] == [1]


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_scrub_storage_takes_the_longest_unread_first_and_ends_in_time(store, send):
    submission = send(*[(str(number), make_dicom()) for number in range(3)])
    rows = list(Instance.objects.order_by("pk"))
    long_ago = timezone.now() - dt.timedelta(days=90)
    Instance.objects.filter(pk=rows[0].pk).update(checked_at=timezone.now())
    Instance.objects.filter(pk=rows[1].pk).update(checked_at=long_ago)

    never_read, read_long_ago, nothing = (scrub_storage(seconds=0) for _ in range(3))

    assert submission.files.count() == 3
    assert (never_read.checked, read_long_ago.checked, nothing.checked) == (1, 1, 0)
    rows[2].refresh_from_db()
    rows[1].refresh_from_db()
    assert rows[2].checked_at < rows[1].checked_at


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_nothing_is_shown_or_decoded_when_the_bytes_changed(instance):
    scrub_storage()
    with open_verified(instance) as stream:
        content = bytearray(stream.read())
    content[-10] ^= 1  # a single bit, within the pixels
    damage(instance, bytes(content))

    with pytest.raises(StoredFileDamaged):
        read_frame(instance)
    with pytest.raises(StoredFileDamaged):
        render_png(instance)


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_open_stored_refuses_what_is_known_to_be_damaged_or_is_gone(instance):
    instance.damage = "altered"
    with pytest.raises(StoredFileDamaged):
        open_stored(instance)

    instance.damage = ""
    damage(instance, None)
    with pytest.raises(StoredFileMissing):
        open_stored(instance)


@BOTH
def test_sweep_storage_removes_a_file_without_a_row_only_after_the_grace(instance, settings):
    orphan = leave_behind()

    found = sweep_storage(prefixes=PREFIXES)
    again = sweep_storage(prefixes=PREFIXES)

    assert (found.found, found.removed, again.removed) == (1, 0, 0)
    row = UnreferencedFile.objects.get()
    assert row.due_at - row.found_at >= settings.STORAGE_ORPHAN_GRACE - dt.timedelta(minutes=1)

    UnreferencedFile.objects.update(due_at=timezone.now())
    swept = sweep_storage(prefixes=PREFIXES)

    assert (swept.removed, swept.removed_bytes) == (1, len(b"left by a crash"))
    assert names_in_store() == {instance.file.name} - {orphan}
    assert not UnreferencedFile.objects.exists()
    (event,) = events(Action.STORAGE_SWEPT)
    assert event.details == {"removed": 1, "size_bytes": len(b"left by a crash")}


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_sweep_storage_keeps_a_file_that_got_its_row_meanwhile(instance):
    UnreferencedFile.objects.create(
        name=instance.file.name, size_bytes=1, due_at=timezone.now() - dt.timedelta(days=1)
    )

    swept = remove_unreferenced()

    assert swept.removed == 0
    assert instance.file.storage.exists(instance.file.name)
    assert not UnreferencedFile.objects.exists()
    assert events(Action.STORAGE_SWEPT) == []


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_sweep_task_walks_every_slice_in_less_than_a_day(store, monkeypatch):
    walked = []
    monkeypatch.setattr(store, "walk", lambda prefix: walked.append(prefix) or iter(()))
    now = 1_800_000_000
    for turn in range(256):
        monkeypatch.setattr("time.time", lambda turn=turn: now + 300 * turn)
        tasks.sweep_storage()

    assert sorted(walked) == list(PREFIXES)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_file_about_to_get_its_row_is_not_removed(store):
    """The sender has published and not yet committed when the sweeper comes by."""
    content = b"left by a crash"
    with transaction.atomic():
        name = leave_behind(content)
    UnreferencedFile.objects.create(name=name, size_bytes=15, due_at=timezone.now())
    published, swept = threading.Event(), threading.Event()

    def send() -> None:
        with transaction.atomic():
            leave_behind(content)
            published.set()
            swept.wait(timeout=20)
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    assert published.wait(timeout=20)
    during = remove_unreferenced()
    swept.set()
    sender.join()
    after = remove_unreferenced()

    assert (during.removed, after.removed) == (0, 1)
    assert hashlib.sha256(content).hexdigest() in name


@BOTH
def test_scrub_storage_reads_what_is_in_quarantine_too(store, send_one, client):
    uids = {name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID")}
    send_one(make_dicom(**uids))
    send_one(make_dicom(StudyDescription="changed", **uids))
    apart = QuarantinedFile.objects.get()
    assert scrub_storage().checked == 2
    damage(apart, None)

    assert scrub_storage(everything=True).damaged == 1

    apart.refresh_from_db()
    assert (apart.damage, describe_storage()["damaged"], describe_storage()["files"]) == (
        "missing",
        1,
        2,
    )
    (event,) = events(Action.STORAGE_DAMAGED)
    assert (event.target_id, event.department_id) == (
        str(apart.pk),
        apart.submission.department_id,
    )
    client.force_login(make_user(Role.ADMINISTRATOR))
    assert "in quarantine" in client.get(reverse("records:storage")).content.decode()
