"""The embedded PostgreSQL and Redis: started, stopped, killed and started again."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from medimaging import addresses
from medimaging.quickstart import services
from medimaging.quickstart.programs import Program, end, spawn

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def running(service, log: Path) -> Iterator[subprocess.Popen]:
    program = service.prepare()
    with log.open("a") as output:
        process = spawn(program, output=output)
        try:
            service.wait()
            yield process
        finally:
            end(process, stop_signal=program.stop_signal, patience_s=15)


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("d")
    services.prepare_run_dir(directory)
    return directory


def query(data_dir: Path, statement: str):
    connection = psycopg2.connect(
        host=str(addresses.postgres_socket_dir(data_dir)),
        user=addresses.SUPERUSER,
        dbname=addresses.DATABASE,
    )
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def test_embedded_postgres_keeps_its_rows_when_killed_and_started_again(data_dir: Path) -> None:
    log = data_dir / "postgres.log"
    with running(services.EmbeddedPostgres(data_dir), log) as process:
        query(data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert (data_dir / "pgdata" / "postmaster.pid").exists()

    with running(services.EmbeddedPostgres(data_dir), log):
        assert query(data_dir, "SELECT answer FROM kept") == 42


def test_embedded_postgres_replaces_a_server_left_by_a_killed_run(data_dir: Path) -> None:
    log = data_dir / "postgres.log"
    with running(services.EmbeddedPostgres(data_dir), log) as leftover:
        with running(services.EmbeddedPostgres(data_dir), log) as successor:
            assert leftover.poll() is not None
            assert query(data_dir, "SELECT 1") == 1
        assert successor.poll() is not None


def test_embedded_postgres_starts_when_its_old_process_id_belongs_to_another_program(
    data_dir: Path,
) -> None:
    log = data_dir / "postgres.log"
    with running(services.EmbeddedPostgres(data_dir), log) as process:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    pid_file = data_dir / "pgdata" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))

    with running(services.EmbeddedPostgres(data_dir), log):
        assert query(data_dir, "SELECT 1") == 1


def test_embedded_postgres_can_make_vectors_and_is_durable(data_dir: Path) -> None:
    with running(services.EmbeddedPostgres(data_dir), data_dir / "postgres.log"):
        query(data_dir, "CREATE EXTENSION vector")
        assert query(data_dir, "SELECT '[1,2]'::vector <-> '[1,2]'::vector") == 0
        assert query(data_dir, "SHOW fsync") == "on"


def test_embedded_postgres_begins_anew_when_making_the_cluster_was_interrupted(
    data_dir: Path,
) -> None:
    unfinished = data_dir / "pgdata.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")

    with running(services.EmbeddedPostgres(data_dir), data_dir / "postgres.log"):
        assert query(data_dir, "SELECT 1") == 1


def test_embedded_services_listen_only_on_private_sockets(data_dir: Path) -> None:
    with (
        running(services.EmbeddedPostgres(data_dir), data_dir / "postgres.log") as postgres,
        running(services.EmbeddedRedis(data_dir), data_dir / "redis.log") as server,
    ):
        for process in (postgres, server):
            connections = psutil.Process(process.pid).net_connections(kind="inet")
            assert [one for one in connections if one.status == psutil.CONN_LISTEN] == []
        socket_dir = addresses.postgres_socket_dir(data_dir)
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(addresses.redis_socket(data_dir).stat().st_mode) == 0o700


def test_embedded_redis_answers_when_started_over_the_socket_of_a_killed_one(
    data_dir: Path,
) -> None:
    log = data_dir / "redis.log"
    with running(services.EmbeddedRedis(data_dir), log) as process:
        process.kill()
        process.wait()
    assert addresses.redis_socket(data_dir).exists()

    with (
        running(services.EmbeddedRedis(data_dir), log),
        redis.Redis.from_url(addresses.redis_url(data_dir)) as client,
    ):
        assert client.ping()


def test_socket_paths_stay_within_the_kernels_limit_when_the_data_directory_is_deep(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("x" * 120)

    socket = addresses.postgres_socket_dir(deep) / ".s.PGSQL.5432.lock"

    assert len(os.fsencode(socket)) <= 107
    assert addresses.run_dir(deep) != addresses.run_dir(deep / "other")


def test_spawn_ends_the_program_when_its_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from medimaging.quickstart.programs import Program, spawn\n"
            "child = spawn(Program(name='x', command=('sleep', '60')), output=1)\n"
            "Path(sys.argv[1]).write_text(str(child.pid)); child.wait()",
            str(note),
        ],
    )
    deadline = time.monotonic() + 20
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = psutil.Process(int(note.read_text()))

    parent.kill()
    parent.wait()

    assert has_ended(child)


def test_end_leaves_no_grandchild_when_the_program_ignores_the_signal(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"trap '' TERM; sleep 60 & echo $! > {note}; wait; wait"
    program = Program(name="stubborn", command=("sh", "-c", script))
    process = spawn(program, output=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    grandchild = psutil.Process(int(note.read_text()))

    end(process, stop_signal=signal.SIGTERM, patience_s=0.5)

    assert process.poll() is not None
    assert has_ended(grandchild)


def has_ended(process: psutil.Process) -> bool:
    """Ended, or waiting to be collected where no init process does that."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
