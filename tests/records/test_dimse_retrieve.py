"""C-FIND, C-GET and C-MOVE by dcmtk's programs, against our server."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from accounts.models import Action, AuditEvent
from records.models import Instance, Study
from records.services import submit_study
from tests.factories import make_department, make_node
from tests.prerequisites import require_program
from tests.records.dimse import PEER, free_port, listening, run
from tests.records.files import SAMPLES

pytestmark = pytest.mark.django_db(transaction=True)

CT = sorted(SAMPLES.glob("lung-ct-*/*.dcm"))
DESTINATION = "STORE"


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
    """dcmtk's receiver, registered as a destination that takes plain syntaxes only."""
    require_program("storescp", "dcmtk")
    port = free_port()
    folder = tmp_path / "received"
    folder.mkdir()
    make_node(
        department=department, ae_title=DESTINATION, host="localhost", port=port, can_store=False
    )
    command = ["storescp", "-aet", DESTINATION, "+uf", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield folder
    finally:
        process.terminate()
        process.wait(10)


def find(server, *keys: str) -> list[str]:
    """Ask at the study root, and return the text of each answer."""
    arguments = [part for key in keys for part in ("-k", key)]
    done = run(server, "findscu", "-S", *arguments)
    assert done.returncode == 0, done.stderr
    return re.split(r"Find Response: \d+ \(Pending\)", done.stderr + done.stdout)[1:]


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
    assert event.details == {"level": "STUDY", "filters": ["PatientName"]}
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


def find_status(server, *keys: str) -> str:
    """The codes of the answers, as findscu writes them when it is asked to say all."""
    arguments = [part for key in keys for part in ("-k", key)]
    done = run(server, "findscu", "-d", "-S", *arguments)
    return " ".join(re.findall(r"DIMSE Status\s+: 0x([0-9a-f]{4})", done.stderr + done.stdout))


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


def move(server, study, *, to: str = DESTINATION) -> subprocess.CompletedProcess:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.study_instance_uid}")
    return run(server, "movescu", "-d", "-S", "-aem", to, *keys)


def test_move_sends_the_study_to_a_registered_node(server, study, storescp):
    done = move(server, study)

    assert done.returncode == 0, done.stderr
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

    done = move(server, Study.objects.get())

    assert done.returncode == 0, done.stderr
    [received] = [dcmread(path) for path in storescp.iterdir()]
    assert received.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert received.SOPInstanceUID == dataset.SOPInstanceUID
    assert (received.pixel_array == dcmread(CT[0]).pixel_array).all()


def test_move_fails_when_the_destination_is_not_registered(server, study):
    done = move(server, study, to="STRANGER")
    assert done.returncode != 0
    assert "0xa801" in done.stderr + done.stdout
    assert not AuditEvent.objects.filter(action=Action.STUDY_RETRIEVED).exists()


def test_move_fails_when_the_destination_belongs_to_another_department(server, study):
    elsewhere = make_department()
    make_node(department=elsewhere, ae_title="OTHER", host="127.0.0.1", port=free_port())
    done = move(server, study, to="OTHER")
    assert "0xa801" in done.stderr + done.stdout


def test_move_names_the_object_that_cannot_be_read(server, study, storescp):
    lost = Instance.objects.filter(series__study=study).first()
    Path(lost.file.path).unlink()

    done = move(server, study)

    assert len(list(storescp.iterdir())) == study.instance_count - 1
    assert "0xb000" in done.stderr + done.stdout
    assert lost.sop_instance_uid in done.stderr + done.stdout


def test_queries_and_retrievals_are_not_offered_when_the_node_may_not(server, node, study):
    node.can_query = node.can_retrieve = False
    node.save()
    for program in ("findscu", "movescu"):
        done = run(server, program, "-S", "-k", "QueryRetrieveLevel=STUDY")
        assert done.returncode != 0
        assert "No Acceptable Presentation Contexts" in done.stderr
