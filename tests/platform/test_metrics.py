"""Figures for Prometheus: added up over processes, and told in time whatever stands still."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily

from classifier.models import Classification
from medimaging.metrics import figures
from medimaging.metrics.site import SiteCollector, Source, site_registry
from tests import factories
from tests.gunicorn import Gunicorn
from tests.product import ROOT, free_port, wait_for
from tests.security.asking import ask
from tests.stopped import stopped


def told(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def server(tmp_path: Path, transactional_db: None) -> Iterator[tuple[Gunicorn, int]]:
    port = free_port()
    server = Gunicorn(tmp_path / "gunicorn.log", WEB_CONCURRENCY="2", METRICS_PORT=str(port))
    server.start()
    yield server, port
    server.stop()


@pytest.mark.slow
def test_a_group_tells_what_all_its_processes_did_and_forgets_no_dead_one(
    server: tuple[Gunicorn, int],
) -> None:
    web, port = server
    asked = 'medimaging_http_request_seconds_count{method="GET",route="/sign-in/",status="2xx"}'
    for _ in range(20):
        ask(web.port, "GET", "/sign-in/")

    wait_for(lambda: f"{asked} 20.0" in told(port), seconds=10, what="twenty requests")
    assert web.process is not None
    first, *_ = psutil.Process(web.process.pid).children()
    first.kill()
    wait_for(lambda: not first.is_running(), seconds=10, what="the end of a worker")
    for _ in range(5):
        ask(web.port, "GET", "/sign-in/")
    wait_for(lambda: f"{asked} 25.0" in told(port), seconds=10, what="five more")
    assert 'medimaging_intake_files_total{code="stored",door="api",verdict="stored"} 0.0' in told(
        port
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{web.url}/metrics", timeout=10)


def test_without_a_port_nothing_listens_and_nothing_is_left(tmp_path: Path) -> None:
    code = (
        "import os, django; django.setup()\n"
        "from medimaging.metrics import processes\n"
        "from medimaging.metrics.http import observe_request\n"
        "processes.begin()\n"
        "observe_request(method='GET', route='/', status=200, seconds=0.1)\n"
        "assert processes.DIRECTORY not in os.environ\n"
        "directory = processes.make_directory()\n"
        "if os.fork() == 0: raise SystemExit\n"
        "os.wait()\n"
        "assert directory.is_dir()\n"
        "print(directory)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"METRICS_PORT": "0"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert not Path(done.stdout.strip()).exists()


@pytest.mark.django_db(transaction=True)
def test_the_queue_is_told_by_priority_task_and_reason() -> None:
    study = factories.make_study(department=factories.make_department())
    other = factories.make_study(department=factories.make_department())
    Classification.objects.create(study=study, task="retina", priority="urgent")
    Classification.objects.create(study=study, task="lung-ct", waiting_code="store_unavailable")
    Classification.objects.create(study=other, task="retina", priority="urgent")

    text = generate_latest(site_registry()).decode()

    assert 'medimaging_queue_length{priority="urgent",task="retina"} 2.0' in text
    assert 'medimaging_queue_length{priority="routine",task="lung-ct"} 1.0' in text
    assert 'medimaging_queue_length{priority="routine",task="retina"} 0.0' in text
    assert 'medimaging_queue_oldest_seconds{priority="routine",task="lung-ct"} 0.0\n' in text
    assert 'medimaging_queue_oldest_seconds{priority="urgent",task="retina"} 0.0\n' not in text
    assert 'medimaging_classifications_waiting{code="store_unavailable"} 1.0' in text
    assert 'medimaging_classifications_now{state="queued"} 3.0' in text


@pytest.mark.django_db(transaction=True)
def test_a_database_that_stands_still_keeps_nobody_waiting(settings) -> None:
    collector = SiteCollector()
    list(collector.collect())
    pid = (settings.DATA_DIR / "pgdata" / "postmaster.pid").read_text().split()[0]
    postmaster = psutil.Process(int(pid))
    family = [postmaster, *postmaster.children()]
    collector = SiteCollector()
    with stopped(family):
        started = time.monotonic()
        found = {metric.name: metric for metric in collector.collect()}
        seconds = time.monotonic() - started

    assert seconds < 3
    up = {
        sample.labels["source"]: sample.value for sample in found["medimaging_figures_up"].samples
    }
    assert up == {"release": 1, "parts": 1, "processes": 1, "database": 0}
    states = found["medimaging_part_state"].samples
    assert {"part": "database", "state": "unknown"} in [
        sample.labels for sample in states if sample.value
    ]

    def is_back() -> bool:
        again = {metric.name: metric for metric in collector.collect()}
        return "medimaging_queue_length" in again

    wait_for(is_back, seconds=20, what="figures of the database")


def test_however_many_ask_a_source_is_read_once_in_a_while() -> None:
    reads: list[float] = []

    def read() -> Iterable[Metric]:
        reads.append(time.monotonic())
        return [GaugeMetricFamily("medimaging_x", "A figure.", value=len(reads))]

    collector = SiteCollector({"x": read})
    for _ in range(5):
        assert "medimaging_x" in {metric.name for metric in collector.collect()}

    assert len(reads) == 1


def test_a_source_that_breaks_is_told_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    def read() -> Iterable[Metric]:
        raise RuntimeError("broken")

    source = Source("x", read)
    for _ in range(3):
        source.renew()
        assert source.wait(5) == []

    assert [record.message for record in caplog.records] == ["The figures of x can't be read"]


def test_errors_for_which_studies_wait_are_told_before_any_does() -> None:
    from accounts.errors import KnownError

    class AwayForNow(KnownError):
        code = "away_for_now"
        is_passing = True

    assert "away_for_now" in figures.passing_codes()
    del AwayForNow
