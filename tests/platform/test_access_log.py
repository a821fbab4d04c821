"""The access log: one line for each request, with who and why, and nothing that was typed."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.roles import Role
from accounts.services import issue_token
from tests import factories
from tests.gunicorn import Gunicorn
from tests.product import wait_for
from tests.security.asking import PASSWORD, Browser, ask, person_with_password

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def server(tmp_path: Path, transactional_db: None) -> Iterator[Gunicorn]:
    server = Gunicorn(tmp_path / "gunicorn.log", LOG_LEVEL="INFO", LOG_FORMAT="json")
    server.start()
    yield server
    server.stop()


def test_each_request_is_one_line_with_who_asked_and_what_was_refused(server: Gunicorn) -> None:
    user = person_with_password(Role.TECHNICIAN)
    token, value = issue_token(actor=user, user=user, name="x", days=1)
    study = factories.make_study(department=factories.make_department())

    def asked(*arguments: Any, **headers: str) -> dict[str, Any]:
        """The one line that a request adds."""
        before = len(lines_of(server))
        ask(server.port, *arguments, **headers)
        (line,) = wait_for(lambda: lines_of(server)[before:], seconds=10, what="a line")
        return line

    by_token = {"Authorization": f"Token {value}"}
    line = asked("GET", "/api/v1/studies/", **by_token)
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/studies/", 200)
    assert (line["user"], line["token"]) == (str(user.pk), str(token.pk))
    assert line["bytes"] > 0
    assert line["ms"] >= 0
    assert len(line["request_id"]) == 32
    assert "code" not in line

    line = asked("GET", f"/api/v1/studies/{study.pk}/", **by_token)
    assert (line["status"], line["code"]) == (404, "not_found")
    assert line["route"].startswith("/api/v1/studies/<")
    assert str(study.pk) in line["message"]

    line = asked("GET", "/api/v1/studies/", Authorization="Token mi_Geheim")
    assert (line["status"], line["code"]) == (401, "not_authenticated")
    assert "user" not in line
    assert asked("GET", "/api/v1/studies/?Geheim=1", **by_token)["code"] == "invalid"
    assert asked("POST", "/sign-in/", b"username=Geheim")["code"] == "form_refused"
    assert asked("GET", "/nothing/Geheim/")["route"] == "-"

    line = asked("POST", "/sign-in/", b"x", **{"Content-Length": str(10**9)})
    assert (line["status"], line["code"], line["method"]) == (413, "too_large", "POST")

    assert "Geheim" not in server.log.read_text()
    assert value not in server.log.read_text()


def test_a_session_is_told_by_its_users_id_and_who_hangs_up_stops_nobody(
    server: Gunicorn,
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as stranger:
        stranger.sendall(b"GET /sign-in/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    user = person_with_password(Role.TECHNICIAN)
    browser = Browser(server.port)
    browser.submit("/sign-in/", username=user.username, password=PASSWORD)
    browser.ask("GET", "/profile/")

    def told() -> list[dict[str, Any]]:
        return [line for line in lines_of(server) if line["route"] == "/profile/"]

    (line,) = wait_for(told, seconds=10, what="a line")
    assert (line["status"], line["user"]) == (200, str(user.pk))
    assert user.username not in json.dumps(lines_of(server))


def lines_of(server: Gunicorn) -> list[dict[str, Any]]:
    """The access log so far."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line for line in lines if line["logger"] == "gunicorn.access"]
