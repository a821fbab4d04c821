"""A listening server in this process, real peers in others, and how to run them."""

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import connection

from records.dimse.server import DicomServer, make_server
from records.models import Study
from tests.prerequisites import require_program

PEER = "PEER"
DESTINATION = "STORE"
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


def run(server, program: str, *arguments: str | Path) -> subprocess.CompletedProcess:
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


def find(server: DicomServer, *keys: str) -> list[str]:
    """Ask at the study root, and return the text of each answer."""
    arguments = [part for key in keys for part in ("-k", key)]
    done = run(server, "findscu", "-S", *arguments)
    assert done.returncode == 0, done.stderr
    return re.split(r"Find Response: \d+ \(Pending\)", done.stderr + done.stdout)[1:]


def find_status(server: DicomServer, *keys: str) -> str:
    """The codes of the answers, as findscu writes them when it is asked to say all."""
    arguments = [part for key in keys for part in ("-k", key)]
    done = run(server, "findscu", "-d", "-S", *arguments)
    return " ".join(re.findall(r"DIMSE Status\s+: 0x([0-9a-f]{4})", done.stderr + done.stdout))


@contextlib.contextmanager
def receiving(folder: Path, *options: str | Path) -> Iterator[int]:
    """dcmtk's receiver as DESTINATION, writing into a folder; its port on this machine."""
    require_program("storescp", "dcmtk")
    port = free_port()
    folder.mkdir()
    command = ["storescp", *options, "-aet", DESTINATION, "+uf", "-od", folder, str(port)]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def move(server: DicomServer, study: Study, *options: str, to: str = DESTINATION) -> str:
    """Have a study sent to a destination, and return all that movescu says about it."""
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.study_instance_uid}")
    done = run(server, "movescu", "-d", "-S", "-aem", to, *options, *keys)
    return f"{done.stderr}{done.stdout}exit {done.returncode}"


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """The key and the certificate of a host, signed by itself."""
    require_program("openssl", "openssl")
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return key, certificate


def eventually(condition: Callable[[], Any], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds that another thread or process brings about."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)
