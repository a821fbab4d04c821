"""The whole product as real processes, with two workers that a study may be taken from."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medimaging.quickstart.programs import Program
from medimaging.quickstart.supervisor import Supervisor
from tests.product import Product, free_port
from tests.radiographs import ADD_PEER

PACE = {
    "CLASSIFICATION_LEASE_SECONDS": "10",
    "CLASSIFICATION_RING_AGAIN_SECONDS": "5",
    "STUDY_IDLE_AFTER_SECONDS": "2",
    "INTAKE_ABANDONED_AFTER_SECONDS": "20",
    "TASK_SWEEP_SECONDS": "3",
    "INFERENCE_DEVICE": "cpu",
}
"""Leases and sweeps at a pace that one can wait for; the rules are the same."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A running product; `helpers` keeps the second worker running."""

    product: Product
    dicom_port: int
    token: str
    helpers: Supervisor

    @property
    def images(self) -> Path:
        """Where the store is."""
        return self.product.data_dir / "images"

    def let_pass(self, seconds: float) -> None:
        """Wait, and start the second worker again meanwhile if it has ended."""
        ends = time.monotonic() + seconds
        self.helpers.wait_until(lambda: time.monotonic() >= ends, timeout_s=seconds + 1)


@contextmanager
def standing(folder: Path, **settings: str) -> Iterator[Stand]:
    """A product in `folder` without samples, from ready to stopped."""
    data_dir, port = folder / "data", free_port()
    data_dir.mkdir(parents=True)
    (data_dir / "samples-submitted").touch()
    product = Product(data_dir, DICOM_PORT=str(port), **PACE, **settings)
    try:
        product.start()
        product.validate_everywhere()
        product.manage("shell", "--command", ADD_PEER)
        token = product.manage("issue_token", "--user", "technician", "--days", "1")
        with Supervisor(log_file=folder / "second.log", echo=False) as helpers:
            helpers.start(_second_worker(product))
            yield Stand(product, port, token, helpers)
    finally:
        if product.process is not None and product.process.poll() is None:
            product.stop()


def _second_worker(product: Product) -> Program:
    """Another like the first, which is started as a hospital starts one more container."""
    first = product.processes("worker@")[0]
    command = [part.replace("worker@", "second@") for part in first.cmdline()]
    return Program(name="second", command=tuple(command), environment=first.environ())
