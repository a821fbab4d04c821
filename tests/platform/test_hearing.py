"""Real workers and a real beat on a wire that falls silent: who is deaf ends, nobody else does."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import psutil
import pytest
import redis
from celery import Celery, current_app

from classifier.doorbell import TASK
from medimaging.hearing import EXIT_DEAF
from medimaging.quickstart import services
from medimaging.quickstart.programs import Program, end, spawn
from medimaging.quickstart.stack import product_programs
from tests.installation import as_superuser
from tests.product import wait_for
from tests.wires import Wire

DEAF_AFTER_S = 3
ENDED = 60

pytestmark = [pytest.mark.usefixtures("django_db_setup"), pytest.mark.timeout(300)]


class Broker:
    """A Redis of this module's own, which may be killed."""

    def __init__(self, data_dir: Path, log: IO[str]) -> None:
        services.prepare_run_dir(data_dir)
        self.redis = services.EmbeddedRedis(data_dir)
        self.log = log
        self.start()

    @property
    def url(self) -> str:
        """Its address as Celery writes it."""
        url = self.redis.url.replace("unix://", "redis+socket://")
        return url.replace("?db=", "?virtual_host=")

    def start(self) -> None:
        self.process = spawn(self.redis.prepare(), output=self.log)
        self.redis.wait()

    def kill(self) -> None:
        end(self.process, stop_signal=signal.SIGKILL, patience_s=5)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with (tmp_path / "redis.log").open("w") as log:
        broker = Broker(tmp_path / "data", log)
        yield broker
        broker.kill()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    wire = Wire(broker.redis.socket)
    yield wire
    wire.close()


class Running:
    """One program of the product, at the end of the wire."""

    def __init__(self, program: Program, log_file: Path) -> None:
        self.log_file = log_file
        with log_file.open("w") as output:
            self.process = spawn(program, output=output)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_line(self, *words: str, count: int = 1, seconds: float = 90) -> None:
        def is_there() -> bool:
            lines = self.log.splitlines()
            return sum(all(word in line for word in words) for line in lines) >= count

        try:
            wait_for(is_there, seconds=seconds, what=f"{words} in the log")
        except AssertionError:
            print(self.log[-4000:])
            raise

    def wait_for_end(self) -> int:
        try:
            return self.process.wait(timeout=DEAF_AFTER_S + ENDED)
        except subprocess.TimeoutExpired:
            print(self.log[-4000:])
            raise


Start = Callable[..., Running]


@pytest.fixture
def start(wire: Wire, tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def _start(name: str, *options: str) -> Running:
        environment = {
            "REDIS_URL": wire.redis_url,
            "MEDIMAGING_DATA_DIR": str(tmp_path / "data"),
            "LOG_LEVEL": "INFO",
            "HEARTBEAT_SECONDS": "0.2",
            "DEAF_AFTER_SECONDS": str(DEAF_AFTER_S),
            "TASK_SWEEP_SECONDS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        (program,) = (one for one in product_programs(environment) if one.name == name)
        program = replace(program, command=(*program.command, *options))
        running = Running(program, tmp_path / f"{name}-{len(started)}.log")
        started.append(running)
        return running

    yield _start
    for running in started:
        end(running.process, stop_signal=signal.SIGKILL, patience_s=5)


def ring(broker: Broker) -> None:
    """Ring for a routine study."""
    with current_app.connection_for_write(broker.url) as connection:
        current_app.send_task(TASK, args=("routine",), queue="routine", connection=connection)


ANSWERED = ("classify_next", "succeeded")


def test_a_worker_outlives_long_work_and_a_lost_broker_and_ends_when_its_link_stalls(
    start: Start, wire: Wire, broker: Broker
) -> None:
    worker = start("worker")
    worker.wait_for_line("is ready (release")

    with table_locked():
        ring(broker)
        time.sleep(DEAF_AFTER_S + 1)
        assert worker.process.poll() is None, worker.log
    worker.wait_for_line(*ANSWERED)

    broker.kill()
    time.sleep(DEAF_AFTER_S + 1)
    broker.start()
    ring(broker)
    worker.wait_for_line(*ANSWERED, count=2)
    assert worker.process.poll() is None

    worker.process.send_signal(signal.SIGSTOP)
    time.sleep(DEAF_AFTER_S + 1)
    worker.process.send_signal(signal.SIGCONT)
    ring(broker)
    worker.wait_for_line(*ANSWERED, count=3)

    wire.stall(only_existing=True)
    assert worker.wait_for_end() == EXIT_DEAF
    assert "broker_deaf: worker@" in worker.log


def test_a_worker_waits_for_a_silent_broker_at_start_and_ends_when_all_falls_silent(
    start: Start, wire: Wire
) -> None:
    wire.stall()
    worker = start("background")
    worker.wait_for_line("Cannot connect to redis")
    time.sleep(DEAF_AFTER_S)
    assert worker.process.poll() is None, worker.log
    wire.resume()
    worker.wait_for_line("is ready (release")

    wire.stall()
    assert worker.wait_for_end() == EXIT_DEAF
    assert "broker_deaf: background@" in worker.log


def test_a_worker_ends_whose_loop_is_stuck_while_all_its_connections_work(
    start: Start, broker: Broker
) -> None:
    worker = start("worker", "--include", "tests.platform.stuck_loop")
    worker.wait_for_line("ready.")
    with Celery(broker=broker.url, set_as_current=False) as operator:
        # What is broadcast before the loop has turned once is heard by nobody.
        for _ in range(3):
            operator.control.broadcast("block_loop")
            time.sleep(0.5)
    assert worker.wait_for_end() == EXIT_DEAF
    assert "broker_deaf: worker@" in worker.log


def test_a_worker_ends_when_its_broker_became_a_replica_that_takes_nothing(
    start: Start, wire: Wire, broker: Broker
) -> None:
    worker = start("worker")
    worker.wait_for_line("is ready (release")
    with redis.Redis.from_url(broker.redis.url) as client:
        client.replicaof("127.0.0.1", 1)
    assert worker.wait_for_end() != 0


def test_a_worker_ends_that_is_asked_to_when_its_broker_is_gone_and_its_study_waits(
    start: Start, broker: Broker
) -> None:
    worker = start("worker")
    worker.wait_for_line("is ready (release")
    with table_locked():
        ring(broker)
        wait_for(is_waiting, seconds=30, what="the study that waits for the table")
        family = psutil.Process(worker.process.pid).children(recursive=True)
        broker.kill()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.wait_for_end() == EXIT_DEAF
        _, left = psutil.wait_procs(family, timeout=10)
        assert left == []
    assert "broker_gone: worker@" in worker.log


def test_beat_outlives_a_lost_broker_rings_no_more_than_two_rounds_and_ends_when_it_is_deaf(
    start: Start, wire: Wire, broker: Broker, settings
) -> None:
    beat = start("beat")
    bound = 2 * len(settings.CELERY_BEAT_SCHEDULE)
    wait_for(lambda: bells(broker) > 3, seconds=90, what="the first bells")
    broker.kill()
    time.sleep(DEAF_AFTER_S + 1)
    broker.start()
    wait_for(lambda: bells(broker) == bound, seconds=90, what=f"{bound} bells")
    time.sleep(1.5)
    assert bells(broker) == bound
    assert beat.process.poll() is None, beat.log

    wire.stall(only_existing=True)
    assert beat.wait_for_end() == EXIT_DEAF
    assert "broker_deaf: beat@" in beat.log


def bells(broker: Broker) -> int:
    with redis.Redis.from_url(broker.redis.url) as client:
        return int(client.llen("housekeeping"))


def is_waiting() -> bool:
    with as_superuser() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@contextlib.contextmanager
def table_locked() -> Iterator[None]:
    """A study that takes long: whoever claims one waits for as long as this lasts."""
    with as_superuser() as cursor:
        cursor.execute("LOCK TABLE classifier_classification IN ACCESS EXCLUSIVE MODE")
        yield
