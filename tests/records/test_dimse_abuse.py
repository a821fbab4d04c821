"""Strangers, liars and sleepers: whatever they send, the server goes on serving others."""

import contextlib
import io
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.core.files.storage import storages
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

from accounts.models import AuditEvent
from records.choices import Action
from records.models import Instance, Submission
from tests.dicom.files import make_dicom
from tests.factories import make_node
from tests.records.dimse import (
    PATIENCE_S,
    PEER,
    eventually,
    listening,
    make_certificate,
    port_of,
    run,
)

pytestmark = pytest.mark.django_db(transaction=True)

P_DATA, RELEASE, ABORT = 0x04, 0x05, 0x07
LAST_DATA, MORE_DATA, MORE_COMMAND = 2, 0, 1


@pytest.fixture
def node(department):
    return make_node(department=department, ae_title=PEER)


@pytest.fixture
def server(node):
    with listening() as server:
        yield server


@pytest.fixture
def connected(server) -> Iterator[socket.socket]:
    """A bare connection to the server."""
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=PATIENCE_S) as peer:
        yield peer


def associate(server, **options):
    peer = AE(ae_title=options.pop("calling", PEER))
    peer.add_requested_context(Verification)
    peer.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
    called = options.pop("called", "MEDIMAGING")
    return peer.associate("127.0.0.1", port_of(server), ae_title=called, **options)


def serves(server) -> bool:
    return run(server, "echoscu").returncode == 0


def is_over(connection: socket.socket) -> bool:
    """Tell whether the server has ended a connection, with or without a last word."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def unit(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def value(header: int, data: bytes, *, context: int = 1) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context, header) + data


def test_association_is_rejected_and_noted_when_the_caller_is_unknown(server):
    assert associate(server, calling="STRANGER").is_rejected
    assert associate(server, called="SOMEBODY").is_rejected

    events = AuditEvent.objects.filter(action=Action.ASSOCIATION_REFUSED).order_by("id")
    assert [event.details["calling"] for event in events] == ["STRANGER", PEER]
    assert {event.source_address for event in events} == {"127.0.0.1"}
    assert not Submission.objects.exists()


def test_association_is_rejected_when_the_node_calls_from_elsewhere(server, node):
    node.addresses = ["10.0.0.1"]
    node.save()

    assert associate(server).is_rejected

    reason = AuditEvent.objects.get(action=Action.ASSOCIATION_REFUSED).details["reason"]
    assert reason == "the AE title is registered for another address"


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(range(255, 0, -1)) * 20,
        unit(0x01, b""),
        unit(0x01, bytes(200)),
        unit(P_DATA, value(LAST_DATA, b"before an association")),
        unit(0x01, b"", length=0xFFFFFFFF),
        b"\x01",
    ],
    ids=["http", "noise", "empty", "zeros", "early", "huge", "short"],
)
def test_garbage_ends_its_own_connection_and_no_other(server, connected, settings, garbage):
    settings.DICOM_IDLE_SECONDS = 2
    with contextlib.suppress(OSError):  # it may be over before we have said all
        connected.sendall(garbage)
        connected.shutdown(socket.SHUT_WR)
    assert is_over(connected)
    assert serves(server)


def test_unit_that_announces_gigabytes_is_not_waited_for(server):
    association = associate(server)
    connection = association.dul.socket.socket
    before = psutil.Process().memory_info().rss

    connection.sendall(struct.pack(">BBL", P_DATA, 0, 0xFFFFFFF0))
    with contextlib.suppress(OSError):
        for _ in range(64):
            connection.sendall(bytes(1024 * 1024))

    eventually(lambda: not association.is_established)
    assert psutil.Process().memory_info().rss - before < 40_000_000
    assert serves(server)


@pytest.mark.parametrize(
    "body",
    [
        value(MORE_COMMAND, bytes(100_000)),
        value(3, b"no command set"),
        value(LAST_DATA, b"data without a command"),
        struct.pack(">LB", 1, 1),
        value(3, b"", context=99),
    ],
    ids=["endless-command", "nonsense", "bare-data", "no-header", "context"],
)
def test_messages_that_make_no_sense_end_their_association(server, body):
    association = associate(server)
    association.dul.socket.socket.sendall(unit(P_DATA, body))

    eventually(lambda: not association.is_established)
    assert serves(server)


def begin_store(association, *, announced: bytes = b"") -> None:
    """Send the command of a C-STORE and the first part of its data set, and no more."""
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = CTImageStorage
    request.AffectedSOPInstanceUID = "../../../../evil"
    request.DataSet = io.BytesIO(b"x")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    context = association.accepted_contexts[-1].context_id
    first = next(iter(message.encode_msg(context, 16384)))
    header = first.presentation_data_value_list[0][1]
    connection = association.dul.socket.socket
    connection.sendall(unit(P_DATA, value(3, header[1:], context=context)))
    connection.sendall(unit(P_DATA, value(MORE_DATA, announced or bytes(60_000), context=context)))


def stored_files() -> list[Path]:
    return [path for path in Path(storages["images"].location).rglob("*") if path.is_file()]


def test_endless_data_set_is_cut_at_the_limit_and_leaves_no_file(server, settings):
    settings.INTAKE_MAX_FILE_BYTES = 8 * 1024 * 1024
    association = associate(server)
    before = psutil.Process().memory_info().rss
    begin_store(association)
    context = association.accepted_contexts[-1].context_id
    part = unit(P_DATA, value(MORE_DATA, bytes(120_000), context=context))
    for _ in range(600):
        association.dul.socket.socket.sendall(part)

    assert psutil.Process().memory_info().rss - before < 40_000_000
    association.abort()
    assert serves(server)
    assert not [path for path in stored_files() if path.parent.name == "incoming"]


def test_sender_that_crashes_in_an_object_leaves_what_it_sent_before(server):
    dataset = dcmread(io.BytesIO(make_dicom()))
    association = associate(server)
    assert association.send_c_store(dataset).Status == 0
    begin_store(association)
    association.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    eventually(lambda: Submission.objects.filter(state="stored").exists())
    assert Instance.objects.count() == 1
    assert serves(server)


def test_names_that_lead_elsewhere_lead_nowhere(server):
    """A peer chooses the UIDs of its command; no file is ever called by them."""
    association = associate(server)
    begin_store(association)
    context = association.accepted_contexts[-1].context_id
    end = unit(P_DATA, value(LAST_DATA, b"\x08\x00", context=context))
    association.dul.socket.socket.sendall(end)

    eventually(lambda: Submission.objects.exists())
    association.abort()
    eventually(lambda: Submission.objects.filter(state="rejected").exists())
    root = Path(storages["images"].location)
    places = [root, *root.parents]
    assert not [place for place in places if (place / "evil").exists()]
    assert not [path for path in stored_files() if "evil" in path.name]


def test_sender_that_says_nothing_is_cut_off(server, settings):
    settings.DICOM_IDLE_SECONDS = 1
    quiet = associate(server)
    stalled = associate(server)
    stalled.dul.socket.socket.sendall(struct.pack(">BBL", P_DATA, 0, 1000))
    server.ae.network_timeout = 1

    eventually(lambda: not stalled.is_established)
    assert serves(server)
    quiet.abort()


def test_association_that_never_ends_is_ended(server, settings):
    settings.DICOM_ASSOCIATION_SECONDS = 1
    association = associate(server)
    dataset = dcmread(io.BytesIO(make_dicom()))
    assert association.send_c_store(dataset).Status == 0

    eventually(lambda: not association.is_established)
    eventually(lambda: Submission.objects.filter(state="stored").exists())


def test_association_that_lives_keeps_its_submission_alive(server, settings):
    settings.DICOM_HEARTBEAT_SECONDS = 0.2
    association = associate(server)
    dataset = dcmread(io.BytesIO(make_dicom()))
    assert association.send_c_store(dataset).Status == 0
    touched_at = Submission.objects.get().touched_at

    eventually(lambda: Submission.objects.get().touched_at > touched_at)
    association.release()


def test_sweeper_that_closed_a_submission_too_early_loses_nothing(server):
    association = associate(server)
    datasets = [dcmread(io.BytesIO(make_dicom())) for _ in range(2)]
    assert association.send_c_store(datasets[0]).Status == 0
    Submission.objects.update(state="stored")
    assert association.send_c_store(datasets[1]).Status == 0
    association.release()

    assert Instance.objects.count() == 2
    eventually(lambda: not Submission.objects.filter(state="receiving").exists())
    assert Submission.objects.count() == 2


@pytest.mark.slow
def test_fifty_callers_at_once_are_served_or_told_to_come_back(server, settings):
    settings.DICOM_MAX_ASSOCIATIONS = server.ae.maximum_associations = 10
    outcomes: list[str] = []
    start = threading.Barrier(50)

    def call() -> None:
        start.wait(timeout=PATIENCE_S)
        association = associate(server)
        if association.is_established:
            dataset = dcmread(io.BytesIO(make_dicom()))
            outcomes.append("stored" if association.send_c_store(dataset).Status == 0 else "lost")
            time.sleep(0.5)
            association.release()
        else:
            outcomes.append("rejected" if association.is_rejected else "dropped")

    callers = [threading.Thread(target=call) for _ in range(50)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=90)

    assert len(outcomes) == 50
    assert "lost" not in outcomes
    assert outcomes.count("stored") == Instance.objects.count() > 0
    eventually(lambda: not server.active_associations)
    eventually(lambda: not Submission.objects.filter(state="receiving").exists())
    assert serves(server)


@pytest.fixture
def certificates(tmp_path) -> Path:
    """A certificate for us and one for a caller, each signed by itself."""
    for name in ("server", "caller"):
        make_certificate(tmp_path, name)
    return tmp_path


def tls_of(certificates: Path, *, caller: str = "") -> tuple[ssl.SSLContext, str]:
    context = ssl.create_default_context(cafile=str(certificates / "server.pem"))
    context.check_hostname = False
    if caller:
        context.load_cert_chain(certificates / f"{caller}.pem", certificates / f"{caller}.key")
    return context, "server"


def test_tls_asks_for_a_certificate_where_it_is_set_to(node, certificates, settings):
    settings.DICOM_TLS_CERTIFICATE = str(certificates / "server.pem")
    settings.DICOM_TLS_KEY = str(certificates / "server.key")
    settings.DICOM_TLS_CLIENT_CA = str(certificates / "caller.pem")
    dataset = dcmread(io.BytesIO(make_dicom()))
    with listening() as server:
        # A caller that opens a connection and leaves it at that keeps nobody else waiting.
        with socket.create_connection(("127.0.0.1", port_of(server))):
            known = associate(server, tls_args=tls_of(certificates, caller="caller"))
            assert known.is_established
            assert known.send_c_store(dataset).Status == 0
            known.release()
        assert not associate(server, tls_args=tls_of(certificates)).is_established
        assert not associate(server).is_established
    assert Instance.objects.count() == 1


def test_log_names_no_patient(server, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    run(server, "findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=Secretname")
    association = associate(server)
    secret = dcmread(io.BytesIO(make_dicom(PatientName="Secretname^X", PixelData=b"\0\0")))
    association.send_c_store(secret)
    association.release()
    eventually(lambda: Submission.objects.filter(state="rejected").exists())

    assert "Secretname" not in caplog.text
