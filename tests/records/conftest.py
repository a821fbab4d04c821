"""People, departments, a short way of sending files, and stores of both kinds for them."""

import io
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.files.storage import Storage, storages

from accounts.models import Department, User
from accounts.roles import Role
from records.choices import Origin
from records.files.sandboxed import sandbox
from records.files.stores import adopt_store
from records.models import Instance, QuarantinedFile, Submission, SubmissionFile, Upload
from records.services import DeclaredFields, open_submission, open_upload, submit_study
from tests.dicom.watching import Watched, lend
from tests.factories import make_department, make_user
from tests.records.buckets import KEYS, REGION, s3_service, store_options
from tests.records.outages import Wire, directory_away, service_away
from tests.records.tus import SIZE, Tus, partial_directory, partial_files

Send = Callable[..., Submission]


@pytest.fixture
def department(db: None) -> Department:
    return make_department("Radiology")


@pytest.fixture
def technician(department: Department) -> User:
    return make_user(Role.TECHNICIAN, department=department)


@pytest.fixture
def stranger(db: None) -> User:
    """A technician of another department."""
    return make_user(Role.TECHNICIAN, department=make_department("Dermatology"))


@pytest.fixture
def send(technician: User, department: Department) -> Send:
    """Submit files given by name and content, as the technician unless said otherwise."""

    def _send(*files: tuple[str, bytes], **options: Any) -> Submission:
        named = [(name, io.BytesIO(content)) for name, content in files]
        declared = options.pop("declared", DeclaredFields())
        who = {"actor": technician, "department": department} | options
        return submit_study(files=named, declared=declared, **who)

    return _send


@pytest.fixture
def send_one(send: Send) -> Callable[..., SubmissionFile]:
    """Submit one file and return its verdict."""

    def _send_one(content: bytes, *, name: str = "file", **options: Any) -> SubmissionFile:
        return send((name, content), **options).files.get()

    return _send_one


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an S3 service answers."""
    with s3_service(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def wire(s3_address: str) -> Iterator[Wire]:
    """The way to the S3 service, which can be cut and stalled."""
    wire = Wire(int(s3_address.rsplit(":", 1)[1]))
    yield wire
    wire.close()


@pytest.fixture
def bucket(s3_address: str) -> Any:
    """A bucket of the test's own, as the service itself shows it."""
    service = boto3.resource(
        "s3",
        endpoint_url=s3_address,
        region_name=REGION,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    return service.create_bucket(
        Bucket=f"images-{uuid.uuid4().hex}",
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Storage:
    """The store that the test is parametrised with: "local" or "s3"; a store of its own."""
    name = f"{request.param}_store"
    found: Storage = request.getfixturevalue(name)
    return found


@pytest.fixture
def local_store(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, db: None
) -> Storage:
    backend = "records.files.stores.local.LocalStore"
    return _use_store(settings, monkeypatch, tmp_path, backend, {"location": tmp_path / "images"})


@pytest.fixture
def s3_store(
    bucket: Any,
    wire: Wire,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    db: None,
) -> Storage:
    options = store_options(
        wire.url,
        bucket.name,
        location="hospital",
        object_parameters={"ServerSideEncryption": "AES256"},
    )
    return _use_store(settings, monkeypatch, tmp_path, "records.files.stores.s3.S3Store", options)


def _use_store(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    backend: str,
    options: dict[str, Any],
) -> Storage:
    settings.STORAGES = settings.STORAGES | {"images": {"BACKEND": backend, "OPTIONS": options}}
    settings.INTAKE_SPOOL_DIR = tmp_path / "incoming"
    # A field asks for its storage once, when its model is loaded.
    for model in (Instance, QuarantinedFile):
        monkeypatch.setattr(model._meta.get_field("file"), "storage", storages["images"])
    adopt_store()
    return storages["images"]


@pytest.fixture
def outage(request: pytest.FixtureRequest, store: Storage) -> Callable[[], Any]:
    """The outage that the test is parametrised with: "local: moved" or "s3: stalled"."""
    how = request.param
    if request.node.callspec.params["store"] == "s3":
        return lambda: service_away(request.getfixturevalue("wire"), how)
    return lambda: directory_away(Path(store.path("")), how)


@pytest.fixture
def submission(technician, department) -> Submission:
    return open_submission(actor=technician, department=department, origin=Origin.WEB)


@pytest.fixture
def tus(client, technician, submission, django_capture_on_commit_callbacks) -> Tus:
    client.force_login(technician)
    return Tus(client, submission, django_capture_on_commit_callbacks)


@pytest.fixture
def upload(technician, submission) -> Upload:
    return open_upload(actor=technician, submission=submission, name="ct.dcm", size=SIZE)


@pytest.fixture
def nothing_is_left_of_other_uploads() -> None:
    for name in partial_files():
        (partial_directory() / name).unlink()


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[Watched]:
    pool = Watched(1)
    yield pool
    pool.stop()


@pytest.fixture
def pool(db, shared_pool, monkeypatch) -> Watched:
    """One child of the installation's sandbox."""
    return lend(shared_pool, sandbox, monkeypatch)
