"""The API by a signed-in browser: the token comes in the header, and the body is left alone."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client

from accounts.roles import Role
from records.models import Instance
from tests import factories
from tests.gunicorn import Gunicorn
from tests.security.asking import PASSWORD, Browser, person_with_password

IMAGE = next(Path("samples").glob("chest-*/*.dcm")).read_bytes()
BOUNDARY = "b7f3c1e2d4"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STORED = (
    f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    + IMAGE
    + f"\r\n--{BOUNDARY}--\r\n".encode()
)


@pytest.fixture
def strict(db: None) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(factories.make_user(Role.TECHNICIAN))
    client.get("/profile/")
    return client


def token_of(client: Client) -> dict[str, str]:
    return {"X-CSRFToken": client.cookies["csrftoken"].value}


@pytest.mark.parametrize("content_type", [RELATED, "application/dicom"])
def test_a_session_stores_by_dicomweb(strict: Client, content_type: str) -> None:
    body = STORED if content_type == RELATED else IMAGE
    answer = strict.post(
        "/dicomweb/studies", body, content_type=content_type, headers=token_of(strict)
    )

    assert answer.status_code == 200, answer.content
    assert Instance.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/dicomweb/studies", RELATED),
        ("/dicomweb/studies", "application/dicom"),
        ("/dicomweb/studies", "multipart/form-data; boundary=x"),
        ("/dicomweb/studies/1.2.3", RELATED),
        ("/api/v1/submissions/", "multipart/form-data; boundary=x"),
        ("/api/v1/submissions/", "application/json"),
        ("/api/v1/tokens/", "application/x-www-form-urlencoded"),
    ],
)
def test_without_the_header_the_body_is_not_read(
    strict: Client, path: str, content_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def note(stream: io.BytesIO, *args: int) -> bytes:
        read.append(1)
        return b""

    monkeypatch.setattr("django.core.handlers.wsgi.LimitedStream.read", note)
    monkeypatch.setattr("django.core.handlers.wsgi.LimitedStream.readline", note)
    answer = strict.post(path, b"x" * 1000, content_type=content_type)

    assert answer.status_code == 403
    assert "X-CSRFToken" in answer.json()["action"]
    assert not read


def test_a_token_in_the_body_is_none(strict: Client) -> None:
    body = {"csrfmiddlewaretoken": strict.cookies["csrftoken"].value}

    assert strict.post("/api/v1/submissions/", body).status_code == 403


def test_a_wrong_header_and_a_foreign_origin_are_refused(strict: Client) -> None:
    for headers in ({"X-CSRFToken": "x" * 64}, {**token_of(strict), "Origin": "https://evil"}):
        answer = strict.post("/dicomweb/studies", STORED, content_type=RELATED, headers=headers)
        assert answer.status_code == 403
    assert not Instance.objects.exists()


@pytest.fixture
def browser(tmp_path: Path, transactional_db: None) -> Iterator[Browser]:
    server = Gunicorn(tmp_path / "gunicorn.log")
    server.start()
    try:
        user = person_with_password(Role.TECHNICIAN)
        browser = Browser(server.port)
        assert browser.submit("/sign-in/", username=user.username, password=PASSWORD).status == 302
        yield browser
    finally:
        server.stop()


@pytest.mark.slow
def test_a_browser_stores_by_dicomweb_and_goes_on_with_an_upload(browser: Browser) -> None:
    token = {"X-CSRFToken": browser.token("/profile/")}
    stored = browser.ask("POST", "/dicomweb/studies", STORED, **token, **{"Content-Type": RELATED})
    assert stored.status == 200, stored.text

    submission = browser.ask(
        "POST",
        "/api/v1/submissions/",
        '--x\r\nContent-Disposition: form-data; name="keep_open"\r\n\r\ntrue\r\n--x--\r\n',
        **token,
        **{"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert submission.status == 201, submission.text
    address = f"/api/v1/submissions/{json.loads(submission.text)['id']}/uploads/"
    tus = {**token, "Tus-Resumable": "1.0.0"}
    created = browser.ask("POST", address, b"", **tus, **{"Upload-Length": str(len(IMAGE))})
    assert created.status == 201, created.text
    sent = browser.ask(
        "PATCH",
        urlsplit(created.headers["Location"]).path,
        IMAGE,
        **tus,
        **{"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    assert sent.status == 204, sent.text
