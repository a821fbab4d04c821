"""Where the processes of one group keep what they count, and who answers for all of them.

A group is what one process starts: gunicorn and its workers, a Celery worker and its pool. Each
process counts in a file of its own, and the first one adds them up when it is asked.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from django.conf import settings
from prometheus_client import CollectorRegistry, start_http_server, values
from prometheus_client.multiprocess import MultiProcessCollector

import classifier.metrics
import records.metrics

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory to the library, and to processes whose numbers another one shows."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
"""Counting writes into mapped files, and a full disk under one of them would end the process."""


def begin() -> None:
    """Count in files from now on, and show them on METRICS_PORT; nothing where that is 0.

    Call it once in the first process of a group, before it starts others and before it counts.
    Where the environment names a directory, somebody else shows what lies in it.
    """
    if os.environ.get(DIRECTORY):
        count_in(Path(os.environ[DIRECTORY]))
    elif settings.METRICS_PORT:
        count_in(make_directory())
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        serve(registry)
    else:
        return
    classifier.metrics.begin_counting()
    records.metrics.begin_counting()


def count_in(directory: Path) -> None:
    """Have this process and those that it starts count in `directory`."""
    os.environ[DIRECTORY] = str(directory)
    values.ValueClass = values.MultiProcessValue()


def make_directory() -> Path:
    """Make an empty directory that no disk can fill; it goes when this very process ends."""
    place = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    directory = Path(tempfile.mkdtemp(prefix="medimaging-metrics-", dir=place))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    # Processes that were forked come here as well.
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


def serve(registry: CollectorRegistry) -> None:
    """Answer Prometheus in a thread of this process. Raises OSError where the port is taken."""
    start_http_server(settings.METRICS_PORT, addr=settings.METRICS_HOST, registry=registry)
