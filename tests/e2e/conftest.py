"""One running product for every test that looks at it from outside."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.product import Client, Product, free_port, running

SWIFT = {
    "CLASSIFICATION_LEASE_SECONDS": "5",
    "CLASSIFICATION_RING_AGAIN_SECONDS": "5",
    "INTAKE_ABANDONED_AFTER_SECONDS": "15",
    "TASK_SWEEP_SECONDS": "3",
    "INFERENCE_DEVICE": "cpu",
    "LOG_FORMAT": "json",
}
"""Leases and sweeps at a pace that a test can wait for; the rules are the same."""


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    ports = {"METRICS_PORT": str(free_port()), "DICOM_PORT": str(free_port())}
    with running(tmp_path_factory.mktemp("product"), **SWIFT, **ports) as product:
        yield product


@pytest.fixture(scope="session")
def token_for(product: Product) -> Callable[[str], str]:
    tokens: dict[str, str] = {}

    def issue(username: str) -> str:
        if username not in tokens:
            tokens[username] = product.manage("issue_token", "--user", username, "--days", "1")
        return tokens[username]

    return issue


@pytest.fixture
def technician(product: Product, token_for: Callable[[str], str]) -> Client:
    return product.client(token_for("technician"))


@pytest.fixture
def auditor(product: Product, token_for: Callable[[str], str]) -> Client:
    return product.client(token_for("auditor"))


@pytest.fixture(scope="session")
def chest_image() -> bytes:
    """A real chest radiograph, as the grey PNG that a hospital's archive might export."""
    import pydicom

    path = next(Path("samples").glob("chest-*normal*/*.dcm"))
    pixels = pydicom.dcmread(path).pixel_array
    return png_of(pixels)


def png_of(pixels: np.ndarray) -> bytes:
    """Grey pixels as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def views_of_a_chest(chest_image: bytes) -> Callable[[int], dict[str, bytes]]:
    """As many different pictures of one chest as asked for: enough work to be caught at."""
    seed = np.random.default_rng()

    def make(count: int) -> dict[str, bytes]:
        pixels = np.asarray(Image.open(io.BytesIO(chest_image)).convert("L")).astype(int)
        noise = seed.integers(-3, 4, size=(count, *pixels.shape))
        return {
            f"view-{number}.png": png_of(np.clip(pixels + noise[number], 0, 255))
            for number in range(count)
        }

    return make
