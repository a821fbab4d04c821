"""C-STORE and C-ECHO by dcmtk's programs, against our server."""

import hashlib
import io

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from accounts.models import AuditEvent
from records.choices import Origin, SubmissionState
from records.dimse import statuses
from records.failure_reasons import (
    CANNOT_UNDERSTAND,
    DATA_SET_MISMATCH,
    DUPLICATE_INSTANCE,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
)
from records.models import Instance, Study, Submission, SubmissionFile
from tests.dicom.files import SAMPLES, make_dicom, make_report
from tests.factories import make_department, make_node
from tests.prerequisites import require_shared
from tests.records.dimse import PEER, eventually, listening, port_of, run

pytestmark = pytest.mark.django_db(transaction=True)

SLICES = sorted(SAMPLES.glob("lung-ct-*/*.dcm"))


@pytest.fixture
def node(department):
    return make_node(department=department, ae_title=PEER)


@pytest.fixture
def server(node):
    with listening() as server:
        yield server


def is_closed() -> bool:
    states = set(Submission.objects.values_list("state", flat=True))
    return bool(states) and "receiving" not in states


def store(server, *contents: bytes) -> list[int]:
    """Send objects in one association by pynetdicom, and return the status of each."""
    datasets = [dcmread(io.BytesIO(content)) for content in contents]
    peer = AE(ae_title=PEER)
    for dataset in datasets:
        peer.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
    assert association.is_established
    answers = [association.send_c_store(dataset) for dataset in datasets]
    association.release()
    eventually(is_closed)
    return [answer.Status for answer in answers]


def test_echo_is_answered_when_the_node_is_registered(server):
    assert run(server, "echoscu").returncode == 0


def test_store_files_objects_of_one_association_in_one_submission(server, department):
    done = run(server, "storescu", "-v", "-R", *SLICES)

    assert done.returncode == 0, done.stderr
    eventually(is_closed)
    submission = Submission.objects.get()
    assert submission.state == SubmissionState.STORED
    assert submission.origin == Origin.DIMSE
    assert submission.department == department
    assert Instance.objects.count() == len(SLICES)
    assert set(Study.objects.values_list("state", flat=True)) == {"open"}


def test_store_says_in_the_trail_which_node_acted_from_where(server):
    assert store(server, make_dicom()) == [statuses.SUCCESS]

    events = AuditEvent.objects.exclude(action__startswith="study.")
    assert [event.action for event in events.order_by("id")] == [
        "submission.opened",
        "file.stored",
        "submission.closed",
    ]
    assert {event.actor_name for event in events} == {f"DICOM node {PEER}"}
    assert {event.source_address for event in events} == {"127.0.0.1"}
    assert len({event.request_id for event in events} - {""}) == 1


def test_store_keeps_the_data_set_byte_for_byte(server):
    content = make_dicom()
    store(server, content)

    with Instance.objects.get().file.open("rb") as stream:
        kept = stream.read()
    assert kept[:132] == bytes(128) + b"DICM"
    assert dcmread(io.BytesIO(kept)) == dcmread(io.BytesIO(content))
    assert hashlib.sha256(kept).hexdigest() == Instance.objects.get().sha256


@pytest.mark.parametrize("folder", ["transfer-syntaxes", "assorted", "charsets"])
@pytest.mark.slow
def test_store_takes_every_syntax_and_class_that_intake_keeps(server, folder):
    files = []
    for path in sorted((require_shared("dicom") / folder).rglob("*.dcm")):
        header = dcmread(path, stop_before_pixels=True, force=True)
        uids = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        if all(header.get(uid) for uid in uids) and header.file_meta.get("TransferSyntaxUID"):
            files.append(path)
    done = run(server, "dcmsend", "-v", "--no-halt", "--decompress-never", *files)

    eventually(is_closed)
    assert not SubmissionFile.objects.filter(code="unexpected").exists()
    assert Instance.objects.count() > len(files) // 3, done.stdout


@pytest.mark.parametrize(
    ("change", "expected", "code"),
    [
        ({}, statuses.SUCCESS, "duplicate"),
        ({"InstanceNumber": 2}, DUPLICATE_INSTANCE, "uid_conflict"),
        (
            {"SOPInstanceUID": "1.2.3", "PatientID": "P-2"},
            statuses.IDENTITY_CONTRADICTED,
            "study_patient_mismatch",
        ),
        (
            {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": None},
            DATA_SET_MISMATCH,
            "missing_uid",
        ),
        (
            {"SOPInstanceUID": "1.2.3", "Rows": 64_000},
            OUT_OF_RESOURCES,
            "image_too_large",
        ),
        (
            {"SOPInstanceUID": "1.2.3", "PixelData": b"\0\0"},
            CANNOT_UNDERSTAND,
            "dicom_truncated",
        ),
        (
            {
                "SOPInstanceUID": "1.2.3",
                "StudyInstanceUID": "1.2.4",
                "SeriesInstanceUID": "1.2.5",
                "PatientID": None,
            },
            statuses.COERCED,
            "patient_unknown",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_store_answers_with_the_status_of_the_verdict(server, change, expected, code):
    uids = {
        keyword: generate_uid()
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    }
    if "Rows" in change:
        change = change | {"Columns": 64_000}

    assert store(server, make_dicom(**uids)) == [statuses.SUCCESS]
    assert store(server, make_dicom(**{**uids, **change})) == [expected]

    assert SubmissionFile.objects.order_by("created_at").last().code == code


def test_store_tells_nothing_of_a_study_that_another_department_holds(server, technician, send):
    content = make_dicom()
    elsewhere = make_department("Elsewhere")
    send(("a", content), actor=None, department=elsewhere)

    assert store(server, content) == [statuses.SUCCESS]
    assert Study.objects.count() == 2


def test_store_keeps_an_object_without_pixels(server):
    assert store(server, make_report()) == [statuses.SUCCESS]
    assert Instance.objects.get().exclusion == "not_an_image"


def test_store_is_refused_when_the_node_may_not_store(server, node):
    node.can_store = False
    node.save()
    dataset = dcmread(io.BytesIO(make_dicom()))
    peer = AE(ae_title=PEER)
    peer.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
    assert association.send_c_store(dataset).Status == NOT_AUTHORISED
    association.release()
    assert not Submission.objects.exists()


def test_store_warns_when_the_command_names_another_object(server):
    dataset = dcmread(io.BytesIO(make_dicom()))
    peer = AE(ae_title=PEER)
    peer.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = peer.associate("127.0.0.1", port_of(server), ae_title="MEDIMAGING")
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = dataset.SOPClassUID
    request.AffectedSOPInstanceUID = "1.2.3.4"
    request.DataSet = io.BytesIO(encode(dataset, is_implicit_vr=False, is_little_endian=True))
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, 1)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()

    assert answer.Status == statuses.STORED_AS_ANOTHER
    assert Instance.objects.get().sop_instance_uid == dataset.SOPInstanceUID


def test_store_goes_on_in_another_submission_when_one_is_full(server, settings):
    settings.INTAKE_MAX_FILES = 2
    contents = [make_dicom() for _ in range(5)]

    assert store(server, *contents) == [statuses.SUCCESS] * 5

    assert Submission.objects.count() == 3
    assert Instance.objects.count() == 5


def test_store_refuses_more_objects_than_one_association_may_send(server, settings):
    settings.DICOM_ASSOCIATION_OBJECTS = 2
    sent = store(server, *[make_dicom() for _ in range(3)])
    assert sent == [statuses.SUCCESS, statuses.SUCCESS, OUT_OF_RESOURCES]


def test_store_refuses_a_data_set_that_is_too_large_and_goes_on(server, settings):
    settings.INTAKE_MAX_FILE_BYTES = 100_000
    large = make_dicom(Rows=512, Columns=512, PixelData=bytes(512 * 512 * 2))

    sent = store(server, large, make_dicom())

    assert sent == [OUT_OF_RESOURCES, statuses.SUCCESS]
    assert SubmissionFile.objects.filter(code="file_too_large").count() == 1


def test_store_takes_the_files_that_were_once_handled_wrongly(server):
    paths = sorted(require_shared("cases").glob("*.dcm"))

    statuses_given = store(server, *(path.read_bytes() for path in paths))

    refused = [path.name for path, status in zip(paths, statuses_given, strict=True) if status]
    assert refused == []
    assert SubmissionFile.objects.filter(message__contains="damaged").count() == 0
