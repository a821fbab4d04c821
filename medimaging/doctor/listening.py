"""The ports that the product takes: free, or taken by the product itself."""

import errno
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing

from django.conf import settings

from medimaging.configuration import load
from medimaging.doctor.findings import Finding, error, ok

TIMEOUT_S = 3


def examine() -> Iterator[Finding]:
    """Try to listen where web and DICOM do; where somebody does, ask who it is."""
    for bind in load().listed("WEB_BIND"):
        host, _, port = bind.rpartition(":")
        if host != "unix":
            yield _port("WEB_BIND", host.strip("[]"), int(port), is_web=True)
    if settings.DICOM_PORT:
        yield _port("DICOM_PORT", settings.DICOM_HOST, settings.DICOM_PORT, is_web=False)


def _port(name: str, host: str, port: int, *, is_web: bool) -> Finding:
    where = f"{host}, port {port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                return error(
                    "port_unusable",
                    f"This machine can't listen on {where}: {failure.strerror}.",
                    f"Correct {name}.",
                )
        else:
            return ok("port_free", f"Nobody listens on {where}.")
    if is_web and not _is_ours(host, port):
        return error(
            "port_taken",
            f"Another program listens on {where}.",
            f"End it, or choose another port in {name}.",
        )
    return ok("port_in_use", f"Something listens on {where}: the product, if it runs.")


def _is_ours(host: str, port: int) -> bool:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    connection = http.client.HTTPConnection(reachable, port, timeout=TIMEOUT_S)
    try:
        with closing(connection):
            connection.request("GET", "/healthz", headers={"Host": "localhost"})
            return bool(json.loads(connection.getresponse().read(500)) == {"status": "ok"})
    except (OSError, http.client.HTTPException, ValueError):
        return False
