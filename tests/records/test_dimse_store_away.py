"""C-STORE, C-GET and C-MOVE while the store of images is away, and of files that are lost."""

import io
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from records.dimse import incoming
from records.failure_reasons import OUT_OF_RESOURCES
from records.files.open import open_verified
from records.models import Instance, SubmissionFile
from tests.dicom.files import make_dicom
from tests.factories import make_node
from tests.records.dimse import PEER, listening, port_of
from tests.records.outages import directory_away

pytestmark = pytest.mark.django_db(transaction=True)

UNABLE_TO_SEND = 0xA702


@pytest.fixture
def directory(local_store) -> Path:
    return Path(local_store.path(""))


@pytest.fixture
def server(directory, department):
    make_node(department=department, ae_title=PEER)
    with listening() as server:
        yield server


def store(server, content: bytes) -> Dataset:
    dataset = dcmread(io.BytesIO(content))
    peer = AE(ae_title=PEER)
    peer.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
    assert association.is_established
    try:
        return association.send_c_store(dataset)
    finally:
        association.release()


def get(server, instance: Instance) -> tuple[list[int], int]:
    """The statuses of the answers to a C-GET, and how many objects came."""
    came: list[str] = []
    peer = AE(ae_title=PEER)
    peer.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    peer.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = peer.associate(
        "127.0.0.1",
        port_of(server),
        ae_title="MEDIMAGING",
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, lambda event: came.append("object") or 0x0000)],
    )
    assert association.is_established
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = instance.series.study.study_instance_uid
    answers = association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet)
    found = [status.Status for status, _ in answers]
    association.release()
    return found, len(came)


@pytest.mark.parametrize("how", ["moved", "not mounted"])
@pytest.mark.parametrize("is_large", [False, True])
def test_store_is_out_of_resources_while_the_store_is_away(
    server, directory, how, is_large, monkeypatch
):
    """A small object waits in memory, a large one goes to the spool as it comes."""
    if is_large:
        monkeypatch.setattr(incoming, "MEMORY_BYTES", 100)
    content = make_dicom()

    with directory_away(directory, how):
        answer = store(server, content)

    assert (answer.Status, answer.ErrorComment) == (OUT_OF_RESOURCES, "storage_unavailable")
    assert not SubmissionFile.objects.exists()
    assert store(server, content).Status == 0x0000


def test_retrieve_is_unable_while_the_store_is_away(server, directory, send_one):
    instance = send_one(make_dicom()).instance

    with directory_away(directory, "moved"):
        statuses, count = get(server, instance)

    assert (statuses[-1], count) == (UNABLE_TO_SEND, 0)
    assert get(server, instance)[1] == 1


def test_store_puts_a_lost_file_back_before_it_says_success(server, directory, send_one):
    """What came by another door: its meta information is another than that of C-STORE."""
    content = make_dicom()
    instance = send_one(content).instance
    (directory / instance.file.name).unlink()

    assert store(server, content).Status == 0x0000

    assert set(SubmissionFile.objects.values_list("code", flat=True)) == {"stored", "healed"}
    instance.refresh_from_db()
    with open_verified(instance) as stream:
        assert dcmread(stream).SOPInstanceUID == instance.sop_instance_uid
