"""A bucket goes away under a worker that classifies, and comes back: nothing fails of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import SWIFT
from tests.product import Client, Product, running, wait_for
from tests.records.buckets import bucket_settings, make_bucket, s3_service
from tests.records.outages import Wire
from tests.upgrades.facts import ask, superuser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

BEHIND = 5
"""Studies that wait behind the one that a worker has in hand."""
ATTEMPTS = 3
ANSWERED = ("awaiting_review", "abstained")
PACE = {**SWIFT, "CLASSIFICATION_LEASE_SECONDS": "60"}
"""A busy machine takes no study from its worker here: nothing but the store is away."""
REASONS = """
SELECT DISTINCT details ->> 'reason' FROM accounts_auditevent
 WHERE action = 'classification.requeued'
"""
ROWS = "SELECT state, attempt, waiting_code, fence FROM classifier_classification"

Views = Callable[[int], dict[str, bytes]]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_service(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(scope="module")
def wire(address: str) -> Iterator[Wire]:
    """The way to the service: once it is cut, nobody can tell that from a killed service."""
    wire = Wire(int(address.rsplit(":", 1)[1]))
    yield wire
    wire.close()


@pytest.fixture(scope="module")
def product(
    address: str, wire: Wire, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    data_dir: Path = tmp_path_factory.mktemp("bucket") / "data"
    data_dir.mkdir()
    (data_dir / "samples-submitted").touch()
    settings = bucket_settings(wire.url, make_bucket(address))
    with running(data_dir, **PACE, **settings) as product:
        yield product


@pytest.fixture
def technician(product: Product) -> Client:
    return product.client(product.manage("issue_token", "--user", "technician", "--days", "1"))


def test_bucket_that_goes_under_a_worker_costs_no_attempt_and_no_study(
    product: Product, wire: Wire, technician: Client, views_of_a_chest: Views
) -> None:
    studies = [submitted(technician, views_of_a_chest(60), "0")]
    studies += [submitted(technician, views_of_a_chest(1), f"{n}") for n in range(1, 1 + BEHIND)]
    technician.wait_for_state(studies[0], "running", seconds=90)

    with wire.out_of_order("refused"):
        wait_for(lambda: fewest_tries(product) > ATTEMPTS, seconds=180, what="tries of each row")
        with superuser(product.data_dir) as cursor:
            rows, reasons = ask(cursor, ROWS), ask(cursor, REASONS)
        assert reasons == [("storage_unavailable",)]
        assert {(state, attempt) for state, attempt, *_ in rows} <= {("queued", 0), ("running", 1)}
        assert {code for _, _, code, _ in rows} == {"storage_unavailable"}

    for study in studies:
        row = technician.wait_for_state(study, *ANSWERED, "failed", seconds=120)
        assert (row["status"] in ANSWERED, row["attempt"]) == (True, 1), row
    assert events(product, "storage.damaged") == events(product, "classification.failed") == 0
    with superuser(product.data_dir) as cursor:
        assert not ask(cursor, "SELECT id FROM records_instance WHERE damage <> ''")


def submitted(technician: Client, files: dict[str, bytes], number: str) -> str:
    fields = {"patient_id": f"BUCKET-{number}", "modality": "CR", "body_part": "CHEST"}
    answer = technician.submit(files, **fields)
    assert answer["state"] == "stored", answer
    return str(answer["files"][0]["study"])


def fewest_tries(product: Product) -> int:
    """How often the row that was taken least often has been taken."""
    with superuser(product.data_dir) as cursor:
        return min(fence for *_, fence in ask(cursor, ROWS))


def events(product: Product, action: str) -> int:
    with superuser(product.data_dir) as cursor:
        found = ask(cursor, "SELECT count(*) FROM accounts_auditevent WHERE action = %s", action)
    return int(found[0][0])
