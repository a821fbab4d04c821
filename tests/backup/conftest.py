"""A store of the test's own, and an installation to restore into."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from records.files.stores import adopt_store
from records.models import Instance, QuarantinedFile
from tests.backup.installations import (
    Installation,
    empty_installation,
    without_the_tests_own_function,
)
from tests.records.buckets import bucket_settings, make_bucket, s3_service, store_options


@pytest.fixture(autouse=True)
def _plain_database(transactional_db: None) -> Iterator[None]:
    with without_the_tests_own_function():
        yield


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Where the backup set is."""
    return tmp_path / "backups"


@pytest.fixture
def local_store(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, _plain_database: None
) -> Path:
    """The store in a directory, beside the exports and the bundles."""
    settings.DATA_DIR = tmp_path / "old"
    settings.DATA_DIR.mkdir()
    settings.BUNDLE_STORE_DIR = settings.DATA_DIR / "bundles"
    images = settings.DATA_DIR / "images"
    use_store(settings, monkeypatch, "records.files.stores.local.LocalStore", {"location": images})
    return images


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_service(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def s3_store(
    s3_address: str,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    _plain_database: None,
) -> dict[str, str]:
    """The store in a bucket; returns the settings of another, empty one."""
    options = store_options(s3_address, make_bucket(s3_address))
    settings.DATA_DIR = tmp_path / "old"
    use_store(settings, monkeypatch, "records.files.stores.s3.S3Store", options)
    return bucket_settings(s3_address, make_bucket(s3_address))


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Installation]:
    """An empty installation in another data directory and another database."""
    with empty_installation(tmp_path / "new", "new_medimaging") as installation:
        yield installation


def use_store(
    settings: Any, monkeypatch: pytest.MonkeyPatch, backend: str, options: dict[str, Any]
) -> None:
    """Have images, exports and files on their way lie where the test says."""
    settings.INTAKE_SPOOL_DIR = settings.DATA_DIR / "images" / "incoming"
    settings.STORAGES = {
        **settings.STORAGES,
        "images": {"BACKEND": backend, "OPTIONS": options},
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": settings.DATA_DIR / "files"},
        },
    }
    # A field asks for its storage once, when its model is loaded.
    for model in (Instance, QuarantinedFile):
        monkeypatch.setattr(model._meta.get_field("file"), "storage", storages["images"])
    adopt_store()
