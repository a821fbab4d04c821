"""STOW-RS by whole requests."""

import io

import pydicom
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from accounts.models import AuditEvent
from records import errors
from records.choices import Action, Origin, StudyState, SubmissionState
from records.models import Instance, Study, Submission
from records.services.storing import IncomingObject, store_objects
from tests.dicom.files import make_dicom, make_item, make_png, make_report, make_zip
from tests.factories import make_department, make_user
from tests.records.dicomweb.messages import (
    FAILED,
    HELD,
    METADATA,
    OBJECTS,
    OTHER_FAILED,
    answer_of,
    body_of,
    reasons_of,
    store,
)

pytestmark = pytest.mark.django_db


def test_store_holds_every_part_and_says_where(browser):
    response = store(browser, body_of(make_dicom(), make_dicom()))

    assert response.status_code == 200
    assert response["Content-Type"] == "application/dicom+json"
    answer = answer_of(response)
    urls = [item["00081190"]["Value"][0] for item in answer[HELD]["Value"]]
    assert [browser.get(url).status_code for url in urls] == [200, 200]
    assert FAILED not in answer
    submission = Submission.objects.get()
    assert (submission.origin, submission.state) == (Origin.STOW, SubmissionState.STORED)
    stored = AuditEvent.objects.filter(action=Action.FILE_STORED)
    assert stored.count() == 2


def test_store_accepts_the_same_bytes_again(browser):
    body = body_of(make_dicom())
    store(browser, body)

    response = store(browser, body)

    assert response.status_code == 200
    assert len(answer_of(response)[HELD]["Value"]) == 1
    assert Instance.objects.count() == 1


def test_store_says_of_each_part_why_it_failed(browser):
    uid = generate_uid()
    original, changed = make_dicom(SOPInstanceUID=uid), make_dicom(SOPInstanceUID=uid, Rows=8)
    report, cut_short = make_report(), make_dicom()[:-100]

    response = store(browser, body_of(original, changed, report, cut_short, b"no image"))

    assert response.status_code == 202
    answer = answer_of(response)
    assert len(answer[HELD]["Value"]) == 2
    assert reasons_of(response) == [0x0111, 0xC000]
    conflict = answer[FAILED]["Value"][0]
    assert conflict["00081155"]["Value"] == [uid]
    assert conflict["00091001"]["Value"] == ["uid_conflict"]
    assert reasons_of(response, OTHER_FAILED) == [0xC000]
    assert Instance.objects.count() == 2


def test_store_answers_409_when_nothing_is_held(browser):
    response = store(browser, body_of(make_dicom(StudyInstanceUID=None)))

    assert response.status_code == 409
    assert reasons_of(response) == [0xA900]


def test_store_answers_413_when_every_object_is_too_large(browser, settings):
    settings.INTAKE_MAX_FILE_BYTES = 600

    response = store(browser, body_of(make_dicom()))

    assert response.status_code == 413
    assert reasons_of(response) == [0xA700]
    assert not Instance.objects.exists()


def test_store_refuses_objects_of_another_study_than_the_address_names(browser):
    own, other = generate_uid(), generate_uid()

    response = store(
        browser,
        body_of(make_dicom(StudyInstanceUID=own), make_dicom(StudyInstanceUID=other)),
        path=f"studies/{own}",
    )

    assert response.status_code == 202
    assert reasons_of(response) == [0xA901]
    assert Study.objects.get().study_instance_uid == own
    assert AuditEvent.objects.filter(action=Action.FILE_REJECTED).count() == 1


def test_store_knows_the_study_of_a_deflated_object_too(browser):
    uid = generate_uid()
    deflated = make_dicom(syntax="1.2.840.10008.1.2.1.99", StudyInstanceUID=uid)

    response = store(browser, body_of(deflated), path=f"studies/{uid}")

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"\r\n", OBJECTS, 400),
        (b"--a b--\r\n", OBJECTS, 400),
        (b"no delimiter at all", OBJECTS, 400),
        (b"--a b\r\n\r\nends early", OBJECTS, 400),
        (b"--a b\r\n" + b"x" * 20_000, OBJECTS, 400),
        (body_of(b""), 'multipart/related; type="application/dicom"', 400),
        (body_of(b""), "multipart/form-data; boundary=x", 415),
        (body_of(b""), "application/json", 415),
        (body_of(b""), 'multipart/related; type="text/plain"; boundary="a b"', 415),
        (body_of((b"{", "Content-Type: application/dicom+json")), METADATA, 400),
        (body_of((b"[1]", "Content-Type: application/dicom+json")), METADATA, 400),
    ],
)
def test_store_refuses_a_body_that_it_cannot_read(browser, body, content_type, status):
    response = store(browser, body, content_type=content_type)

    assert response.status_code == status
    problem = response.json()
    assert response["Content-Type"] == "application/problem+json"
    assert problem["code"]
    assert problem["action"]
    assert not Instance.objects.exists()


def test_store_refuses_what_cannot_be_answered_before_it_stores(browser):
    response = store(browser, body_of(make_dicom()), accept="text/html")

    assert response.status_code == 406
    assert not Instance.objects.exists()


def test_store_files_where_the_sender_says(browser, technician):
    own = make_department("Second")
    technician.memberships.create(role="technician", department=own)

    by_query = store(browser, body_of(make_dicom()), path=f"studies?department={own.slug}")
    by_header = store(browser, body_of(make_dicom()), **{"X-Department": "second"})
    elsewhere = store(browser, body_of(make_dicom()), path="studies?department=nowhere")

    assert (by_query.status_code, by_header.status_code) == (200, 200)
    assert Study.objects.filter(department=own).count() == 2
    assert elsewhere.status_code == 400
    assert elsewhere.json()["code"] == "department_unknown"


def test_store_completes_a_study_once_it_holds_the_declared_count(browser):
    uid = generate_uid()
    path = f"studies/{uid}?expected_instances=3"
    parts = [make_dicom(StudyInstanceUID=uid) for _ in range(3)]

    store(browser, body_of(*parts[:2]), path=path)
    before = Study.objects.get().state
    store(browser, body_of(parts[2]), path=path)

    assert (before, Study.objects.get().state) == (StudyState.OPEN, StudyState.COMPLETE)


def test_store_leaves_a_study_open_when_no_count_is_declared(browser):
    store(browser, body_of(make_dicom()))

    assert Study.objects.get().state == StudyState.OPEN


@pytest.mark.parametrize("count", ["0", "-1", "two", "9" * 12])
def test_store_refuses_an_impossible_count(browser, count):
    response = store(browser, body_of(make_dicom()), path=f"studies?expected_instances={count}")

    assert response.status_code == 400
    assert not Instance.objects.exists()


def test_store_is_refused_to_a_reviewer(client, department):
    client.force_login(make_user("reviewer", department=department))

    assert store(client, body_of(make_dicom())).status_code == 403


def test_store_is_not_answered_with_a_session_from_another_site(technician):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(technician)

    assert store(client, body_of(make_dicom())).status_code == 403
    assert not Instance.objects.exists()


def test_store_refuses_a_photograph_because_it_names_no_patient(browser):
    response = store(browser, body_of(make_png()))

    assert response.status_code == 409
    assert reasons_of(response, OTHER_FAILED) == [0xA900]


def referring_to(count: int, **elements) -> bytes:
    """A slice made from many others, each named in an item without a stated length."""
    items = [
        make_item(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID=f"1.2.{number}")
        for number in range(count)
    ]
    for item in items:
        item.is_undefined_length_sequence_item = True
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(SourceImageSequence=items, **elements)))
    dataset["SourceImageSequence"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def with_private_bytes(size: int, **elements) -> bytes:
    """A slice with a private value of its maker's before everything that says whose it is."""
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(**elements)))
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "OB", bytes(size))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_store_answers_from_what_it_stored_however_long_the_object_is(browser):
    contents = {
        "references": referring_to(2000),
        "private": with_private_bytes(6 * 1024 * 1024),
        "zip of one": make_zip({"a.dcm": make_dicom()}),
        "deflated": make_dicom(syntax=DeflatedExplicitVRLittleEndian),
    }
    for name, content in contents.items():
        response = store(browser, body_of(content))

        assert response.status_code == 200, (name, response.content)
        (item,) = answer_of(response)[HELD]["Value"]
        held = Instance.objects.get(sop_instance_uid=item["00081155"]["Value"][0])
        study = held.series.study.study_instance_uid
        assert answer_of(response)["00081190"]["Value"][0].endswith(f"/studies/{study}"), name
        again = store(browser, body_of(content), path=f"studies/{study}")
        assert again.status_code == 200, (name, again.content)


def test_store_answers_for_each_object_of_an_archive(browser):
    study, uid = generate_uid(), generate_uid()
    store(browser, body_of(make_dicom(SOPInstanceUID=uid, StudyInstanceUID=study)))
    archive = make_zip(
        {
            "new.dcm": make_dicom(StudyInstanceUID=study),
            "other.dcm": make_dicom(),
            "contradicts.dcm": make_dicom(SOPInstanceUID=uid, StudyInstanceUID=study, Rows=8),
            "readme.txt": b"read me",
        }
    )

    response = store(browser, body_of(archive), path=f"studies/{study}")

    assert response.status_code == 202
    assert len(answer_of(response)[HELD]["Value"]) == 1
    failed = answer_of(response)[FAILED]["Value"]
    assert {item["00091001"]["Value"][0] for item in failed} == {"other_study", "uid_conflict"}
    assert all(item["00081155"]["Value"][0] for item in failed)
    assert Study.objects.get().instance_count == 2


def test_store_names_a_long_object_that_it_refuses(browser):
    """By its own header, which is read whole, and refused wherever its address names another."""
    uid = generate_uid()

    response = store(
        browser,
        body_of(with_private_bytes(5 * 1024 * 1024, SOPInstanceUID=uid)),
        path=f"studies/{generate_uid()}",
    )

    assert response.status_code == 409
    assert answer_of(response)[FAILED]["Value"][0]["00081155"]["Value"] == [uid]
    assert reasons_of(response) == [0xA901]
    assert not Instance.objects.exists()


def test_store_objects_keeps_every_verdict_with_its_object(technician, department, monkeypatch):
    """Objects are filed some at a time, but each is answered in its place."""
    monkeypatch.setattr("records.services.reception.FILED_AT_ONCE", 2)
    study = generate_uid()
    contents = {
        "first": make_dicom(StudyInstanceUID=study),
        "elsewhere": make_dicom(),
        "empty": b"",
        "second": make_dicom(StudyInstanceUID=study),
        "third": make_dicom(StudyInstanceUID=study),
        "missing": make_dicom(StudyInstanceUID=study),
    }
    contents["again"] = contents["first"]
    objects = [
        IncomingObject(
            name=name,
            sop_class_uid="",
            sop_instance_uid="",
            stream=io.BytesIO(content),
            refusal=errors.BulkDataMissing(detail="x") if name == "missing" else None,
        )
        for name, content in contents.items()
    ]

    outcomes = store_objects(
        actor=technician, department=department, objects=objects, study_instance_uid=study
    )

    assert [(each.file.name, each.file.code) for each in outcomes] == [
        ("first", "stored"),
        ("elsewhere", "other_study"),
        ("empty", "empty_file"),
        ("second", "stored"),
        ("third", "stored"),
        ("missing", "bulk_data_missing"),
        ("again", "duplicate"),
    ]


def test_store_objects_locks_its_study_once_for_many(technician, department):
    study = generate_uid()

    def objects():
        for number in range(6):
            content = make_dicom(StudyInstanceUID=study, InstanceNumber=number)
            yield IncomingObject(str(number), "", "", io.BytesIO(content))

    with CaptureQueriesContext(connection) as queries:
        store_objects(actor=technician, department=department, objects=objects())

    raised = [each for each in queries if '"instance_count" = ("records_study"' in each["sql"]]
    assert len(raised) == 1
    assert Study.objects.get().instance_count == 6


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_method_that_an_address_does_not_have_is_called_so(browser, small_study, method):
    assert getattr(browser, method)(small_study.instance_url()).status_code == 405


def test_head_is_answered_as_get_without_the_body(browser, small_study):
    answer = browser.head(f"{small_study.url}/metadata")

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/dicom+json")
