"""Sixty-four strangers who hold connections slow nobody down, whichever way they come in."""

import ssl
from collections.abc import Iterator
from statistics import median

import pytest
from django.conf import settings
from django.test import Client

from accounts.roles import Role
from tests.factories import make_user
from tests.gunicorn import Gunicorn
from tests.platform.test_proxy import Proxy, proxy  # noqa: F401 - a fixture
from tests.product import free_port
from tests.security.strangers import Crowd, Door, watch

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

STRANGERS = 64
HEALTH_S = 0.5
PAGE_S = 2.0
WATCHED_S = 4.0
FAMILIES = {"v4": "127.0.0.1", "v6": "::1"}
CROWDS = {
    "idle": ["idle"],
    "heads": ["heads"],
    "forms": ["forms"],
    "uploads": ["uploads"],
    "readers": ["readers"],
    "mixed": ["idle", "heads", "forms", "chunks", "uploads", "readers"],
}


@pytest.fixture(scope="module")
def alone(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """The web server as `make run` has it, on both families."""
    port = free_port()
    log = tmp_path_factory.mktemp("alone") / "log"
    server = Gunicorn(log, WEB_BIND=f"127.0.0.1:{port},[::1]:{port}", WEB_CONCURRENCY="2")
    server.port = port
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["alone", "proxy"])
def port_and_tls(request: pytest.FixtureRequest) -> tuple[int, ssl.SSLContext | None]:
    """Each way in."""
    way: Gunicorn | Proxy = request.getfixturevalue(request.param)
    if isinstance(way, Gunicorn):
        return way.port, None
    return way.https_port, ssl.create_default_context(cafile=str(way.certificate))


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES)
def door(request: pytest.FixtureRequest, port_and_tls: tuple) -> Door:
    return Door(request.param, *port_and_tls)


@pytest.fixture
def cookie(client: Client) -> str:
    """The session of somebody who is at work meanwhile."""
    client.force_login(make_user(Role.TECHNICIAN))
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    return f"sessionid={value}; __Host-sessionid={value}"


@pytest.mark.parametrize("kinds", CROWDS.values(), ids=CROWDS)
def test_others_are_served_while_strangers_hold_connections(
    door: Door, kinds: list[str], cookie: str, record_property
) -> None:
    def page() -> float:
        return door.seconds_for("/studies/", Cookie=cookie)

    def health() -> float:
        return door.seconds_for("/healthz")

    page(), health()
    crowd = Crowd(door, [kinds[number % len(kinds)] for number in range(STRANGERS)])
    with crowd.present():
        healths = watch(health, seconds=WATCHED_S / 2)
        pages = watch(page, seconds=WATCHED_S / 2)

    for name, took in (("healthz", healths), ("page", pages)):
        record_property(name, f"median {median(took):.3f} s, most {max(took):.3f} s")
        print(f"{name}: median {median(took):.3f} s, most {max(took):.3f} s of {len(took)}")
    assert max(healths) <= HEALTH_S
    assert max(pages) <= PAGE_S
