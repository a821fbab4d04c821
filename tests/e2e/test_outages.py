"""PostgreSQL and Redis stop, die or refuse under a running product: everybody is told, soon."""

import contextlib
import http.client
import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg2
import pytest

from medimaging import addresses
from tests.product import Client, Product, multipart, wait_for
from tests.stopped import servers, stopped

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SOON_S = 2.0
HEALTH_S = 1.0
BUSY_S = 0.5
"""What a machine that does much else may add to either."""

DOORS = (
    "/",
    "/sign-in/?next=/worklist/",
    "/worklist/",
    "/api/v1/studies/",
    "/api/v1/patients/",
    "/dicomweb/studies",
    "/api/v1/classifications/",
)
HEALTH = ("/healthz", "/readyz", "/statusz")

Views = Callable[[int], dict[str, bytes]]


@dataclass(frozen=True)
class Told:
    """An answer, and after how many seconds it was whole."""

    path: str
    status: int
    seconds: float
    headers: dict[str, str]
    body: bytes

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        return {part["name"]: part for part in json.loads(self.body)["parts"]}


def ask(product: Product, path: str, headers: dict[str, str] | None = None) -> Told:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
    connection.request("GET", path, headers={"Host": "localhost", **(headers or {})})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    seconds = time.monotonic() - began
    return Told(path, response.status, seconds, dict(response.getheaders()), body)


def ask_at_once(product: Product, paths: list[str], headers: dict[str, str]) -> list[Told]:
    found: list[Told] = []
    threads = [
        threading.Thread(target=lambda path=path: found.append(ask(product, path, headers)))
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(paths)
    return found


def run_by(client: Client) -> dict[str, str]:
    """Headers of a program, and of a browser whose session is nobody's."""
    return {"Authorization": f"Token {client.token}", "Cookie": f"sessionid={uuid.uuid4().hex}"}


def processes_of(product: Product, program: str) -> list[psutil.Process]:
    assert product.process is not None
    return servers(program, parent=product.process.pid)


def wait_until_it_serves(product: Product, client: Client) -> float:
    """Return after how many seconds every process of the web server answered."""
    began = time.monotonic()

    def all_answer() -> bool:
        told = ask_at_once(product, ["/api/v1/studies/"] * 12, run_by(client))
        return {one.status for one in told} == {200}

    wait_for(all_answer, seconds=30, what="answers after the outage")
    return time.monotonic() - began


def check_unavailable(told: Told) -> None:
    assert told.status == 503, told
    assert int(told.headers["Retry-After"]) > 0
    if told.path.startswith(("/api/", "/dicomweb/")):
        assert json.loads(told.body)["code"] == "database_unavailable"
        assert told.headers["Content-Type"] == "application/problem+json"
    else:
        assert b"The database can&#x27;t be reached" in told.body


def test_every_door_says_503_soon_while_postgres_says_nothing(
    product: Product, technician: Client
) -> None:
    headers = run_by(technician)
    ask_at_once(product, [*DOORS, *DOORS], headers)
    with stopped(processes_of(product, "postgres")):
        first = ask_at_once(product, [*DOORS * 3, *HEALTH], headers)
        later = [ask(product, path, headers) for path in DOORS * 2]
        health = [ask(product, path, headers) for path in HEALTH]

    for told in (told for told in first + later if told.path not in HEALTH):
        check_unavailable(told)
        assert told.seconds < SOON_S + BUSY_S, told
    assert statistics.median(told.seconds for told in later) < 0.3
    for told in (told for told in first + health if told.path in HEALTH):
        assert told.seconds < HEALTH_S + BUSY_S, told
        assert told.status == {"/readyz": 503}.get(told.path, 200)
    assert health[2].parts["database"]["code"] == "database_unavailable"
    assert health[2].parts["redis"]["state"] == "ok"
    assert wait_until_it_serves(product, technician) < 5
    # Each thread of each process has a connection that works.
    assert {told.status for told in ask_at_once(product, ["/api/v1/studies/"] * 24, headers)} == {
        200
    }


def test_an_upload_on_its_way_is_told_503_and_is_taken_when_it_comes_again(
    product: Product, technician: Client, views_of_a_chest: Views
) -> None:
    fields = {"department": "radiology", "patient_id": f"OUT-{uuid.uuid4().hex[:8]}"}
    fields |= {"patient_name": "Outage^Una", "modality": "CR", "body_part": "CHEST"}
    files = views_of_a_chest(3)
    body, content_type = multipart(files, fields)
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
    connection.putrequest("POST", "/api/v1/submissions/")
    for name, value in {
        "Authorization": f"Token {technician.token}",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    time.sleep(0.3)
    with stopped(processes_of(product, "postgres")):
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):  # it may have been refused by now
            connection.send(body[len(body) // 2 :])
        response = connection.getresponse()
        told = json.load(response)
        took = time.monotonic() - began
        connection.close()

    assert (response.status, told["code"]) == (503, "database_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert took < SOON_S + BUSY_S
    wait_until_it_serves(product, technician)
    answer = technician.submit(files, **fields)
    assert {file["verdict"] for file in answer["files"]} <= {"stored", "duplicate"}
    assert len(answer["files"]) == 3


def test_outages_use_up_no_attempt_though_one_is_longer_than_a_lease(
    product: Product, technician: Client, views_of_a_chest: Views
) -> None:
    """The server says nothing, then it dies; leases last 5 s here, and sweeps come every 3."""
    fields = {"department": "radiology", "patient_id": f"OUT-{uuid.uuid4().hex[:8]}"}
    fields |= {"patient_name": "Outage^Una", "modality": "CR", "body_part": "CHEST"}
    study = technician.submit(views_of_a_chest(60), **fields)["files"][0]["study"]
    technician.wait_for_state(study, "running")
    with stopped(processes_of(product, "postgres")):
        time.sleep(6.5)
    kill_postgres(product)
    wait_until_it_serves(product, technician)

    row = technician.wait_for_state(study, "awaiting_review", "abstained", "failed", seconds=90)
    assert row["status"] != "failed"
    assert row["attempt"] == 1


def kill_postgres(product: Product) -> None:
    for process in processes_of(product, "postgres"):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_postgres_killed_is_told_as_an_outage_and_mended_by_itself(
    product: Product, technician: Client
) -> None:
    headers = run_by(technician)
    kill_postgres(product)
    seen: list[Told] = []

    def has_come_back() -> bool:
        seen.append(ask(product, "/api/v1/studies/", headers))
        return seen[-1].status == 200

    wait_for(has_come_back, seconds=60, what="PostgreSQL's return")
    for told in seen[:-1]:
        check_unavailable(told)
        assert told.seconds < SOON_S + BUSY_S
    wait_until_it_serves(product, technician)


@contextlib.contextmanager
def superuser(product: Product) -> Iterator[Any]:
    directory = addresses.postgres_socket_dir(product.data_dir)
    connection = psycopg2.connect(
        host=str(directory), user=addresses.SUPERUSER, dbname=addresses.DATABASE
    )
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor


CUT_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"


@pytest.mark.parametrize(
    ("begin", "end", "code"),
    [
        (
            f"ALTER ROLE {addresses.APP} CONNECTION LIMIT 0",
            f"ALTER ROLE {addresses.APP} CONNECTION LIMIT -1",
            "database_unavailable",
        ),
        (
            f"ALTER ROLE {addresses.APP} SET default_transaction_read_only = on",
            f"ALTER ROLE {addresses.APP} RESET default_transaction_read_only",
            "database_read_only",
        ),
    ],
    ids=["crowded", "read-only"],
)
def test_a_database_that_refuses_is_told_as_an_outage(
    product: Product, technician: Client, begin: str, end: str, code: str
) -> None:
    headers = run_by(technician)
    with superuser(product) as cursor:
        cursor.execute(begin)
        cursor.execute(CUT_ALL, [addresses.APP])
        try:
            told = [ask(product, path, headers) for path in ("/api/v1/studies/", "/worklist/") * 3]
            ready = ask(product, "/readyz")
        finally:
            cursor.execute(end)
            cursor.execute(CUT_ALL, [addresses.APP])

    api = [one for one in told if one.path.startswith("/api/")]
    assert {one.status for one in api} == {503}
    assert not [one for one in told if one.status == 500]
    assert (ready.status, ready.parts["database"]["code"]) == (503, code)
    wait_until_it_serves(product, technician)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_submission_costs_no_more_without_redis(
    product: Product, technician: Client, views_of_a_chest: Views, how: str
) -> None:
    def submit() -> tuple[float, str]:
        fields = {"department": "radiology", "patient_id": f"OUT-{uuid.uuid4().hex[:8]}"}
        fields |= {"patient_name": "Outage^Una", "modality": "CR", "body_part": "CHEST"}
        files = views_of_a_chest(1)
        began = time.monotonic()
        answer = technician.submit(files, **fields)
        return time.monotonic() - began, answer["files"][0]["study"]

    usual = statistics.median(submit()[0] for _ in range(3))
    redis = processes_of(product, "redis-server")
    if how == "stopped":
        with stopped(redis):
            without = [submit() for _ in range(3)]
            health = [ask(product, path) for path in HEALTH]
    else:
        product.kill("redis-server")
        without = [submit() for _ in range(2)]
        health = []

    # By 5 s and 2 s more before the bell was rung by a thread of its own.
    assert min(seconds for seconds, _ in without) < usual + 0.5
    assert max(seconds for seconds, _ in without) < usual + 1.5
    for told in health:
        assert (told.status, told.seconds < HEALTH_S + BUSY_S) == (200, True)
    if health:
        assert health[2].parts["redis"]["code"] == "redis_unavailable"
    row = technician.wait_for_state(without[-1][1], "awaiting_review", "abstained", seconds=90)
    assert row["attempt"] == 1
