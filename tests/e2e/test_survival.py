"""Processes are killed for real: nothing may be lost, nothing may be there twice."""

import http.client
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from medimaging.bounds import bound_of_place
from records.files.stores import PREFIXES
from tests.product import Client, Product, multipart, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Views = Callable[[int], dict[str, bytes]]


def chest_fields() -> dict[str, str]:
    """A patient of this test's own."""
    return {
        "department": "radiology",
        "patient_id": f"E2E-{uuid.uuid4().hex[:8]}",
        "patient_name": "Survivor^Sam",
        "birth_date": "1980-02-29",
        "sex": "M",
        "modality": "CR",
        "body_part": "CHEST",
    }


def completed_events(auditor: Client, study: str, action: str) -> int:
    return len(auditor.get(f"audit-events/?study={study}&action={action}")["results"])


def test_worker_killed_during_inference_loses_nothing_and_answers_once(
    product: Product, technician: Client, auditor: Client, views_of_a_chest: Views
) -> None:
    answer = technician.submit(views_of_a_chest(60), **chest_fields())
    study = answer["files"][0]["study"]
    technician.wait_for_state(study, "running")
    product.kill("celery", "worker")
    assert technician.classification_of(study)["status"] in {"running", "queued"}
    row = technician.wait_for_state(study, "awaiting_review", "abstained", "failed")
    assert row["status"] in {"awaiting_review", "abstained"}, row
    assert row["attempt"] >= 2
    ended = completed_events(auditor, study, "classification.completed")
    ended += completed_events(auditor, study, "classification.abstained")
    assert ended == 1
    scores = technician.get(f"classifications/{row['id']}/")["instance_scores"]
    frames = [(score["instance"], score["frame"]) for score in scores]
    assert len(frames) == len(set(frames))


def test_redis_killed_loses_no_submission(
    product: Product, technician: Client, views_of_a_chest: Views
) -> None:
    product.kill("redis-server")
    answer = technician.submit(views_of_a_chest(1), **chest_fields())
    assert answer["state"] == "stored"
    study = answer["files"][0]["study"]
    row = technician.wait_for_state(study, "awaiting_review", "abstained", seconds=90)
    assert row["attempt"] == 1


def test_web_killed_during_an_upload_keeps_what_was_stored_and_takes_the_rest(
    product: Product, technician: Client, views_of_a_chest: Views
) -> None:
    fields = chest_fields()
    files = views_of_a_chest(4)
    _send_half_and_kill(product, technician, files, fields)
    wait_for(lambda: _is_up(product), seconds=60, what="the web server's return")
    answer = technician.submit(files, **fields)
    assert {file["verdict"] for file in answer["files"]} <= {"stored", "duplicate"}
    studies = {file["study"] for file in answer["files"]}
    (patient,) = {technician.get(f"studies/{study}/")["patient"]["id"] for study in studies}
    instances = technician.get(f"studies/?patient={patient}")["results"]
    assert sum(study["instance_count"] for study in instances) == len(files)
    for study in studies:
        technician.wait_for_state(study, "awaiting_review", "abstained")


def test_submission_left_half_way_is_closed_and_classified(
    product: Product, technician: Client, views_of_a_chest: Views
) -> None:
    """The server dies between storing the files and closing the submission."""
    fields = chest_fields()
    files = views_of_a_chest(40)
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
    body, content_type = multipart(files, fields)
    connection.request(
        "POST",
        "/api/v1/submissions/",
        body,
        {"Content-Type": content_type, "Authorization": f"Token {technician.token}"},
    )
    wait_for(lambda: _stored(technician, fields), seconds=30, what="the first stored file")
    product.kill("gunicorn")
    wait_for(lambda: _is_up(product), seconds=60, what="the web server's return")
    study = _stored(technician, fields)
    assert study
    row = wait_for(
        lambda: _ended(technician, study), seconds=120, what="the result of what was stored"
    )
    assert row["status"] in {"awaiting_review", "abstained"}


def _stored(technician: Client, fields: dict[str, str]) -> str | None:
    """The study of this test's own patient, as soon as there is one."""
    patients = technician.get("patients/?page_size=200")["results"]
    own = [patient["id"] for patient in patients if patient["patient_id"] == fields["patient_id"]]
    if not own:
        return None
    (study,) = technician.get(f"studies/?patient={own[0]}")["results"]
    return str(study["id"])


def _ended(technician: Client, study: str) -> dict[str, object] | None:
    rows = technician.get(f"classifications/?study={study}")["results"]
    return next((row for row in rows if row["status"] not in {"queued", "running"}), None)


def _send_half_and_kill(
    product: Product, technician: Client, files: dict[str, bytes], fields: dict[str, str]
) -> None:
    body, content_type = multipart(files, fields)
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
    connection.putrequest("POST", "/api/v1/submissions/")
    connection.putheader("Authorization", f"Token {technician.token}")
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    time.sleep(0.5)
    product.kill("gunicorn")
    connection.close()


def _is_up(product: Product) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=2)
        connection.request("GET", "/readyz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except OSError:
        return False


def test_a_running_product_is_backed_up_and_comes_back_where_nothing_runs(
    product: Product, tmp_path: Path
) -> None:
    said = product.manage("backup", str(tmp_path / "set"))
    verified = product.manage("verify_backup", str(tmp_path / "set"), "--restore-dump")
    restored = Product(tmp_path / "new").manage("restore", str(tmp_path / "set"))

    (rows,) = re.findall(r"Database: (\d+) rows", said)
    (files,) = re.findall(r"Files: ([1-9]\d*) \(", said)
    assert f"The dump was restored: {rows} rows" in verified
    assert f"Database: {rows} rows, as many in each table as were dumped." in restored
    assert re.search(rf"Files: {files} \(.*\), every hash compared; 0 were there", restored)


def test_it_writes_nowhere_but_where_a_bound_is_declared(product: Product) -> None:
    written = {
        path.relative_to(product.data_dir).as_posix()
        for pattern in ("*", "images/*", "files/*")
        for path in product.data_dir.glob(pattern)
    }
    slices = {f"images/{prefix}" for prefix in PREFIXES}
    undeclared = {path for path in written - slices - {"files"} if not bound_of_place(path)}
    assert "images/store-id.txt" in written
    assert undeclared == set()
