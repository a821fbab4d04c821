"""What tests of the product run on: a real PostgreSQL and Redis, in a directory of their own.

Importing it sets Django up. `tests/startup.py` has pytest do that, where it is needed.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from medimaging import addresses
from tests.clusters import TEST_DATABASE, addressed, take_cluster

DATA_DIR = Path(tempfile.mkdtemp(prefix="medimaging-tests-"))


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
    take_cluster(DATA_DIR)
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


@contextlib.contextmanager
def as_superuser(database: str = TEST_DATABASE) -> Iterator[Any]:
    """A cursor of the role that the product itself never uses, in a transaction of its own."""
    from medimaging.quickstart.services import EmbeddedPostgres

    with (
        contextlib.closing(EmbeddedPostgres(DATA_DIR).connect(database)) as connection,
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
