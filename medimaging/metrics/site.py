"""Answers Prometheus for the whole site: one look at each source at a time, kept for a while."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from django.db import connections
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from medimaging.metrics import figures
from medimaging.metrics.processes import DIRECTORY

logger = logging.getLogger(__name__)

KEPT_S = 10
"""So long figures are told again: however many ask, and however often, a source is asked seldom."""

PATIENCE_S = 2.0
"""So long an answer waits for all sources; what hasn't come by then is told next time."""

STALE_S = 60
"""Figures that couldn't be renewed for so long aren't told any more."""

Read = Callable[[], Iterable[Metric]]

SOURCES: dict[str, Read] = {
    "release": figures.of_release,
    "parts": figures.of_parts,
    "processes": figures.of_processes,
    "database": figures.of_database,
}


class Source:
    """The figures of one source, and the thread that renews them."""

    def __init__(self, name: str, read: Read) -> None:
        self.name = name
        self.took_s = 0.0
        self._read = read
        self._found: list[Metric] = []
        self._found_at = float("-inf")
        self._lock = threading.Lock()
        self._is_done = threading.Event()
        self._is_running = self._is_failing = False

    def renew(self) -> None:
        """Begin to read anew, unless what is there is fresh or somebody reads already."""
        with self._lock:
            if self._is_running or self.age_s < KEPT_S:
                return
            self._is_running = True
            self._is_done.clear()
        threading.Thread(target=self._run, name=f"figures-{self.name}", daemon=True).start()

    def wait(self, seconds: float) -> list[Metric]:
        """Return the figures, after at most `seconds`; none where they are too old to be told."""
        if self._is_running:
            self._is_done.wait(max(seconds, 0))
        return self._found if self.age_s < STALE_S else []

    @property
    def age_s(self) -> float:
        """How old the figures are."""
        return time.monotonic() - self._found_at

    def _run(self) -> None:
        started = time.monotonic()
        try:
            self._found = list(self._read())
            self._found_at = time.monotonic()
            self.took_s = self._found_at - started
            self._is_failing = False
        except Exception:
            # Once: whoever scrapes asks again and again.
            if not self._is_failing:
                logger.exception("The figures of %s can't be read", self.name)
            self._is_failing = True
        finally:
            connections.close_all()
            self._is_running = False
            self._is_done.set()


class SiteCollector(Collector):
    """Tells what all sources say, and of each how old that is."""

    def __init__(self, sources: dict[str, Read] = SOURCES) -> None:
        self._sources = [Source(name, read) for name, read in sources.items()]

    def collect(self) -> Iterator[Metric]:
        """Ask all sources at the same time."""
        until = time.monotonic() + PATIENCE_S
        for source in self._sources:
            source.renew()
        for source in self._sources:
            yield from source.wait(until - time.monotonic())
        told = [source for source in self._sources if source.age_s < STALE_S]
        yield figures.gauges(
            "figures_up",
            "1 where the figures of a source can be told, 0 where it gives none.",
            ("source",),
            {(source.name,): float(source in told) for source in self._sources},
        )
        yield figures.gauges(
            "figures_read_seconds",
            "Seconds that reading the figures of a source took.",
            ("source",),
            {(source.name,): source.took_s for source in told},
        )


def site_registry() -> CollectorRegistry:
    """What `manage.py export_metrics` shows: the site, and what processes here count in files."""
    registry = CollectorRegistry()
    registry.register(SiteCollector())
    if os.environ.get(DIRECTORY):
        MultiProcessCollector(registry)
    return registry
