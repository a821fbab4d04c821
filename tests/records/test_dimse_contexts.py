"""What an association is offered is what is served, and every request on it is answered."""

import time
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE, N_ACTION, N_GET
from pynetdicom.sop_class import (
    ColorPaletteInformationModelFind,
    ColorPaletteStorage,
    CTDefinedProcedureProtocolStorage,
    CTImageStorage,
    DisplaySystem,
    GenericImplantTemplateStorage,
    HangingProtocolStorage,
    InventoryStorage,
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    ProtocolApprovalStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    UnifiedProcedureStepPull,
    Verification,
)

from records.models import Instance
from tests.dicom.files import make_dicom
from tests.factories import make_node
from tests.records.dimse import PEER, listening, port_of

pytestmark = pytest.mark.django_db(transaction=True)

NOT_SERVED = (
    ModalityWorklistInformationFind,
    ModalityPerformedProcedureStep,
    ColorPaletteInformationModelFind,
    PatientRootQueryRetrieveInformationModelFind,
    StorageCommitmentPushModel,
    "1.2.840.10008.1.20.2",  # Storage Commitment Pull
    "1.2.840.10008.5.1.4.32.1",  # General Purpose Worklist
    "1.2.840.10008.5.1.4.34.4.1",  # a trial of Unified Procedure Steps
    "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print
    "1.2.840.10008.10.1",  # Real-Time Communication
    "1.2.840.10008.1.3.10",  # Media Storage Directory
    UnifiedProcedureStepPull,
    DisplaySystem,
    HangingProtocolStorage,
    ColorPaletteStorage,
    GenericImplantTemplateStorage,
    CTDefinedProcedureProtocolStorage,
    ProtocolApprovalStorage,
    InventoryStorage,
    "1.2.840.10008.9.9",  # of the standard's root, and nobody's
)
STORED = (
    CTImageStorage,
    "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image, retired
    "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale Image, retired
    "1.2.840.10008.5.1.4.1.1.999.1",  # younger than any table here
    "1.3.12.2.1107.5.9.1",  # a maker's own
)
SERVICES = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)


LEVEL = b"\x08\0\x52\0CS\6\0STUDY "


@pytest.fixture
def server(department):
    make_node(department=department, ae_title=PEER)
    with listening() as server:
        yield server


def associate(server, *classes: str, calling: str = PEER) -> Association:
    peer = AE(ae_title=calling)
    peer.acse_timeout = peer.dimse_timeout = peer.network_timeout = 10
    for each in classes:
        peer.add_requested_context(each, ExplicitVRLittleEndian)
    association = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
    assert association.is_established
    return association


def accepted(association: Association) -> set[str]:
    found = {str(context.abstract_syntax) for context in association.accepted_contexts}
    association.release()
    return found


def ask(association: Association, message, abstract_syntax: str) -> int:
    """Send a message as it is, and return the status that it is answered with."""
    contexts = association.accepted_contexts
    context = next(each for each in contexts if each.abstract_syntax == abstract_syntax)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.01)
    message.MessageID = 7
    association.dimse.send_msg(message, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    # Until it runs, the next caller would take it for still paused, and lose an answer to it.
    while association._is_paused:
        time.sleep(0.001)
    assert answer is not None, "it was never answered"
    assert answer.MessageIDBeingRespondedTo == 7
    return answer.Status


def request(kind: type, **values):
    message = kind()
    for name, value in values.items():
        setattr(message, name, value)
    return message


def test_association_is_offered_what_is_served_and_nothing_else(server, department):
    assert accepted(associate(server, Verification, *NOT_SERVED)) == {Verification}
    assert accepted(associate(server, *STORED, *SERVICES)) == {*STORED, *SERVICES}

    make_node(department=department, ae_title="ASKS", can_store=False, can_retrieve=False)
    asking = associate(server, Verification, *STORED, *SERVICES, calling="ASKS")
    assert accepted(asking) == {Verification, SERVICES[0]}


def test_every_request_is_answered_and_the_association_goes_on(server):
    find, get, move = SERVICES
    association = associate(server, Verification, CTImageStorage, *SERVICES)
    content = make_dicom()
    store = {"AffectedSOPClassUID": CTImageStorage, "AffectedSOPInstanceUID": generate_uid()}
    cases = [
        (request(C_STORE, Priority=2, **store), CTImageStorage, 0xC000),
        (request(C_FIND, Priority=2, AffectedSOPClassUID=find), find, 0xA900),
        (request(C_GET, Priority=2, AffectedSOPClassUID=get), get, 0xA900),
        (
            request(C_MOVE, Priority=2, AffectedSOPClassUID=move, MoveDestination="X"),
            move,
            0xA801,
        ),
        (
            request(C_FIND, Priority=2, AffectedSOPClassUID=find, Identifier=BytesIO(LEVEL)),
            CTImageStorage,
            0x0122,
        ),
        (
            request(C_FIND, AffectedSOPClassUID=ModalityWorklistInformationFind, Priority=2),
            find,
            0x0122,
        ),
        (request(C_STORE, Priority=2, **store), Verification, 0x0122),
        (
            request(N_GET, RequestedSOPClassUID=find, RequestedSOPInstanceUID="1.2"),
            find,
            0x0211,
        ),
        (
            request(
                N_ACTION,
                RequestedSOPClassUID=CTImageStorage,
                RequestedSOPInstanceUID="1.2",
                ActionTypeID=1,
            ),
            CTImageStorage,
            0x0211,
        ),
    ]
    for number, (message, abstract_syntax, expected) in enumerate(cases):
        assert ask(association, message, abstract_syntax) == expected, number
        echo = request(C_ECHO, AffectedSOPClassUID=Verification)
        assert ask(association, echo, Verification) == 0x0000, number
    data_set = content[content.index(b"\x08\0\5\0") :]
    whole = request(C_STORE, Priority=2, DataSet=BytesIO(data_set), **store)
    assert ask(association, whole, CTImageStorage) in (0x0000, 0xB007)
    association.release()

    peer = AE(ae_title=PEER)
    peer.add_requested_context(CTImageStorage, ImplicitVRLittleEndian)
    again = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
    implicit = dcmread(BytesIO(content))
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file = BytesIO()
    implicit.save_as(file, implicit_vr=True, little_endian=True)
    file.seek(0)
    assert again.send_c_store(dcmread(file)).Status == 0x0000
    again.release()
    assert Instance.objects.count() == 1
