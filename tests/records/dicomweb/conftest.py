"""A real gunicorn in front of the tests' database, clients, and a small study."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.test import Client
from pydicom.uid import generate_uid

from accounts.models import User
from accounts.services import issue_token
from records.models import Instance, Study
from tests.gunicorn import Gunicorn
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


@pytest.fixture(scope="session")
def gunicorn(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One server for all tests that need a real one; they commit what they write."""
    server = Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()
