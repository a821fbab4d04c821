"""What tests of the product run on: a real PostgreSQL and Redis, in a directory of their own.

Importing it sets Django up. `tests/startup.py` has pytest do that, where it is needed.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from filelock import FileLock

from medimaging import addresses

ROOT = Path(__file__).parents[1]
CLUSTERS = ROOT / "var" / "test-clusters"
SCHEMA = (
    *("*/migrations/*.py", "accounts/postgresql/*.py", "medimaging/database_roles.py"),
    *("medimaging/management/commands/migrate.py", "medimaging/quickstart/services.py"),
    *("requirements/base.txt", "requirements/quickstart.txt", "tests/installation.py"),
)
"""What a migrated cluster depends on: while none of it changes, one is made once and copied."""
DATA_DIR = Path(tempfile.mkdtemp(prefix="medimaging-tests-"))
TEST_DATABASE = "test_medimaging"
LOCK_TIMEOUT = "120s"
"""A test that waits for its own lock fails in PostgreSQL's words. Who waits in the driver hears no
alarm: pytest-timeout can't end it."""


def addressed(data_dir: Path) -> dict[str, str]:
    """The settings by which each role gets to the tests' database on a server of that place."""
    roles = {"": addresses.APP, "OWNER_": addresses.OWNER, "AUDITOR_": addresses.AUDITOR}
    return {
        f"DATABASE_{name}URL": addresses.database_url(data_dir, TEST_DATABASE, role=role)
        for name, role in roles.items()
    }


# Before Django reads its settings. What a developer has exported must not reach the tests.
os.environ.update(
    addressed(DATA_DIR),
    DJANGO_SETTINGS_MODULE="medimaging.settings",
    MEDIMAGING_DATA_DIR=str(DATA_DIR),
    REDIS_URL=addresses.redis_url(DATA_DIR),
    SECRET_KEY="a-key-for-tests-that-signs-nothing-of-value-0123456789",
    DEBUG="false",
    BEHIND_TLS="false",
    LOG_LEVEL="WARNING",
    INFERENCE_DEVICE="cpu",
)

# Now, because the conftest of a folder named on the command line is read before plugins set up.
django.setup()


def pytest_configure() -> None:
    """Hash passwords fast: strong hashes are slow by design, and hundreds of accounts are made."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def embedded_services() -> Iterator[None]:
    """PostgreSQL and Redis for the whole session, gone with it even if it is killed."""
    from medimaging.quickstart import services
    from medimaging.quickstart.programs import end, spawn

    services.prepare_run_dir(DATA_DIR)
    subprocess.run(["cp", "-a", _migrated_cluster(), DATA_DIR / "pgdata"], check=True)
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


def _migrated_cluster() -> Path:
    """The directory of a stopped PostgreSQL with the tests' database, made if need be."""
    found = sorted(path for pattern in SCHEMA for path in ROOT.glob(pattern))
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    cluster = CLUSTERS / digest.hexdigest()[:16]
    CLUSTERS.mkdir(parents=True, exist_ok=True)
    with FileLock(CLUSTERS / "lock"):
        if not cluster.exists():
            for former in CLUSTERS.glob("????????????????"):
                shutil.rmtree(former)
            _make_cluster(cluster)
    return cluster


def _make_cluster(cluster: Path) -> None:
    """Make the database as production has it: migrated by its owner, used by the app's own role."""
    from medimaging.quickstart.programs import end, spawn
    from medimaging.quickstart.services import EmbeddedPostgres, prepare_run_dir

    with tempfile.TemporaryDirectory(prefix="medimaging-cluster-") as folder:
        prepare_run_dir(Path(folder))
        postgres = EmbeddedPostgres(Path(folder), is_durable=False)
        program = postgres.prepare()
        with (Path(folder) / "log").open("w") as log:
            process = spawn(program, output=log)
            try:
                postgres.wait()
                postgres.prepare_database(TEST_DATABASE)
                with as_superuser(TEST_DATABASE, data_dir=Path(folder)) as cursor:
                    cursor.execute(DATE_BACK)
                    alter = f"ALTER DATABASE {TEST_DATABASE} SET lock_timeout = '{LOCK_TIMEOUT}'"
                    cursor.execute(alter)
                subprocess.run(
                    [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
                    cwd=ROOT,
                    env={**os.environ, **addressed(Path(folder))},
                    check=True,
                )
            finally:
                end(process, stop_signal=program.stop_signal, patience_s=10)
        shutil.rmtree(addresses.run_dir(Path(folder)), ignore_errors=True)
        # Never half a one, and the folder may be another file system's.
        part = cluster.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(["cp", "-a", Path(folder) / "pgdata", part], check=True)
        part.rename(cluster)


@pytest.fixture(scope="session")
def django_db_setup(
    embedded_services: None, django_test_environment: None, django_db_blocker: Any
) -> Iterator[None]:
    """A store that belongs to the database, and a way to empty tables that the app has not."""
    from django.db import connections

    from records.files.stores import check_store

    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        check_store()  # the first start, which gives the store its marker
        patch.setattr("django.core.management.commands.flush.Command.handle", empty_tables)
        yield
        connections.close_all()


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Callable[[list[tuple[str, str]]], Any]]:
    """Take the database to some migrations, and return the models of then.

    Afterwards the newest are back, and the database has its store again: the row that names it
    may have gone with its table.
    """
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    from medimaging.database_roles import grant_privileges
    from records.files.stores import adopt_store

    def _migrate(to: list[tuple[str, str]]) -> Any:
        executor = MigrationExecutor(connections["owner"])
        executor.migrate(to)
        # What the app may do with a table goes with the table.
        grant_privileges(using="owner")
        connections["owner"].close()
        return executor.loader.project_state(to).apps

    yield _migrate
    _migrate(MigrationExecutor(connections["owner"]).loader.graph.leaf_nodes())
    adopt_store()


DATE_BACK = """
CREATE FUNCTION date_event_back(event bigint, moment timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET session_replication_role = 'replica' AS
    'BEGIN UPDATE accounts_auditevent SET occurred_at = moment WHERE id = event; END'
"""
"""What no role of the product can do, so that tests need not wait for events to grow old."""


@contextlib.contextmanager
def as_superuser(database: str = TEST_DATABASE, *, data_dir: Path = DATA_DIR) -> Iterator[Any]:
    """A cursor of the role that the product itself never uses, in a transaction of its own."""
    from medimaging.quickstart.services import EmbeddedPostgres

    with (
        contextlib.closing(EmbeddedPostgres(data_dir).connect(database)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        yield cursor


def empty_tables(*args: Any, **options: Any) -> None:
    """Empty every table after a test that committed: the app itself may not."""
    with as_superuser() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = 'public'::regnamespace AND relname NOT IN "
            "('django_migrations', 'django_content_type', 'auth_permission', "
            "'records_storeidentity')"
        )
        cursor.execute(f"TRUNCATE {cursor.fetchone()[0]}")
