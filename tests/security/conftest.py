"""Departments between which nothing may leak."""

import pytest

from accounts.models import Department
from tests.factories import make_department


@pytest.fixture
def radiology(db: None) -> Department:
    return make_department("Radiology")


@pytest.fixture
def dermatology(db: None) -> Department:
    return make_department("Dermatology")
