"""One side restored alone: noticed by itself, named, and nothing is removed meanwhile."""

import logging
from pathlib import Path

import pytest
from django.utils import timezone

from medimaging.health import State, probes
from records import tasks
from records.files.stores import (
    Age,
    adopt_store,
    announce_store,
    begin_epoch,
    compare_ages,
    renew_epoch,
)
from records.files.stores.epochs import _Told, _told
from records.models import Instance, StoreIdentity, UnreferencedFile
from records.services.storage import remove_unreferenced
from tests.dicom.files import make_dicom

BOTH = pytest.mark.parametrize("store", ["local", "s3"], indirect=True)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _has_told_nothing() -> None:
    _told.age = _Told().age


def restore_the_database_to(epoch: int) -> None:
    StoreIdentity.objects.update(epoch=epoch)


@BOTH
def test_both_sides_get_every_epoch_and_one_name_is_kept(store) -> None:
    found = [renew_epoch() for _ in range(3)]

    epochs = [(one.age, one.database, one.store) for one in found]
    start = epochs[0][1] or 0
    assert epochs[1:] == [(Age.SAME, start + 1, start + 1), (Age.SAME, start + 2, start + 2)]
    assert store.listdir("epochs")[1] == [str(start + 3)]


@BOTH
def test_an_older_database_is_named_and_nothing_of_its_files_goes(store, send_one, caplog) -> None:
    held = send_one(make_dicom()).instance
    before = begin_epoch()
    begin_epoch()
    restore_the_database_to(before)
    name = held.file.name
    Instance.objects.filter(pk=held.pk).update(file="")
    UnreferencedFile.objects.create(name=name, size_bytes=1, due_at=timezone.now())

    with caplog.at_level(logging.WARNING):
        tasks.renew_epoch()
        tasks.renew_epoch()

    assert compare_ages().age == Age.DATABASE_OLDER
    assert caplog.text.count("(database_older_than_store)") == 1
    assert "adopt_store" in caplog.text
    assert remove_unreferenced().removed == 0
    assert store.exists(name)
    part = probes.ages()
    assert (part.state, part.code) == (State.DEGRADED, "database_older_than_store")
    adopt_store()
    begin_epoch()
    assert compare_ages().age == Age.SAME
    assert remove_unreferenced().removed == 1


@BOTH
def test_an_older_store_is_named_by_its_epoch_and_by_the_newest_files(store, send_one) -> None:
    begin_epoch()
    restore_the_database_to(compare_ages().store + 1)
    assert compare_ages().age == Age.SAME  # what a crash between row and file leaves
    restore_the_database_to(compare_ages().store + 2)
    assert compare_ages().age == Age.STORE_OLDER
    begin_epoch()
    held = send_one(make_dicom()).instance

    store.delete(held.file.name)
    found = compare_ages()

    assert (found.age, found.missing) == (Age.STORE_OLDER, 1)
    assert renew_epoch().age == Age.STORE_OLDER
    Instance.objects.filter(pk=held.pk).update(damage="missing")
    assert compare_ages().age == Age.SAME  # known, and shown elsewhere


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_a_store_that_is_away_gets_no_epoch(store, caplog) -> None:
    begin_epoch()
    place = Path(store.location)
    place.rename(place.with_name("elsewhere"))

    tasks.renew_epoch()
    announce_store()

    assert not place.exists()
