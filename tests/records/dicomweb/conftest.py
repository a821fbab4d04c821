"""A real gunicorn in front of the tests' database, clients, and a small study."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from pydicom.uid import generate_uid

from accounts.models import User
from accounts.services import issue_token
from medimaging import addresses
from records.models import Instance, Study
from tests.conftest import DATA_DIR
from tests.product import ROOT, free_port, wait_for
from tests.records.dicomweb.messages import small_study_files


@pytest.fixture
def browser(client: Client, technician: User) -> Client:
    """The technician, signed in."""
    client.force_login(technician)
    return client


@dataclass(frozen=True)
class SmallStudy:
    """What a small study was made of."""

    study_uid: str
    series_uids: tuple[str, str]
    contents: dict[str, bytes]

    @property
    def url(self) -> str:
        return f"/dicomweb/studies/{self.study_uid}"

    def instance_url(self, number: int = 0) -> str:
        uid = list(self.contents)[number]
        return f"{self.url}/series/{self.series_uids[0]}/instances/{uid}"


@pytest.fixture
def small_study(send: Callable) -> SmallStudy:
    """Four stored instances in two series."""
    study_uid, series_uids = generate_uid(), (generate_uid(), generate_uid())
    files = small_study_files(study_uid, series_uids)
    send(*files.items())
    assert Study.objects.get().instance_count == 4
    return SmallStudy(study_uid, series_uids, files)


@pytest.fixture
def hold(send: Callable) -> Callable:
    """Store one object and return its row."""

    def _hold(content: bytes) -> Instance:
        file = send(("object", content)).files.get()
        assert file.instance is not None, file.message
        return file.instance

    return _hold


@pytest.fixture
def token(technician: User) -> str:
    """A token of the technician's."""
    _, value = issue_token(actor=technician, user=technician, name="dicomweb", days=1)
    return value


class Gunicorn:
    """The product's own server settings, on the tests' database."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        name = connection.settings_dict["NAME"]
        environment = os.environ | {
            "DATABASE_URL": addresses.database_url(DATA_DIR, name),
            "WEB_BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "1",
            "SECRET_KEY": settings.SECRET_KEY,
        }
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "medimaging/web_server.py"]
                + ["medimaging.wsgi"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._listens, seconds=60, what=f"gunicorn, see {self.log}")

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return "Booting worker" in self.log.read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def gunicorn(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One server for all tests that need a real one; they commit what they write."""
    server = Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()
