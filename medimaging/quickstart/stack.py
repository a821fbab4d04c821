"""What the quickstart runs, in which order, and how it knows that the product is ready."""

import contextlib
import errno
import fcntl
import http.client
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from medimaging import addresses
from medimaging.quickstart.errors import AddressUnusable, AlreadyRunning, NeverReady, PortTaken
from medimaging.quickstart.programs import Program
from medimaging.quickstart.services import EmbeddedPostgres, EmbeddedRedis, prepare_run_dir
from medimaging.quickstart.supervisor import Supervisor

READY_TIMEOUT_S = 90
KEY_FILE = "secret-key"
# A worker empties its queues in this order. What people wait for has a worker of its own; short
# sweeps go before exports.
CLASSIFICATION_QUEUES = ("urgent", "routine")
BACKGROUND_QUEUES = ("housekeeping", "exports")
# An export takes one of them at most, so that sweeps always find another.
BACKGROUND_PROCESSES = 2


def check_port_is_free(host: str, port: int) -> None:
    """Raise PortTaken, naming a port that is free, before anything has been started."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(host=host, port=port, other=_free_port(host)) from None
            raise AddressUnusable(host=host, port=port, reason=error) from None


def _free_port(host: str) -> int:
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextlib.contextmanager
def only_run(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: two quickstarts on one would fight over its services."""
    prepare_run_dir(data_dir)
    with (addresses.run_dir(data_dir) / "quickstart.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(data_dir=data_dir) from None
        yield


def keep_secret_key(data_dir: Path) -> str:
    """Return the installation's own key, made on its first run and readable by its owner only."""
    path = data_dir / KEY_FILE
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
    return path.read_text().strip()


def start_services(supervisor: Supervisor, data_dir: Path, given: Mapping[str, str]) -> None:
    """Start the embedded services that the environment doesn't already name."""
    services: list[EmbeddedPostgres | EmbeddedRedis] = []
    if not given.get("DATABASE_URL"):
        services.append(EmbeddedPostgres(data_dir))
    if not given.get("REDIS_URL"):
        services.append(EmbeddedRedis(data_dir))
    for service in services:
        supervisor.start(service.prepare())
    for service in services:
        service.wait()


def product_programs(environment: Mapping[str, str]) -> list[Program]:
    """The web server, the two workers, and the clock of the periodic tasks."""
    celery = (sys.executable, "-m", "celery", "--app", "medimaging", "--quiet")
    return [
        Program(
            name="web",
            command=(
                *(sys.executable, "-m", "gunicorn", "--config", "python:medimaging.web_server"),
                "medimaging.wsgi",
            ),
            environment=environment,
        ),
        _worker("worker", celery, environment, queues=CLASSIFICATION_QUEUES, processes=1),
        _worker(
            *("background", celery, environment),
            queues=BACKGROUND_QUEUES,
            processes=BACKGROUND_PROCESSES,
        ),
        Program(name="beat", command=(*celery, "beat"), environment=environment),
    ]


def _worker(
    name: str,
    celery: tuple[str, ...],
    environment: Mapping[str, str],
    *,
    queues: tuple[str, ...],
    processes: int,
) -> Program:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return Program(
        name=name,
        command=(
            *(*celery, "worker", "--hostname", f"{name}@%h", "--pool", "prefork"),
            *("--concurrency", str(processes), "--queues", ",".join(queues), *quiet),
        ),
        environment=environment,
    )


def dicom_program(environment: Mapping[str, str]) -> Program:
    """What listens for DICOM associations."""
    return Program(
        name="dicom",
        command=(sys.executable, "-m", "django", "dicom_scp"),
        environment={**environment, "DJANGO_SETTINGS_MODULE": "medimaging.settings"},
    )


def metrics_program(environment: Mapping[str, str]) -> Program:
    """What tells Prometheus of the site, and of what the other programs count."""
    return Program(
        name="metrics",
        command=(sys.executable, "-m", "django", "export_metrics"),
        environment={**environment, "DJANGO_SETTINGS_MODULE": "medimaging.settings"},
    )


def wait_until_ready(supervisor: Supervisor, host: str, port: int) -> None:
    """Return once the web server says that all it needs is there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    seen = {"state": "the web server gave no answer"}

    def is_ready() -> bool:
        connection = http.client.HTTPConnection(reachable, port, timeout=5)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            connection.request("GET", "/readyz", headers={"Host": "localhost"})
            response = connection.getresponse()
            seen["state"] = response.read(500).decode(errors="replace")
            return response.status == http.HTTPStatus.OK
        return False

    if not supervisor.wait_until(is_ready, timeout_s=READY_TIMEOUT_S):
        raise NeverReady(seconds=READY_TIMEOUT_S, log=supervisor.log_file, **seen)
