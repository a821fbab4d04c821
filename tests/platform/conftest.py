"""A service that says nothing, and a place that every account can get to."""

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def silent() -> Iterator[int]:
    """A port that takes every connection and says nothing, as a stalled service does."""
    held = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def hold() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=hold, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that every account can get to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
