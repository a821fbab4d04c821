"""Files of a request: written once, beside the store, whatever becomes of the request."""

import io

import psutil
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http.multipartparser import MultiPartParser
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from rest_framework.test import APIClient

from records.errors import DiskFull, FileTooLarge
from records.files.spool import spool_directory
from records.files.upload_handler import SpoolUploadHandler
from records.models import Instance
from tests.dicom.files import make_dicom

# Where files are spooled is the store's to say, and its identity the database's.
pytestmark = pytest.mark.django_db

API = "/api/v1/submissions/"


def parsed(body: bytes, stream=None):
    headers = {"CONTENT_TYPE": MULTIPART_CONTENT, "CONTENT_LENGTH": str(len(body))}
    handler = SpoolUploadHandler()
    parser = MultiPartParser(headers, stream or io.BytesIO(body), [handler])
    return parser.parse()[1].getlist("files")


def body_of(*contents: bytes) -> bytes:
    files = [SimpleUploadedFile(f"{n}.dcm", content) for n, content in enumerate(contents)]
    return encode_multipart(BOUNDARY, {"files": files})


def waiting() -> list[str]:
    return [path.name for path in spool_directory().iterdir()]


def test_file_is_lent_once_and_gone_afterwards(settings):
    content = make_dicom()
    (upload,) = parsed(body_of(content))

    with upload.lent() as file:
        assert file.path.read_bytes() == content
        assert waiting() == [file.path.name]

    assert (file.size, upload.size, upload.name) == (len(content), len(content), "0.dcm")
    assert waiting() == []


def test_files_of_a_request_keep_no_descriptor_open():
    before = psutil.Process().num_fds()

    uploads = parsed(body_of(*[make_dicom()] * 20))

    assert psutil.Process().num_fds() == before
    for upload in uploads:
        upload.close()


def test_file_that_nobody_read_goes_with_its_request():
    (upload,) = parsed(body_of(make_dicom()))

    upload.close()

    assert waiting() == []


def test_file_beyond_the_limit_is_dropped_and_the_next_one_taken(settings):
    settings.INTAKE_MAX_FILE_BYTES = 5000
    large, small = parsed(body_of(bytes(2_000_000), make_dicom()))

    with pytest.raises(FileTooLarge), large.lent():
        pass
    with small.lent() as file:
        assert waiting() == [file.path.name]


def test_disk_without_room_is_said_when_the_file_is_read(monkeypatch):
    def refuse(*_):
        raise DiskFull

    monkeypatch.setattr("records.files.spool._check_room", refuse)
    (upload,) = parsed(body_of(make_dicom()))

    with pytest.raises(DiskFull), upload.lent():
        pass
    upload.close()


def test_file_whose_sender_breaks_off_leaves_nothing():
    body = body_of(bytes(2_000_000))

    class Broken(io.BytesIO):
        def read(self, size=-1, /):
            if self.tell() > 1_000_000:
                raise OSError("connection reset")
            return super().read(size)

    with pytest.raises(OSError, match="reset"):
        parsed(body, Broken(body))

    assert waiting() == []


def test_request_with_a_file_too_large_gets_every_verdict(settings, technician):
    settings.INTAKE_MAX_FILE_BYTES = 5000
    api = APIClient()
    api.force_authenticate(technician)
    request = {"files": [io.BytesIO(bytes(9000)), io.BytesIO(make_dicom())]}

    answer = api.post(API, request, format="multipart")

    assert [file["code"] for file in answer.json()["files"]] == ["file_too_large", "stored"]
    assert Instance.objects.count() == 1
    assert waiting() == []
