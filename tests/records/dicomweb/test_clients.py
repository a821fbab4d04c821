"""A real gunicorn, and the clients that hospitals point at it: nothing of ours on their side."""

import io
import socket
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import generate_uid
from requests import Session

from records.models import Instance, Study, StudyState, Submission, SubmissionState
from tests.product import wait_for
from tests.records.dicomweb.messages import body_of, small_study_files
from tests.records.files import make_dicom

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
    # The client names its host without the port, so addresses made from that lack it too.
    path = urlsplit(pixels["BulkDataURI"]).path
    (value,) = client.retrieve_bulkdata(client.base_url.removesuffix("/dicomweb") + path)
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
