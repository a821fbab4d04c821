"""A listening server in this process, real peers in others, and how to run them."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import connection

from records.dimse.server import DicomServer, make_server
from tests.prerequisites import require_program

PEER = "PEER"
PATIENCE_S = 20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def listening() -> Iterator[DicomServer]:
    """Our server on a port of its own; everything of it has ended afterwards."""
    server = make_server(host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.stop(grace_s=0)
        thread.join(PATIENCE_S)
        connection.close()


def port_of(server: DicomServer) -> int:
    return int(server.server_address[1])


def run(server: DicomServer, program: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run one of dcmtk's programs as PEER against our server."""
    require_program(program, "dcmtk")
    titles = ("-aet", PEER, "-aec", "MEDIMAGING")
    address = ("127.0.0.1", str(port_of(server)))
    return subprocess.run(
        [program, *titles, *address, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def eventually(condition: Callable[[], Any], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds that another thread or process brings about."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)
