"""Production's way in, as `docker/Caddyfile` has it: a real Caddy before a real web server."""

import http.client
import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from accounts.choices import Action
from accounts.models import AuditEvent
from tests.gunicorn import Gunicorn
from tests.prerequisites import require_program
from tests.product import ROOT, free_port, wait_for
from tests.records.dimse import make_certificate

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SPOOFED = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "chosen-by-the-caller"}


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and the certificate that it shows."""

    http_port: int
    https_port: int
    certificate: Path

    def ask(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> http.client.HTTPResponse:
        """Ask by TLS, the certificate checked."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            "localhost", self.https_port, timeout=30, context=context
        )
        connection.request(method, path, body or None, headers)
        return connection.getresponse()


@pytest.fixture(scope="module")
def proxy(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Both servers. The Caddyfile is the product's but for its ports and the web server's name."""
    require_program("caddy", "caddy")
    tmp_path = tmp_path_factory.mktemp("proxy")
    key, certificate = make_certificate(tmp_path, "localhost")
    ports = free_port(), free_port()
    origin = f"https://localhost:{ports[1]}"
    server = Gunicorn(
        tmp_path / "gunicorn.log",
        BEHIND_TLS="true",
        TRUSTED_PROXIES="1",
        CSRF_TRUSTED_ORIGINS=origin,
    )
    file = tmp_path / "Caddyfile"
    file.write_text(adapted(server, *ports))
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    environment |= {"SITE_ADDRESS": "localhost", "TLS": f"{certificate} {key}"}
    log = tmp_path / "caddy.log"
    server.start()
    try:
        with log.open("wb") as output:
            caddy = subprocess.Popen(
                ["caddy", "run", "--config", file, "--adapter", "caddyfile"],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(
                lambda: caddy.poll() is not None or "serving initial" in log.read_text(),
                seconds=30,
                what="Caddy",
            )
            assert caddy.poll() is None, log.read_text()
            yield Proxy(*ports, certificate)
        finally:
            caddy.terminate()
            caddy.wait(timeout=30)
    finally:
        server.stop()


def adapted(server: Gunicorn, http_port: int, https_port: int) -> str:
    """The product's Caddyfile with free ports, which fails where a place to put them is gone."""
    text = (ROOT / "docker/Caddyfile").read_text()
    for old, new in (
        ("http://{$SITE_ADDRESS}", f"http://localhost:{http_port}"),
        ("https://{$SITE_ADDRESS}", f"https://localhost:{https_port}"),
        ("web:8000", f"127.0.0.1:{server.port}"),
        ("{\n\tauto_https", "{\n\tadmin off\n\tauto_https"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("localhost", proxy.http_port, timeout=30)
    connection.request("GET", "/studies/?q=x")
    response = connection.getresponse()

    assert response.status == 301
    assert response.headers["Location"] == "https://localhost/studies/?q=x"


def test_pages_come_by_tls_with_cookies_for_tls_alone(proxy: Proxy) -> None:
    response = proxy.ask("GET", "/sign-in/", **{"Accept-Encoding": "gzip"})

    assert response.status == 200
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(re.findall(r"max-age=(\d+)", response.headers["Strict-Transport-Security"])[0])
    assert "Secure" in response.headers["Set-Cookie"]


def test_the_state_of_the_services_stays_inside(proxy: Proxy) -> None:
    assert proxy.ask("GET", "/readyz").status == 404
    assert proxy.ask("GET", "/statusz").status == 404
    assert proxy.ask("GET", "/healthz").status == 200


def test_callers_cannot_say_from_where_they_come(proxy: Proxy) -> None:
    page = proxy.ask("GET", "/sign-in/")
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    form = {"csrfmiddlewaretoken": token, "username": "nobody", "password": "wrong"}

    answer = proxy.ask(
        "POST",
        "/sign-in/",
        urlencode(form),
        **SPOOFED,
        **{
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": cookie,
            "Referer": f"https://localhost:{proxy.https_port}/sign-in/",
        },
    )

    assert answer.status == 200
    event = AuditEvent.objects.get(action=Action.SIGN_IN_FAILED)
    assert event.source_address in ("127.0.0.1", "::1")
    assert event.request_id not in ("", SPOOFED["X-Request-ID"])


def test_an_unknown_caller_reaches_dicomweb_and_is_refused_there(proxy: Proxy) -> None:
    response = proxy.ask("GET", "/dicomweb/studies", Accept="application/dicom+json")

    assert response.status == 401
    assert response.headers["X-Request-ID"]
