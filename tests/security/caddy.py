"""The shipped Caddyfile in a real Caddy, before a web server that is there or isn't."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from types import SimpleNamespace

from tests.platform.test_proxy import adapted
from tests.prerequisites import require_program
from tests.product import free_port, wait_for
from tests.records.dimse import make_certificate


class Caddy:
    """Where it listens, what it shows, what it writes."""

    def __init__(self, folder: Path, upstream_port: int) -> None:
        self.key, self.certificate = make_certificate(folder, "localhost")
        self.ports = free_port(), free_port()
        self.log = folder / "caddy.log"
        self.file = folder / "Caddyfile"
        self.file.write_text(adapted(SimpleNamespace(port=upstream_port), *self.ports))

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> HTTPResponse:
        """Ask by TLS, and read the whole answer."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = HTTPSConnection("localhost", self.ports[1], timeout=60, context=context)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        return answer


@contextmanager
def running_caddy(folder: Path, upstream_port: int) -> Iterator[Caddy]:
    """Start it, and end it."""
    require_program("caddy", "caddy")
    caddy = Caddy(folder, upstream_port)
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    environment |= {"SITE_ADDRESS": "localhost", "TLS": f"{caddy.certificate} {caddy.key}"}
    with caddy.log.open("wb") as output:
        process = subprocess.Popen(
            ["caddy", "run", "--config", caddy.file, "--adapter", "caddyfile"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(
            lambda: process.poll() is not None or "serving initial" in caddy.log.read_text(),
            seconds=30,
            what="Caddy",
        )
        assert process.poll() is None, caddy.log.read_text()
        yield caddy
    finally:
        process.terminate()
        process.wait(timeout=30)
