"""People, departments and a short way of sending files."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Department, User
from accounts.roles import Role
from records.models import Submission, SubmissionFile
from records.services import DeclaredFields, submit_study
from tests.factories import make_department, make_user

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
