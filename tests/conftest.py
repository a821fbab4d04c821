"""Every test runs on a real PostgreSQL and Redis, in a directory of its own, off the network."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from medimaging import addresses

DATA_DIR = Path(tempfile.mkdtemp(prefix="medimaging-tests-"))

# Before Django reads its settings. What a developer has exported must not reach the tests.
os.environ.update(
    DJANGO_SETTINGS_MODULE="medimaging.settings",
    MEDIMAGING_DATA_DIR=str(DATA_DIR),
    DATABASE_URL=addresses.database_url(DATA_DIR),
    REDIS_URL=addresses.redis_url(DATA_DIR),
    SECRET_KEY="a-key-for-tests-that-signs-nothing-of-value-0123456789",
    DEBUG="false",
    BEHIND_TLS="false",
    LOG_LEVEL="WARNING",
    INFERENCE_DEVICE="cpu",
)

# Now, because the conftest of a folder named on the command line is read before plugins set up.
django.setup()


def pytest_configure(config: pytest.Config) -> None:
    """Set Django up: the settings can be read from here on."""
    from django.conf import settings

    # Strong hashes are slow by design, and hundreds of accounts are made here.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if config.getoption("dist", "no") != "no":
        # A process that only hands out tests: those that run them find their own settings here.
        del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.fixture(scope="session")
def embedded_services() -> Iterator[None]:
    """PostgreSQL and Redis for the whole session, gone with it even if it is killed."""
    from medimaging.quickstart import services
    from medimaging.quickstart.programs import end, spawn

    services.prepare_run_dir(DATA_DIR)
    postgres = services.EmbeddedPostgres(DATA_DIR, is_durable=False)
    redis = services.EmbeddedRedis(DATA_DIR)
    programs = [service.prepare() for service in (postgres, redis)]
    with (DATA_DIR / "services.log").open("w") as log:
        processes = [spawn(program, output=log) for program in programs]
        try:
            postgres.wait()
            redis.wait()
            yield
        finally:
            for program, process in zip(programs, processes, strict=True):
                end(process, stop_signal=program.stop_signal, patience_s=10)
            shutil.rmtree(DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_services: None) -> None:
    """Have pytest-django make its database only once there is a server for it."""


@pytest.fixture(autouse=True, scope="session")
def _tables_can_be_emptied() -> Iterator[None]:
    """Lift the append-only triggers where pytest-django empties tables after a real commit."""
    from django.db.backends.postgresql.operations import DatabaseOperations

    statements = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, *args: Any, **kwargs: Any) -> list[str]:
        lift = "SET LOCAL session_replication_role = replica"
        return [lift, *statements(self, *args, **kwargs)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", sql_flush)
        yield


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that reaches for anything but this machine."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and not _is_local(address):
            pytest.fail(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


def _is_local(address: object) -> bool:
    host = str(address[0]) if isinstance(address, tuple) else ""
    return host == "localhost" or host == "::1" or host.startswith("127.")
