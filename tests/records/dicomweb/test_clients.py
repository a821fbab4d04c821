"""A real gunicorn, and the clients that hospitals point at it: nothing of ours on their side."""

import gzip
import io
import socket
from urllib.parse import urljoin

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import generate_uid
from requests import Session

from records.choices import StudyState, SubmissionState
from records.models import Instance, Study, Submission
from tests.dicom.files import make_dicom
from tests.product import wait_for
from tests.records import tus
from tests.records.dicomweb import messages
from tests.records.dicomweb.messages import body_of, small_study_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(gunicorn, token) -> DICOMwebClient:
    session = Session()
    session.headers["Authorization"] = f"Token {token}"
    return DICOMwebClient(url=f"{gunicorn.url}/dicomweb", session=session)


@pytest.mark.parametrize("chunk_bytes", [10**6, 700], ids=["whole", "chunked"])
def test_dicomweb_client_stores_searches_and_retrieves(client, chunk_bytes):
    client.set_chunk_size(chunk_bytes)
    study_uid, series_uids = generate_uid(), (generate_uid(), generate_uid())
    files = small_study_files(study_uid, series_uids)
    datasets = [pydicom.dcmread(io.BytesIO(each)) for each in files.values()]

    answer = client.store_instances(datasets, study_instance_uid=study_uid)

    assert len(answer.ReferencedSOPSequence) == 4
    (study,) = client.search_for_studies(search_filters={"PatientName": "Muster*"})
    assert study["0020000D"]["Value"] == [study_uid]
    assert len(client.search_for_series(study_uid)) == 2
    assert len(client.search_for_instances(study_uid, series_uids[0])) == 3
    held = client.retrieve_study(study_uid)
    assert {str(each.SOPInstanceUID) for each in held} == set(files)
    assert len(client.retrieve_study_metadata(study_uid)) == 4
    uid = next(iter(files))
    (frame,) = client.retrieve_instance_frames(study_uid, series_uids[0], uid, [1])
    assert np.array_equal(np.frombuffer(frame, "<u2"), np.arange(256))
    picture = client.retrieve_instance_rendered(
        study_uid, series_uids[0], uid, media_types=("image/png",)
    )
    assert picture.startswith(b"\x89PNG")
    pixels = client.retrieve_instance_metadata(study_uid, series_uids[0], uid)["7FE00010"]
    # The client names its host without the port: no address may be made from that.
    (value,) = client.retrieve_bulkdata(urljoin(client.base_url, pixels["BulkDataURI"]))
    assert value == frame
    assert client.search_for_studies(search_filters={"PatientName": "Nobody"}) == []


def chunked_request(gunicorn, token: str, chunks: list[bytes], *, is_complete: bool) -> bytes:
    head = (
        "POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Token {token}\r\nConnection: close\r\n"
        'Content-Type: multipart/related; type="application/dicom"; boundary="a b"\r\n'
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=30) as connection:
        connection.sendall(head.encode())
        for chunk in chunks:
            connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        if is_complete:
            connection.sendall(b"0\r\n\r\n")
        else:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize("size", [7, 1000, 10**6])
def test_store_reads_a_chunked_body_however_it_is_cut(gunicorn, token, size):
    body = body_of(make_dicom(), make_dicom())
    chunks = [body[at : at + size] for at in range(0, len(body), size)]

    answer = chunked_request(gunicorn, token, chunks, is_complete=True)

    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert Instance.objects.count() == 2


def test_store_keeps_whole_parts_and_nothing_of_a_broken_one(gunicorn, token):
    large = make_dicom(Rows=1024, Columns=512, PixelData=bytes(range(256)) * 4096)
    also_large = make_dicom(Rows=1024, Columns=512, PixelData=bytes(range(256)) * 4096)
    body = body_of(large, also_large)
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]

    chunked_request(gunicorn, token, chunks[:-1], is_complete=False)

    submissions = Submission.objects.filter(state=SubmissionState.STORED)
    wait_for(submissions.exists, seconds=20, what="the end of the submission")
    assert Instance.objects.count() == 1
    assert Study.objects.get().state == StudyState.OPEN


def test_upload_goes_on_by_chunks_of_which_nobody_said_how_many(gunicorn, token):
    content = make_dicom()
    headers = {"Authorization": f"Token {token}", "Tus-Resumable": "1.0.0"}
    submissions = f"{gunicorn.url}/api/v1/submissions/"
    form = {"keep_open": (None, "true")}
    opened = requests.post(submissions, headers=headers, files=form, timeout=30)
    assert opened.status_code == 201, opened.text
    uploads = f"{submissions}{opened.json()['id']}/uploads/"
    stated = headers | {"Upload-Length": str(len(content)), "Content-Type": tus.BYTES}

    begun = requests.post(uploads, headers=stated, data=iter([content[:100]]), timeout=30)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "100")
    address = urljoin(gunicorn.url, begun.headers["Location"])

    def patch(offset: int, *pieces: bytes, **more: str) -> requests.Response:
        said = headers | {"Upload-Offset": str(offset), "Content-Type": tus.BYTES} | more
        return requests.patch(address, headers=said, data=iter(pieces), timeout=30)

    assert patch(100, content[100:], b"more than there is").status_code == 413
    assert patch(100, content[100:200], **{"Content-Type": "text/plain"}).status_code == 415
    assert patch(100, content[100:150], content[150:200]).status_code == 204
    last = patch(200, content[200:300], content[300:])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(content)))
    told = requests.get(address, headers=headers, timeout=30).json()
    assert told["files"][0]["verdict"] == "stored"


def test_body_that_was_packed_is_refused_by_every_address(gunicorn, token):
    packed = gzip.compress(body_of(make_dicom()))
    for method, path, content_type in (
        ("POST", "/dicomweb/studies", messages.OBJECTS),
        ("POST", "/dicomweb/studies", "application/dicom"),
        ("POST", "/api/v1/submissions/", "multipart/form-data; boundary=x"),
        ("PATCH", "/api/v1/submissions/1/uploads/1/", tus.BYTES),
        ("POST", "/api/v1/tokens/", "application/json"),
        ("POST", "/accounts/sign-in/", "application/x-www-form-urlencoded"),
    ):
        headers = {
            "Authorization": f"Token {token}",
            "Content-Encoding": "gzip",
            "Content-Type": content_type,
        }
        answer = requests.request(
            method, f"{gunicorn.url}{path}", headers=headers, data=packed, timeout=30
        )
        assert answer.status_code == 415, path
        assert "Content-Encoding" in answer.text, path
        if not path.startswith("/accounts/"):
            assert answer.json()["code"] == "content_encoding_unsupported"
    in_part = (
        gzip.compress(make_dicom()),
        "Content-Type: application/dicom\r\nContent-Encoding: gzip",
    )
    headers = {"Authorization": f"Token {token}", "Content-Type": messages.OBJECTS}
    url = f"{gunicorn.url}/dicomweb/studies"
    answer = requests.post(url, headers=headers, data=body_of(in_part), timeout=30)
    assert answer.status_code == 415
    assert not Instance.objects.exists()


def test_store_refuses_chunks_that_are_none(gunicorn, token):
    head = (
        "POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Token {token}\r\nConnection: close\r\n"
        'Content-Type: multipart/related; type="application/dicom"; boundary="a b"\r\n'
        "Transfer-Encoding: chunked\r\n\r\n5\r\n--a b\r\nnonsense\r\n"
    )
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
