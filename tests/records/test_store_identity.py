"""Whose a store is: marked at the first start, known again, and never taken for another's."""

import io
import uuid

import pytest
from django.core.management import call_command

import medimaging.health.probes  # noqa: F401  (registers what can be asked)
from medimaging.health import parts
from records.errors import StoreForeign, StoreUnavailable
from records.files.stores import MARKER, check_store, ensure_store, forget_store, image_store
from records.models import Instance, StoreIdentity
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("store", ["local", "s3"], indirect=True)


@pytest.fixture
def instance(store, send_one) -> Instance:
    return send_one(make_dicom()).instance


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
