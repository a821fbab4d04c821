"""Several workers at one table: each row is taken once, and a row in other hands stops nobody."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts.roles import Role
from classifier.models import Classification
from classifier.services import runs
from classifier.services.requests import request_classifications
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def queue(count: int) -> list[Classification]:
    department = factories.make_department()
    technician = factories.make_user(Role.TECHNICIAN, department=department)
    studies = [factories.make_study(department=department) for _ in range(count)]
    return [request_classifications(actor=technician, study=one)[0] for one in studies]


def claim(worker: str) -> runs.Claim | None:
    try:
        return runs.claim_classification(worker=worker)
    finally:
        connection.close()


def test_claim_classification_gives_each_row_once_when_many_come_at_once() -> None:
    rows = queue(12)
    with ThreadPoolExecutor(6) as workers:
        found = [one for one in workers.map(claim, [f"w{n}" for n in range(16)]) if one]
    assert sorted(one.classification_id for one in found) == sorted(row.pk for row in rows)


def test_claim_classification_passes_over_a_row_that_somebody_is_changing() -> None:
    first, second = queue(2)
    with ThreadPoolExecutor(1) as elsewhere, transaction.atomic():
        Classification.objects.select_for_update().get(pk=first.pk)
        found = elsewhere.submit(claim, "w").result(timeout=10)
    assert found is not None
    assert found.classification_id == second.pk
