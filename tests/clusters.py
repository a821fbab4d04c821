"""PostgreSQL with every migration applied: made once, and copied as long as none changes."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from medimaging import addresses
from medimaging.quickstart.programs import end, spawn
from medimaging.quickstart.services import EmbeddedPostgres, prepare_run_dir

ROOT = Path(__file__).parents[1]
CLUSTERS = ROOT / "var" / "test-clusters"
SCHEMA = (
    *("*/migrations/*.py", "accounts/postgresql/*.py", "medimaging/database_roles.py"),
    *("medimaging/management/commands/migrate.py", "medimaging/quickstart/services.py"),
    *("requirements/base.txt", "requirements/quickstart.txt", "tests/clusters.py"),
)
"""What decides what stands in them."""

TEST_DATABASE = "test_medimaging"
"""The database of tests that run in pytest's process; a product that is started has its own."""

DATE_BACK = """
CREATE FUNCTION date_event_back(event bigint, moment timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET session_replication_role = 'replica' AS
    'BEGIN UPDATE accounts_auditevent SET occurred_at = moment WHERE id = event; END'
"""
"""What no role of the product can do, so that tests need not wait for events to grow old."""

LOCK_TIMEOUT = "120s"
"""A test that waits for its own lock fails in PostgreSQL's words. Who waits in the driver hears no
alarm: pytest-timeout can't end it."""


def addressed(data_dir: Path, database: str = TEST_DATABASE) -> dict[str, str]:
    """The settings by which each role gets to a database of the server below `data_dir`."""
    roles = {"": addresses.APP, "OWNER_": addresses.OWNER, "AUDITOR_": addresses.AUDITOR}
    return {
        f"DATABASE_{name}URL": addresses.database_url(data_dir, database, role=role)
        for name, role in roles.items()
    }


def take_cluster(data_dir: Path) -> None:
    """Give an installation that has never been started tables without rows."""
    subprocess.run(["cp", "-a", _migrated_cluster(), data_dir / "pgdata"], check=True)


def _migrated_cluster() -> Path:
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
    """Make both databases as production has its own: migrated by the owner, used by the app."""
    with tempfile.TemporaryDirectory(prefix="medimaging-cluster-") as name:
        folder = Path(name)
        prepare_run_dir(folder)
        postgres = EmbeddedPostgres(folder, is_durable=False)
        program = postgres.prepare()
        with (folder / "log").open("w") as log:
            process = spawn(program, output=log)
            try:
                postgres.wait()
                _fill_cluster(postgres)
            finally:
                end(process, stop_signal=program.stop_signal, patience_s=10)
                shutil.rmtree(addresses.run_dir(folder), ignore_errors=True)
        # Never half a one, and the folder may be another file system's.
        part = cluster.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(["cp", "-a", folder / "pgdata", part], check=True)
        part.rename(cluster)


def _fill_cluster(postgres: EmbeddedPostgres) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, **addressed(postgres.data_dir, addresses.DATABASE)},
        check=True,
    )
    with contextlib.closing(postgres.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {TEST_DATABASE} TEMPLATE {addresses.DATABASE}")
            cursor.execute(f"ALTER DATABASE {TEST_DATABASE} SET lock_timeout = '{LOCK_TIMEOUT}'")
    postgres.prepare_database(TEST_DATABASE)
    with (
        contextlib.closing(postgres.connect(TEST_DATABASE)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(DATE_BACK)
