"""A server's memory doesn't grow with the study: hundreds of megabytes in, the same out."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from records.models import Instance
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1024 * 1024
INSTANCES = 20
INSTANCE_BYTES = 16 * MIB
ALLOWED_GROWTH = 120 * MIB
"""One 16 MiB object is decoded for its proof, with its float copy; the study is 320 MiB."""


def objects(study_uid: str, series_uid: str) -> Iterator[bytes]:
    pixels = bytes(range(256)) * (INSTANCE_BYTES // 256)
    for number in range(INSTANCES):
        yield make_dicom(
            syntax=ImplicitVRLittleEndian,
            StudyInstanceUID=study_uid,
            SeriesInstanceUID=series_uid,
            InstanceNumber=number,
            Rows=2048,
            Columns=4096,
            PixelData=pixels,
        )


def chunks_of(study_uid: str, series_uid: str) -> Iterator[bytes]:
    for content in objects(study_uid, series_uid):
        yield b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
    yield b"--b--\r\n"


def peak_of(server) -> int:
    """The most memory that the worker ever held, as the kernel counted it."""
    (worker,) = psutil.Process(server.process.pid).children()
    status = Path(f"/proc/{worker.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_study_s_size(gunicorn, token):
    study_uid = generate_uid()
    connection = http.client.HTTPConnection("127.0.0.1", gunicorn.port, timeout=300)
    headers = {
        "Authorization": f"Token {token}",
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
    }
    connection.request("GET", "/dicomweb/studies", headers=headers)
    connection.getresponse().read()
    before = peak_of(gunicorn)

    connection.request(
        "POST",
        "/dicomweb/studies",
        body=chunks_of(study_uid, generate_uid()),
        headers=headers,
        encode_chunked=True,
    )
    response = connection.getresponse()
    response.read()
    stored = peak_of(gunicorn)
    assert response.status == 200
    assert Instance.objects.count() == INSTANCES

    for syntax in ("*", "1.2.840.10008.1.2.1"):
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
        connection.request(
            "GET", f"/dicomweb/studies/{study_uid}", headers={**headers, "Accept": accept}
        )
        response = connection.getresponse()
        received = 0
        while data := response.read(MIB):
            received += len(data)
        assert received > INSTANCES * INSTANCE_BYTES
    sent = peak_of(gunicorn)

    print(f"peak {before // MIB} MiB, after store {stored // MIB}, after retrieve {sent // MIB}")
    assert stored - before < ALLOWED_GROWTH
    assert sent - stored < 8 * MIB
