"""PostgreSQL says nothing while peers talk DICOM: each is told soon that it is to try again."""

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE
from pynetdicom.association import Association

from accounts.postgresql.waiting import is_server_silent
from records.files.spool import spool_directory
from records.models import Instance
from tests.dicom.files import make_dicom
from tests.factories import make_node
from tests.records.dimse import PEER, eventually, listening, port_of
from tests.stopped import servers, stopped

pytestmark = pytest.mark.django_db(transaction=True)

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
VERIFICATION = "1.2.840.10008.1.1"
SOON_S = 2.5


def associate(port: int) -> Association:
    peer = AE(ae_title=PEER)
    for sop_class in (CT, FIND, GET, MOVE, VERIFICATION):
        peer.add_requested_context(sop_class, "1.2.840.10008.1.2.1")
    return peer.associate("127.0.0.1", port, ae_title="MEDIMAGING")


@pytest.fixture
def port(department) -> Iterator[int]:
    make_node(department=department, ae_title=PEER)
    with listening() as server:
        yield port_of(server)


@pytest.mark.parametrize("is_new", [True, False], ids=["its first object", "a later one"])
def test_each_request_is_refused_soon_and_taken_when_it_is_repeated(
    port: int, settings, tmp_path: Path, is_new: bool
) -> None:
    settings.INTAKE_SPOOL_DIR = tmp_path / "incoming"
    if not is_new:
        spool_directory()
    image = dcmread(io.BytesIO(make_dicom()))
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = image.StudyInstanceUID
    association = associate(port)
    assert association.is_established
    with stopped(servers("postgres")):
        began = time.monotonic()
        stored = association.send_c_store(image)
        found = [status for status, _ in association.send_c_find(wanted, FIND)]
        retrieved = [status for status, _ in association.send_c_get(wanted, GET)]
        moved = [status for status, _ in association.send_c_move(wanted, PEER, MOVE)]
        echoed = association.send_c_echo()
        took = time.monotonic() - began
        began = time.monotonic()
        second = associate(port)
        rejected_in = time.monotonic() - began

    assert (stored.Status, stored.ErrorComment) == (0xA700, "database_unavailable")
    assert [status.Status for status in found] == [0xA700]
    assert retrieved[-1].Status == 0xA701
    assert 0xA700 <= moved[-1].Status < 0xD000  # pynetdicom asks for the destination first
    assert echoed.Status == 0
    assert took < SOON_S
    assert second.is_rejected
    assert rejected_in < 1
    eventually(lambda: not is_server_silent())

    assert association.send_c_store(image).Status == 0
    association.release()
    assert Instance.objects.count() == 1
