"""A pool of children that tells what they took."""

import contextlib
import io
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from records.dicom.sandbox.calls import Sandbox
from records.dicom.sandbox.pool import Pool
from tests.dicom.files import make_dicom

ALLOWED_SECONDS = 5
ALLOWED_BYTES = 512 * 1000 * 1000


@contextmanager
def peak_of(pool: "Watched") -> Iterator[list[int]]:
    """The most that its children hold at any moment meanwhile, those that are killed included."""
    peaks, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for child in pool.children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    peaks[0] = max(peaks[0], child.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


class Watched(Pool):
    """A pool that notes how much its children say to have held."""

    grown: list[int]

    def ask(self, *args, **kwargs):
        answer = super().ask(*args, **kwargs)
        self.grown.append(answer["grown"])
        return answer

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.start().process.pid).children()

    @property
    def seconds_spent(self) -> float:
        """Processor time of all children so far: what the clock says depends on the machine."""
        nursery = psutil.Process(self.start().process.pid).cpu_times()
        living = [child.cpu_times() for child in self.children]
        own = sum(times.user + times.system for times in living)
        return nursery.children_user + nursery.children_system + own

    def die_of_it(self, sent: signal.Signals) -> threading.Thread:
        """Stop the one child there is, and send it a signal once it has a file in hand."""
        (child,) = self.children
        child.suspend()

        def strike() -> None:
            time.sleep(0.3)
            child.send_signal(sent)
            with contextlib.suppress(psutil.NoSuchProcess):
                child.resume()

        thread = threading.Thread(target=strike)
        thread.start()
        return thread


def lend(pool: Watched, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Have a sandbox use that pool during a test, with its child started and waiting."""
    pool.grown = []
    monkeypatch.setattr(sandbox, "pool", pool)
    sandbox.examine(io.BytesIO(make_dicom()))
    return pool
