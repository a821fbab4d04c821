"""The store of images goes away under the running product, and comes back: nothing is failed."""

import io
import time
import uuid
from pathlib import Path

import pytest
from PIL import Image

from tests.product import Client, Product, multipart, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

STUDIES = 6


def test_store_away_for_seconds_fails_no_study_and_marks_nothing(
    product: Product, technician: Client, auditor: Client, chest_image: bytes
) -> None:
    directory, aside = product.data_dir / "images", product.data_dir / "images-away"
    studies = [submitted(technician, chest_image, number) for number in range(STUDIES)]

    directory.rename(aside)
    try:
        wait_for(lambda: refusal(technician) == 503, seconds=30, what="a refusal")
        states = {technician.classification_of(study)["status"] for study in studies}
        assert "failed" not in states
        time.sleep(3)  # a sweep or more: workers try again and again meanwhile
        assert not directory.exists(), list(directory.iterdir())
    finally:
        restore(directory, aside)

    for study in studies:
        row = technician.wait_for_state(study, "awaiting_review", "abstained", "failed")
        assert row["status"] != "failed", row
        assert row["attempt"] == 1
    assert not auditor.get("audit-events/?action=storage.damaged")["results"]
    assert submitted(technician, chest_image, STUDIES)


def restore(directory: Path, aside: Path) -> None:
    assert not directory.exists()
    aside.rename(directory)


def submitted(technician: Client, picture: bytes, number: int) -> str:
    answer = technician.submit({"chest.png": varied(picture, number)}, **fields())
    assert answer["state"] == "stored"
    return str(answer["files"][0]["study"])


def refusal(technician: Client) -> int:
    body, content_type = multipart({"x.png": b"x"}, fields())
    status, answer = technician.request("POST", "submissions/", body, content_type)
    assert status in (201, 503), answer
    if status == 503:
        assert answer["code"] == "storage_unavailable"
    return status


def fields() -> dict[str, str]:
    return {
        "department": "radiology",
        "patient_id": f"OUT-{uuid.uuid4().hex[:8]}",
        "patient_name": "Outage^Otto",
        "birth_date": "1980-02-29",
        "sex": "M",
        "modality": "CR",
        "body_part": "CHEST",
    }


def varied(picture: bytes, number: int) -> bytes:
    image = Image.open(io.BytesIO(picture)).convert("L")
    image.putpixel((0, 0), number)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
