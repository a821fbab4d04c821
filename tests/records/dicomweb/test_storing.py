"""STOW-RS by whole requests."""

import json

import pytest

from accounts.models import Action, AuditEvent
from records.models import Instance, Origin, Study, StudyState, Submission
from tests.records.files import make_dicom, make_report

pytestmark = pytest.mark.django_db
OBJECTS = 'multipart/related; type="application/dicom"; boundary="a b"'


def body_of(*contents: bytes, boundary: str = "a b", part_type: str = "application/dicom") -> bytes:
    parts = [
        f"--{boundary}\r\nContent-Type: {part_type}\r\n\r\n".encode() + content + b"\r\n"
        for content in contents
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def store(client, body: bytes, *, path: str = "studies", content_type: str = OBJECTS, **headers):
    return client.post(
        f"/dicomweb/{path}", data=body, content_type=content_type, headers=headers
    )


def test_store_holds_every_part_and_says_where(browser):
    first, second = make_dicom(), make_dicom()

    response = store(browser, body_of(first, second))

    assert response.status_code == 200, response.content
    answer = json.loads(response.content)
    assert response["Content-Type"] == "application/dicom+json"
    urls = [item["00081190"]["Value"][0] for item in answer["00081199"]["Value"]]
    assert [browser.get(url).status_code for url in urls] == [200, 200]
    assert "00081198" not in answer
    assert Submission.objects.get().origin == Origin.STOW
