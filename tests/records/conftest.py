"""People, departments and a short way of sending files."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Department, User
from accounts.roles import Role
from records.models import Origin, Submission, SubmissionFile, Upload
from records.services import DeclaredFields, open_submission, open_upload, submit_study
from tests.factories import make_department, make_user
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


@pytest.fixture(autouse=True)
def _nothing_is_left_of_other_tests() -> None:
    for name in partial_files():
        (partial_directory() / name).unlink()
