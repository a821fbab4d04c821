"""The id of a request in log and trail is ours, or a proxy's of ours: no caller chooses it."""

import re
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import AuditEvent
from tests.gunicorn import Gunicorn
from tests.security.asking import ask

CHOSEN = "5ca1ab1e-0000-4000-8000-00000c0ffee0"
HEADERS = {"X-Request-ID": CHOSEN}


def fail_to_sign_in(client: Client, name: str = "nobody", **headers: str) -> str:
    client.post("/sign-in/", {"username": name, "password": "wrong"}, headers=headers)
    return AuditEvent.objects.latest("id").request_id


@pytest.mark.django_db
def test_a_caller_cannot_choose_the_id_in_the_trail(client: Client) -> None:
    noted = fail_to_sign_in(client, **HEADERS)

    assert re.fullmatch(r"[0-9a-f]{32}", noted)
    assert client.get("/sign-in/", headers=HEADERS)["X-Request-ID"] != CHOSEN


@pytest.mark.django_db
def test_two_callers_cannot_hide_behind_one_id(client: Client) -> None:
    ids = {fail_to_sign_in(client, name, **HEADERS) for name in ("one", "another")}

    assert len(ids) == 2


@pytest.mark.django_db
def test_a_proxy_of_ours_may_hand_in_an_id(client: Client, settings) -> None:
    settings.TRUSTED_PROXIES = 1

    assert fail_to_sign_in(client, **HEADERS) == CHOSEN


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given", ["Geheim-Maria-19790802", "patient.4711", "abc", "a" * 65, "a b" * 8]
)
def test_words_are_no_id_even_from_a_proxy_of_ours(client: Client, settings, given: str) -> None:
    settings.TRUSTED_PROXIES = 1

    assert fail_to_sign_in(client, **{"X-Request-ID": given}) != given


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_caller_chooses_the_id_of_a_server_of_its_own(tmp_path: Path) -> None:
    server = Gunicorn(tmp_path / "gunicorn.log")
    server.start()
    try:
        for path in ("/sign-in/", "/api/v1/me/", "/dicomweb/studies", "/no/such/page"):
            assert ask(server.port, "GET", path, **HEADERS).headers["X-Request-ID"] != CHOSEN
    finally:
        server.stop()
    assert CHOSEN not in server.log.read_text()
