"""No log of ours holds what a caller sent: names, queries, links, tokens, cookies."""

import io
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg2
import pytest
from django.db import connection
from django.test import Client, RequestFactory

from accounts.roles import Role
from accounts.services import issue_token
from accounts.services.passwords import password_link_path
from medimaging import logs
from records.models import Patient
from tests import factories
from tests.gunicorn import Gunicorn
from tests.product import ROOT, free_port
from tests.security.asking import FORM, PASSWORD, Browser, ask, person_with_password, send_raw
from tests.security.caddy import Caddy, running_caddy

NAME = "Geheim"
PATIENT = f"{NAME}^Maria"

PATHS = (
    f"/dicomweb/studies?PatientName={PATIENT}&PatientID={NAME}4711",
    f"/dicomweb/studies%3FPatientName={PATIENT}",
    f"/dicomweb/studies;PatientName={PATIENT}",
    f"/dicomweb/studies/{NAME}",
    f"/dicomweb/studies/{NAME}/series/{NAME}/instances/{NAME}/frames/{NAME}",
    f"/dicomweb/studies/1.2.3/series/1.2.4/instances/1.2.5/bulkdata/{NAME}/{NAME}",
    f"/patients/?q={PATIENT}",
    f"/patients/{PATIENT}/",
    f"/{PATIENT}",
    f"//{NAME}//",
    f"/studies/{NAME}?next={NAME}",
    f"/api/v1/patients/{NAME}/?q={NAME}",
    f"/api/v1/studies/?q={NAME}&cursor={NAME}",
    f"/static/{NAME}.js?{NAME}",
    f"/models/tasks/{NAME.lower()}/withdraw/",
    f"/password/set/MQ/{NAME}/",
    f"/password/set/{NAME}",
    f"/sign-in/?next=/patients/?q={NAME}",
    f"/healthz?{NAME}",
    f"/%00{NAME}",
)
SENT = (
    {"Authorization": f"Token mi_{NAME}"},
    {"Authorization": f"{NAME} {NAME}"},
    {"Authorization": f"Basic {NAME}"},
    {"Cookie": f"sessionid={NAME}; csrftoken={NAME}; {NAME}={NAME}"},
    {"Referer": f"https://localhost/{NAME}/?q={NAME}", "X-Forwarded-Proto": "https"},
    {"Origin": f"https://{NAME}.example"},
    {"User-Agent": NAME, "X-Request-ID": f"{NAME}-{NAME}"},
    {"X-Forwarded-For": NAME, "X-Forwarded-Host": NAME, "Forwarded": NAME},
    {"Accept": f"application/{NAME}"},
    {"Content-Type": f"multipart/form-data; boundary={NAME}{NAME}"},
    {"Content-Type": f"multipart/related; type={NAME}; boundary={NAME}"},
    {"Content-Type": "application/json"},
    {"Content-Length": NAME},
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "GEHEIM")
RAW = (
    f"GET /studies?PatientName={NAME} Maria HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"GET /studies?PatientName={NAME} HTTP/{NAME}\r\nHost: localhost\r\n\r\n",
    f"{NAME}\r\n\r\n",
    f"{NAME} / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\n{NAME} Maria: x\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\n{NAME}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n {NAME}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: {NAME}/{NAME}?{NAME}\r\n\r\n",
    f"GET http://localhost/{NAME}?{NAME} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    f"POST /{NAME} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {NAME}\r\n\r\n",
    f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {NAME}\r\n\r\n",
    f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{NAME}\r\n",
    f"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: {NAME}\r\nContent-Length: 1\r\n\r\nx",
    f"GET /{NAME * 3000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


def assert_silent(*files: Path) -> None:
    time.sleep(0.5)
    for file in files:
        lines = file.read_text(errors="replace").splitlines()
        said = [line for line in lines if NAME.lower() in line.lower()]
        assert not said, "\n".join(said[:10])


@pytest.fixture
def server(tmp_path: Path, transactional_db: None) -> Iterator[Gunicorn]:
    server = Gunicorn(tmp_path / "gunicorn.log", LOG_LEVEL="INFO")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def proxied(tmp_path: Path, transactional_db: None) -> Iterator[tuple[Caddy, Gunicorn]]:
    server = Gunicorn(
        tmp_path / "gunicorn.log", LOG_LEVEL="INFO", BEHIND_TLS="true", TRUSTED_PROXIES="1"
    )
    server.start()
    with running_caddy(tmp_path, server.port) as caddy:
        yield caddy, server
    server.stop()


@pytest.mark.slow
def test_a_walk_with_names_leaves_none_in_the_web_servers_log(server: Gunicorn) -> None:
    browser = Browser(server.port)
    user = person_with_password(Role.TECHNICIAN)
    browser.submit("/sign-in/", username=user.username, password=PASSWORD)
    user.refresh_from_db()
    token, value = issue_token(actor=user, user=user, name="x", days=1)

    for path in PATHS:
        browser.ask("GET", path)
        ask(server.port, "GET", path, Authorization=f"Token {value}")
    for method in METHODS:
        browser.ask(method, f"/{NAME}?{NAME}")
        ask(server.port, method, f"/dicomweb/studies/{NAME}?{NAME}", b'{"x": "Geheim"')
    for headers in SENT:
        for path in ("/sign-in/", "/api/v1/submissions/", "/dicomweb/studies"):
            ask(server.port, "POST", path, b'{"q": "Geheim"', **headers)
            if "Cookie" not in headers:
                browser.ask("POST", path, b'{"q": "Geheim"', **headers)
    for sent in RAW:
        send_raw(server.port, sent.encode())
    browser.submit("/profile/", to="/patients/", q=PATIENT)

    text = server.log.read_text()
    assert text.count("GET /") > len(PATHS), text
    assert_silent(server.log)
    assert value not in text


@pytest.mark.slow
def test_forms_and_links_leave_nothing_in_the_web_servers_log(server: Gunicorn) -> None:
    owner = factories.make_user(Role.TECHNICIAN)
    link = password_link_path(owner, issued_by=None)
    uid, _, token = urlsplit(link).fragment.partition(".")
    browser = Browser(server.port)

    browser.ask("GET", "/password/set/")
    browser.ask("GET", f"/password/set/{uid}/{token}/")
    browser.submit("/password/set/", link=f"{uid}.{token}")
    browser.ask("GET", "/password/set/new/", Referer=f"http://localhost{link}")
    browser.ask("POST", "/password/set/", urlencode({"link": link}), **{"Content-Type": FORM})
    browser.submit("/sign-in/", username=NAME, password=f"{NAME}-{NAME}")
    browser.submit("/password/reset/", email=f"{NAME}@hospital.example")
    answer = browser.submit("/password/set/new/", new_password1=PASSWORD, new_password2=PASSWORD)
    assert answer.status == 302, answer.text

    text = server.log.read_text()
    assert token not in text
    assert uid not in text
    for secret in (*browser.cookies.values(), PASSWORD):
        assert secret not in text
    assert_silent(server.log)


@pytest.mark.slow
def test_the_web_servers_log_still_says_what_was_asked(server: Gunicorn) -> None:
    study = factories.make_study(department=factories.make_department())
    ask(server.port, "GET", f"/studies/{study.pk}/")
    ask(server.port, "GET", f"/dicomweb/studies/{study.study_instance_uid}/series?x=1")

    text = server.log.read_text()
    assert f'"GET /studies/{study.pk}/" 302' in text
    assert f'"GET /dicomweb/studies/{study.study_instance_uid}/series" 401' in text


def walk_proxy(caddy: Caddy) -> None:
    for path in PATHS:
        caddy.ask("GET", path)
        caddy.ask(
            "POST",
            path,
            urlencode({"q": NAME}),
            **{
                "Authorization": f"Token mi_{NAME}",
                "Cookie": f"__Host-sessionid={NAME}",
                "Referer": f"https://localhost/{NAME}?{NAME}",
                "User-Agent": NAME,
                "Content-Type": FORM,
            },
        )
    for method in METHODS:
        caddy.ask(method, f"/{NAME}?{NAME}")


@pytest.mark.slow
def test_the_proxy_writes_no_name_while_the_web_server_is_there(
    proxied: tuple[Caddy, Gunicorn],
) -> None:
    caddy, server = proxied
    walk_proxy(caddy)

    assert_silent(caddy.log, server.log)


@pytest.mark.slow
def test_the_proxy_writes_no_name_while_the_web_server_is_down(tmp_path: Path) -> None:
    with running_caddy(tmp_path, free_port()) as caddy:
        walk_proxy(caddy)
        assert caddy.ask("GET", f"/?{NAME}").status == 502

    text = caddy.log.read_text()
    assert text.count("connection refused") > len(PATHS), text
    assert '"status":502' in text
    assert_silent(caddy.log)


@pytest.mark.slow
def test_the_proxy_writes_no_name_when_the_web_server_breaks_off(
    proxied: tuple[Caddy, Gunicorn],
) -> None:
    caddy, server = proxied
    server.stop()
    walk_proxy(caddy)

    assert_silent(caddy.log)


def logged(logger: str, *args: object, log_format: str = "line", **kwargs: object) -> str:
    """What the root handler writes of one record."""
    settings = logs.log_settings(log_format=log_format, level="DEBUG", loggers={})
    formatter = settings["formatters"][log_format]["()"].rpartition(".")[2]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(getattr(logs, formatter)())
    handler.addFilter(logs.RequestIdFilter())
    target = logging.Logger(logger)
    target.addHandler(handler)
    target.error(*args, **kwargs)
    return stream.getvalue()


@pytest.mark.parametrize("log_format", ["line", "json"])
@pytest.mark.parametrize(
    "text",
    [
        "GET /patients/?q=Geheim^Maria failed",
        "https://user:Geheim@smtp.hospital.example/ is down",
        "postgres://medimaging:Geheim@postgres:5432/x",
        "redis://:Geheim@redis:6379/0",
        "link /password/set/#Geheim.c0ffee-Geheim",
        "link https://x.example/password/set/MQ/Geheim/",
        "Authorization: Token mi_Geheim-abcdef012345",
        "Authorization: Bearer Geheim.Geheim",
        "Cookie: __Host-sessionid=Geheim0123456789; csrftoken=Geheim",
        "{'csrfmiddlewaretoken': 'Geheim', 'password': 'Geheim'}",
        "token mi_Geheim was shown",
    ],
)
def test_secrets_are_cut_from_every_record(log_format: str, text: str) -> None:
    error = RuntimeError(text)

    assert NAME not in logged("anything.at.all", text, log_format=log_format)
    assert NAME not in logged("x", "Broke: %s", text, log_format=log_format)
    written = logged("x", "Broke", exc_info=error, log_format=log_format)
    assert NAME not in written
    assert "RuntimeError" in written


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("log_format", ["line", "json"])
def test_rows_that_the_database_refuses_are_not_told(log_format: str) -> None:
    statements = (
        "INSERT INTO accounts_department (id, name, slug, created_at)"
        " VALUES (gen_random_uuid(), %s, %s, now())",
        "SELECT %s::uuid, %s",
        "SELECT %s::int + %s::int",
    )
    with connection.cursor() as cursor:
        cursor.execute(statements[0], [f"{NAME} 1", NAME])
    for statement in statements:
        with connection.cursor() as cursor, pytest.raises(Exception) as caught:  # noqa: PT011 - any
            cursor.execute(statement, [f"{NAME} 1", NAME])
        assert isinstance(caught.value.__cause__, psycopg2.Error)
        written = logged("x", "Broke", exc_info=caught.value, log_format=log_format)
        assert NAME not in written
        assert "psycopg2.errors" in written
    patient = Patient(mrn="1", name=NAME, sex=NAME)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        Patient.objects.bulk_create([patient, patient])
    assert NAME not in logged("x", "Broke", exc_info=caught.value, log_format=log_format)


@pytest.mark.parametrize("log_format", ["line", "json"])
def test_what_django_says_of_a_request_names_its_route_alone(log_format: str) -> None:
    request = RequestFactory().get(f"/studies/{NAME}/", {"q": NAME})
    for name, status in (
        ("django.request", 404),
        ("django.request", 500),
        ("django.security.DisallowedHost", 400),
        ("django.security.csrf", 403),
    ):
        written = logged(
            name,
            "%s: %s",
            f"Referer checking failed - https://x/{NAME} does not match.",
            request.path,
            extra={"request": request, "status_code": status},
            exc_info=ValueError(NAME) if status == 400 else None,
            log_format=log_format,
        )
        assert NAME not in written
        assert "GET" in written


def test_warnings_of_libraries_do_not_reach_the_log() -> None:
    code = (
        "import os, warnings, django; django.setup()\n"
        "warnings.warn('Invalid value for VR PN: Geheim')\n"
        "import pydicom; pydicom.dataelem.DataElement(0x00100030, 'DA', 'Geheim')\n"
        "import logging; logging.getLogger('pydicom').warning('Geheim')\n"
        "logging.getLogger('pynetdicom').error('Geheim')\n"
        "print('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "went on" in done.stdout
    assert NAME not in done.stdout + done.stderr
    assert warnings.filters


def test_pages_of_ours_hand_no_address_to_other_sites(client: Client, db: None) -> None:
    assert client.get("/password/set/")["Referrer-Policy"] in ("same-origin", "no-referrer")
