"""Bytes told are bytes sent: the server as it ships, and clients that count what arrives."""

import datetime as dt
import http.client
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from accounts.models import AuditEvent, ReadTally
from accounts.roles import Role
from accounts.services import issue_token, tell_tallies
from records.choices import ExportState
from records.models import Export, Instance
from records.services import submit_study
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_node, make_user
from tests.gunicorn import Gunicorn
from tests.records.dimse import PEER, eventually, listening, run

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1024 * 1024
INSTANCES = 8
ANY_FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"'


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    server = Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def department(db):
    return make_department("Radiology")


@pytest.fixture
def reader(department):
    return make_user(Role.REVIEWER, Role.TECHNICIAN, department=department)


@pytest.fixture
def study(department, reader, tmp_path) -> Any:
    """Images of 2 MiB each: more of them than the buffers of a connection hold."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    files = []
    for number in range(INSTANCES):
        file = tmp_path / f"{number}.dcm"
        size = {"Rows": 1024, "Columns": 1024, "PixelData": bytes([number, 1]) * MIB}
        kind = {"syntax": ExplicitVRLittleEndian, "InstanceNumber": number}
        file.write_bytes(make_dicom(**uids, **size, **kind))
        files.append(file)
    submit_study(actor=reader, department=department, files=files)
    assert Instance.objects.count() == INSTANCES
    return Instance.objects.all()[0].series.study


class Counter:
    """A client that counts the bytes of bodies."""

    def __init__(self, server: Gunicorn, token: str) -> None:
        self.port = server.port
        self.token = token
        self.received = 0

    def get(
        self, path: str, accept: str = "*/*", *, at_most: int | None = None, method: str = "GET"
    ) -> int:
        """Ask, count the body, or hang up after the first bytes of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Token {self.token}", "Accept": accept}
        connection.request(method, path, headers=headers)
        if at_most is not None and connection.sock is not None:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        answer = connection.getresponse()
        assert answer.status in {200, 206}, answer.read()
        count = len(answer.read(at_most))
        self.received += count
        connection.close()
        answer.close()
        return count


@pytest.fixture
def counter(server, reader) -> Counter:
    _, value = issue_token(actor=reader, user=reader, name="count", days=1)
    return Counter(server, value)


def ended() -> list[AuditEvent]:
    return [event for event in AuditEvent.objects.order_by("id") if "bytes" in event.details]


def one_ended(count: int = 1) -> list[AuditEvent]:
    eventually(lambda: len(ended()) == count)
    return ended()


def url_of(study: Any) -> str:
    return f"/dicomweb/studies/{study.study_instance_uid}"


def test_a_whole_study_and_a_file_are_told_to_the_byte(counter, study):
    instance = Instance.objects.all()[0]
    counter.get(url_of(study), ANY_FILE)
    counter.get(f"/api/v1/instances/{instance.pk}/file/")
    counter.get(f"{url_of(study)}/series/{instance.series.series_instance_uid}", ANY_FILE)

    events = one_ended(3)
    assert sum(event.details["bytes"] for event in events) == counter.received
    assert [event.details["instances"] for event in events] == [INSTANCES, 1, INSTANCES]
    assert all(event.details["is_complete"] for event in events)
    assert {event.study_id for event in events} == {study.pk}


def test_a_client_that_hangs_up_is_told_no_less_than_it_received(counter, study):
    received = counter.get(url_of(study), ANY_FILE, at_most=3 * MIB)

    (event,) = one_ended()
    assert event.details["bytes"] >= received
    assert event.details["bytes"] < INSTANCES * 2 * MIB
    assert 1 <= event.details["instances"] < INSTANCES
    assert not event.details["is_complete"]


def test_asking_for_the_headers_alone_tells_no_byte(counter, study):
    assert counter.get(url_of(study), ANY_FILE, method="HEAD") == 0
    (event,) = one_ended()
    assert (event.details["bytes"], event.details["instances"]) == (0, 0)


def test_the_same_study_five_times_in_a_minute_is_told_five_times(counter, study):
    for _ in range(5):
        counter.get(url_of(study), ANY_FILE)
    events = one_ended(5)
    assert sum(event.details["bytes"] for event in events) == counter.received


def test_that_it_begins_is_told_before_the_first_byte(counter, study):
    counter.get(url_of(study), ANY_FILE, at_most=1)
    begun = AuditEvent.objects.get(action="transfer.begun")
    assert begun.details["of"] == "study.retrieved"
    assert begun.details["asked_for"] == INSTANCES
    (event,) = one_ended()
    assert event.details["transfer"] == begun.details["transfer"]


def test_frames_pictures_and_metadata_add_up_by_the_minute(counter, study):
    series = study.series.get().series_instance_uid
    for instance in Instance.objects.all():
        one = f"{url_of(study)}/series/{series}/instances/{instance.sop_instance_uid}"
        for _ in range(3):
            counter.get(f"{one}/frames/1", FRAMES)
            counter.get(f"{one}/rendered", "image/jpeg")
            counter.get(f"{one}/metadata")
            counter.get(f"{one}/bulkdata/7FE00010", FRAMES)
            counter.get(f"/api/v1/instances/{instance.pk}/rendered/")
    eventually(lambda: sum(row.size_bytes for row in ReadTally.objects.all()) == counter.received)
    assert tell_tallies(now=timezone.now() + dt.timedelta(minutes=2)) <= 2 * 5
    assert tell_tallies(now=timezone.now() + dt.timedelta(minutes=2)) == 0

    events = ended()
    assert sum(event.details["bytes"] for event in events) == counter.received
    assert sum(event.details["answers"] for event in events) == 5 * 3 * INSTANCES
    assert {event.study_id for event in events} == {study.pk}
    assert {event.actor_kind for event in events} == {"token"}
    assert not ReadTally.objects.exists()


def test_an_export_is_told_to_the_byte(counter, study, reader):
    export = Export.objects.create(
        department=study.department, project="p", purpose="p", requested_by=reader
    )
    export.studies.add(study)
    content = Instance.objects.all()[0]
    export.file.name = content.file.name
    export.file.storage.save(content.file.name, content.file.open("rb"))
    export.state, export.size_bytes, export.image_count = ExportState.READY, content.size_bytes, 4
    export.save()
    received = counter.get(f"/api/v1/exports/{export.pk}/file/")

    (event,) = one_ended()
    assert (event.action, event.details["bytes"]) == ("study.exported", received)
    assert event.details["instances"] == 4


def test_what_a_node_fetched_is_told_by_instance_and_byte(study, department, tmp_path):
    make_node(department=department, ae_title=PEER)
    folder = tmp_path / "received"
    folder.mkdir()
    with listening() as server:
        keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study.study_instance_uid}")
        given = [part for key in keys for part in ("-k", key)]
        done = run(server, "getscu", "-S", "+B", "-od", folder, *given)
        assert done.returncode == 0, done.stderr
        (event,) = one_ended()

    received = [path for path in folder.iterdir() if path.is_file()]
    assert event.details["instances"] == len(received) == INSTANCES
    assert event.details["is_complete"]
    # The peer writes a header before each data set.
    sizes = sum(path.stat().st_size for path in received)
    assert 0 <= sizes - event.details["bytes"] < INSTANCES * 1024
    assert (event.study_id, event.patient_id) == (study.pk, study.patient_id)


def test_two_that_tell_the_same_sums_at_once_tell_them_once(counter, study):
    instance = Instance.objects.all()[0]
    counter.get(f"/api/v1/instances/{instance.pk}/rendered/")
    later = timezone.now() + dt.timedelta(minutes=2)
    assert [tell_tallies(now=later), tell_tallies(now=later)] == [1, 0]
    (event,) = ended()
    assert event.details["bytes"] == counter.received
