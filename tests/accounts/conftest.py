"""What most tests of accounts start from."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from accounts.models import AuditEvent, Department, User
from accounts.roles import Role
from tests import factories

Recording = Callable[[], AbstractContextManager[list[AuditEvent]]]


@pytest.fixture
def department(db: None) -> Department:
    return factories.make_department("Radiology")


@pytest.fixture
def administrator(db: None) -> User:
    return factories.make_user(Role.ADMINISTRATOR, username="ada", full_name="Ada Admin")


@pytest.fixture
def auditor(db: None) -> User:
    return factories.make_user(Role.AUDITOR, username="otto", full_name="Otto Auditor")


@pytest.fixture
def technician(department: Department) -> User:
    return factories.make_user(
        Role.TECHNICIAN, department=department, username="tina", full_name="Tina Technician"
    )


@pytest.fixture
def recording(db: None) -> Recording:
    """Collects the audit events that are appended inside a `with` block."""

    @contextmanager
    def record() -> Iterator[list[AuditEvent]]:
        last = AuditEvent.objects.values_list("id", flat=True).first() or 0
        events: list[AuditEvent] = []
        yield events
        events.extend(AuditEvent.objects.filter(id__gt=last).order_by("id"))

    return record
