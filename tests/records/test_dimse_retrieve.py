"""C-FIND, C-GET and C-MOVE by dcmtk's programs, against our server."""

import copy
import io
import signal
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from accounts.choices import Action as AccountsAction
from accounts.models import AuditEvent
from records.choices import Action
from records.dimse import retrieve
from records.dimse.retrieve import open_as_taken
from records.models import DicomNode, Instance, Study
from records.services import submit_study
from tests.dicom.files import SAMPLES, make_dicom
from tests.factories import make_department, make_node
from tests.records.dimse import (
    DESTINATION,
    PEER,
    eventually,
    find,
    find_status,
    free_port,
    listening,
    make_certificate,
    move,
    port_of,
    receiving,
    run,
)

pytestmark = pytest.mark.django_db(transaction=True)

CT = sorted(SAMPLES.glob("lung-ct-*/*.dcm"))
LARGE_BYTES = 64 * 1024 * 1024
LARGE = {"Rows": 8192, "Columns": 4096, "PixelData": bytes(LARGE_BYTES)}


@pytest.fixture
def node(department):
    return make_node(department=department, ae_title=PEER)


@pytest.fixture
def server(node):
    with listening() as server:
        yield server


@pytest.fixture
def study(department, technician) -> Study:
    submit_study(actor=technician, department=department, files=CT)
    return Study.objects.get(study_instance_uid=dcmread(CT[0]).StudyInstanceUID)


@pytest.fixture
def foreign_study(stranger) -> Study:
    """A study of a department that the node doesn't belong to."""
    elsewhere = stranger.departments_held[0]
    file = next(SAMPLES.glob("chest-*/*.dcm"))
    submit_study(actor=stranger, department=elsewhere, files=[file])
    return Study.objects.get(department=elsewhere)


@pytest.fixture
def storescp(department, tmp_path) -> Iterator[Path]:
    """A registered destination that takes plain syntaxes only: the folder that it writes."""
    folder = tmp_path / "received"
    with receiving(folder) as port:
        make_destination(department, port)
        yield folder


def make_destination(department, port: int, **options: Any) -> DicomNode:
    where = {"host": "localhost", "port": port, "can_store": False}
    return make_node(department=department, ae_title=DESTINATION, **where, **options)


def test_find_answers_at_each_level(server, study):
    uid = study.study_instance_uid
    series = study.series.get()

    [answer] = find(
        server,
        "QueryRetrieveLevel=STUDY",
        f"PatientID={study.patient.mrn[:4]}*",
        "StudyInstanceUID",
        "NumberOfStudyRelatedInstances",
        "NumberOfStudyRelatedSeries",
        "ModalitiesInStudy",
    )
    assert uid in answer
    assert f"[{study.instance_count}" in answer
    assert "[CT" in answer
    [answer] = find(
        server, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid}", "SeriesInstanceUID"
    )
    assert series.series_instance_uid in answer
    answers = find(
        server,
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={uid}",
        f"SeriesInstanceUID={series.series_instance_uid}",
        "SOPInstanceUID",
    )
    assert len(answers) == study.instance_count


def test_find_shows_the_node_s_own_department_only(server, study, foreign_study):
    answers = find(server, "QueryRetrieveLevel=STUDY", "StudyInstanceUID")
    assert len(answers) == Study.objects.filter(department=study.department).count()
    assert not any(foreign_study.study_instance_uid in answer for answer in answers)


def test_find_notes_which_keys_were_asked_and_never_their_values(server, study):
    find(server, "QueryRetrieveLevel=STUDY", "PatientName=Secret*", "StudyDate")

    event = AuditEvent.objects.get(action=Action.STUDIES_SEARCHED)
    assert event.actor_name == f"DICOM node {PEER}"
    assert event.details == {"level": "STUDY", "filters": ["PatientName"], "count": 0}
    assert event.department_id == study.department_id


def test_find_fails_when_the_question_cannot_be_answered(server, study):
    assert "a900" in find_status(server, "QueryRetrieveLevel=STUDY", "StudyDate=yesterday")
    assert "a900" in find_status(server, "QueryRetrieveLevel=PATIENT")
    assert "a900" in find_status(server, "QueryRetrieveLevel=SERIES")


def test_find_says_that_there_are_more_when_too_many_match(server, study, settings):
    settings.DICOM_MAX_MATCHES = 1
    uid, series = study.study_instance_uid, study.series.get().series_instance_uid
    keys = (
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={uid}",
        f"SeriesInstanceUID={series}",
    )
    assert "a700" in find_status(server, *keys)


def test_get_sends_the_study_over_the_same_association(server, study, tmp_path):
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.study_instance_uid}")
    done = run(server, "getscu", "-v", "-S", "-od", tmp_path, *keys)

    assert done.returncode == 0, done.stderr
    received = {dcmread(path).SOPInstanceUID for path in tmp_path.iterdir() if path.is_file()}
    held = Instance.objects.filter(series__study=study)
    assert received == set(held.values_list("sop_instance_uid", flat=True))
    event = AuditEvent.objects.get(action=Action.STUDY_RETRIEVED)
    assert event.study_id == study.pk
    assert event.actor_name == f"DICOM node {PEER}"
    assert event.details["destination"] == PEER
    assert event.details["instances"] == len(received)


def test_get_sends_nothing_of_another_department(server, foreign_study, tmp_path):
    uid = foreign_study.study_instance_uid
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    run(server, "getscu", "-S", "-od", tmp_path, *keys)

    assert not [path for path in tmp_path.iterdir() if path.is_file()]
    assert not AuditEvent.objects.filter(action=Action.STUDY_RETRIEVED).exists()


def test_move_sends_the_study_to_a_registered_node(server, study, storescp):
    said = move(server, study)

    assert said.endswith("exit 0"), said
    received = [dcmread(path) for path in storescp.iterdir()]
    assert len(received) == study.instance_count
    assert AuditEvent.objects.get(action=Action.STUDY_RETRIEVED).details["destination"] == (
        DESTINATION
    )
    original = {str(dataset.SOPInstanceUID): dataset for dataset in map(dcmread, CT)}
    for dataset in received:
        assert dataset.PixelData == original[dataset.SOPInstanceUID].PixelData


def test_move_unpacks_what_the_destination_would_not_take(server, department, technician, storescp):
    dataset = dcmread(CT[0])
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    packed = storescp.parent / "packed.dcm"
    dataset.save_as(packed)
    submit_study(actor=technician, department=department, files=[packed])
    assert Instance.objects.get().transfer_syntax_uid == JPEG2000Lossless

    said = move(server, Study.objects.get())

    assert said.endswith("exit 0"), said
    [received] = [dcmread(path) for path in storescp.iterdir()]
    assert received.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert received.SOPInstanceUID == dataset.SOPInstanceUID
    assert (received.pixel_array == dcmread(CT[0]).pixel_array).all()


def test_move_fails_when_the_destination_is_not_registered(server, study):
    said = move(server, study, to="STRANGER")
    assert not said.endswith("exit 0")
    assert "0xa801" in said
    assert not AuditEvent.objects.filter(action=Action.STUDY_RETRIEVED).exists()


def test_move_fails_when_the_destination_belongs_to_another_department(server, study):
    elsewhere = make_department()
    make_node(department=elsewhere, ae_title="OTHER", host="127.0.0.1", port=free_port())
    assert "0xa801" in move(server, study, to="OTHER")


def test_move_names_the_object_that_cannot_be_read(server, study, storescp):
    lost = Instance.objects.filter(series__study=study).first()
    Path(lost.file.path).unlink()

    said = move(server, study)

    assert len(list(storescp.iterdir())) == study.instance_count - 1
    assert "0xb000" in said
    assert lost.sop_instance_uid in said


def test_move_stops_when_it_is_called_off(server, study, storescp, monkeypatch):
    def open_slowly(*args):
        time.sleep(0.5)
        return open_as_taken(*args)

    monkeypatch.setattr(retrieve, "open_as_taken", open_slowly)
    said = move(server, study, "--cancel", "1")

    assert "0xfe00" in said
    assert 1 <= len(list(storescp.iterdir())) < study.instance_count


def test_move_unpacks_a_deflated_object(server, send, storescp):
    plain = dcmread(CT[0])
    send(("file", rewritten(plain, DeflatedExplicitVRLittleEndian)))
    assert Instance.objects.get().transfer_syntax_uid == DeflatedExplicitVRLittleEndian

    assert move(server, Study.objects.get()).endswith("exit 0")

    [received] = [dcmread(path) for path in storescp.iterdir()]
    assert received.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (received.pixel_array == plain.pixel_array).all()


def rewritten(dataset: Dataset, syntax: str) -> bytes:
    """A data set in another little endian syntax, by pydicom."""
    dataset = copy.deepcopy(dataset)
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    is_implicit = syntax == ImplicitVRLittleEndian
    dcmwrite(buffer, dataset, implicit_vr=is_implicit, little_endian=True)
    return buffer.getvalue()


def test_move_writes_as_it_says_what_was_stored_as_something_else(server, send, storescp):
    """Some devices write Implicit VR and say Explicit: pydicom reads it, few others do."""
    plain, first_element = dcmread(CT[0]), bytes.fromhex("08000500")
    head, _ = rewritten(plain, ExplicitVRLittleEndian).split(first_element, 1)
    _, data_set = rewritten(plain, ImplicitVRLittleEndian).split(first_element, 1)
    send(("file", head + first_element + data_set))
    assert Instance.objects.get().transfer_syntax_uid == ExplicitVRLittleEndian

    assert move(server, Study.objects.get()).endswith("exit 0")

    [received] = storescp.iterdir()
    assert is_as_said(received)
    assert (dcmread(received).pixel_array == plain.pixel_array).all()


def is_as_said(path: Path) -> bool:
    """Whether dcmtk, which believes a file's transfer syntax, can read it."""
    done = subprocess.run(["dcmdump", "+P", "PatientID", path], capture_output=True, check=False)
    return done.returncode == 0 and b"(0010,0020) LO" in done.stdout and not done.stderr


def test_large_object_is_sent_from_its_file(server, send, storescp):
    send(("file", make_dicom(**LARGE)))
    tracemalloc.start()
    try:
        said = move(server, Study.objects.get())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert said.endswith("exit 0"), said
    [received] = storescp.iterdir()
    assert received.stat().st_size > LARGE_BYTES
    assert most < LARGE_BYTES / 4


def test_peer_that_takes_nothing_any_more_is_given_up(
    server, send, tmp_path, settings, monkeypatch
):
    settings.DICOM_IDLE_SECONDS = 1
    send(("file", make_dicom(**LARGE)))
    uid = Study.objects.get().study_instance_uid
    command = ["getscu", "-S", "-aet", PEER, "-aec", "MEDIMAGING", "-od", str(tmp_path)]
    command += ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
    peer = subprocess.Popen([*command, "127.0.0.1", str(port_of(server))])

    def open_to_a_sleeper(*args):
        peer.send_signal(signal.SIGSTOP)
        return open_as_taken(*args)

    monkeypatch.setattr(retrieve, "open_as_taken", open_to_a_sleeper)
    try:
        eventually(lambda: AuditEvent.objects.filter(action=AccountsAction.TRANSFER_BEGUN).exists())
        eventually(lambda: not server.active_associations)
    finally:
        peer.kill()
        peer.wait()


def test_move_is_encrypted_where_the_node_says_so(server, department, study, tmp_path, settings):
    key, certificate = make_certificate(tmp_path, "localhost")
    with receiving(tmp_path / "received", "+tls", key, certificate, "-ic") as port:
        node = make_destination(department, port, uses_tls=True)
        assert "0xa801" in move(server, study), "nobody has signed its certificate"

        settings.DICOM_TLS_DESTINATION_CA = str(certificate)
        assert move(server, study).endswith("exit 0")
        assert len(list((tmp_path / "received").iterdir())) == study.instance_count

        node.host = "127.0.0.1"
        node.save()
        assert "0xa801" in move(server, study), "its certificate names another host"


def test_queries_and_retrievals_are_not_offered_when_the_node_may_not(server, node, study):
    node.can_query = node.can_retrieve = False
    node.save()
    for program in ("findscu", "movescu"):
        done = run(server, program, "-S", "-k", "QueryRetrieveLevel=STUDY")
        assert done.returncode != 0
        assert "No Acceptable Presentation Contexts" in done.stderr
