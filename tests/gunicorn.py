"""The web server as it ships, on the tests' database."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.db import connection

from medimaging import addresses
from tests.installation import DATA_DIR
from tests.product import ROOT, START_SECONDS, free_port, wait_for


class Gunicorn:
    """The product's own server settings, on the tests' database."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.log = log
        self.environment = environment
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when a worker is there."""
        name = connection.settings_dict["NAME"]
        environment = os.environ | {
            "DATABASE_URL": addresses.database_url(DATA_DIR, name),
            "DATABASE_OWNER_URL": "",
            "WEB_BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "SECRET_KEY": settings.SECRET_KEY,
            **self.environment,
        }
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "medimaging/web_server.py"]
                + ["medimaging.wsgi"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(self._listens, seconds=START_SECONDS, what=f"gunicorn, see {self.log}")
        except BaseException:
            self._kill()
            raise

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return "Booting worker" in self.log.read_text()

    def stop(self) -> None:
        """Ask it to end, and wait until it has; one that stays is killed, and the test fails."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._kill()
            raise

    def _kill(self) -> None:
        """End it with its workers: they would write where the next tests look."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
