"""Debian's Orthanc with its DICOMweb plugin, as the PACS that pushes to us and pulls from us."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from records.choices import Origin
from records.models import Instance, Study, Submission
from records.services import submit_study
from tests.dicom.files import make_dicom
from tests.prerequisites import require_program, skip_or_fail
from tests.product import free_port, wait_for
from tests.records.dicomweb.messages import small_study_files

pytestmark = pytest.mark.django_db(transaction=True)
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Orthanc:
    """A running Orthanc that knows us as the server "us"."""

    def __init__(self, folder: Path, *, our_url: str, token: str) -> None:
        self.port = free_port()
        self.folder = folder
        us = {
            "Url": f"{our_url}/dicomweb/",
            "HttpHeaders": {"Authorization": f"Token {token}"},
            "ChunkedTransfers": True,
            "HasDelete": False,
        }
        settings = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "AuthenticationEnabled": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Servers": {"us": us}},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("wb") as output:
            self.process = subprocess.Popen(
                ["Orthanc", str(self.folder / "orthanc.json")],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        wait_for(self._answers, seconds=60, what=f"Orthanc, see {self.folder / 'log'}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
        shutil.rmtree(self.folder / "storage", ignore_errors=True)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return bool(self.ask("/system"))
        except OSError:
            return False

    def ask(self, path: str, body: Any = None) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


@pytest.fixture
def orthanc(gunicorn, token, tmp_path) -> Iterator[Orthanc]:
    require_program("Orthanc", "orthanc")
    if not PLUGIN.exists():
        skip_or_fail("orthanc-dicomweb is not installed")
    server = Orthanc(tmp_path, our_url=gunicorn.url, token=token)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_orthanc_pushes_a_study_to_us(orthanc):
    files = small_study_files(generate_uid(), (generate_uid(), generate_uid()))
    large = make_dicom(Rows=1024, Columns=1024, PixelData=bytes(range(256)) * 8192)
    answers = [orthanc.ask("/instances", content) for content in (*files.values(), large)]

    sent = orthanc.ask(
        "/dicom-web/servers/us/stow",
        {"Resources": sorted({each["ParentStudy"] for each in answers}), "Synchronous": True},
    )

    assert sent, "Orthanc takes an empty answer for a failure"
    assert set(files) < set(Instance.objects.values_list("sop_instance_uid", flat=True))
    assert set(Submission.objects.values_list("origin", flat=True)) == {Origin.STOW}


def test_orthanc_finds_and_pulls_a_study_from_us(orthanc, technician, department, tmp_path):
    study_uid = generate_uid()
    files = small_study_files(study_uid, (generate_uid(), generate_uid()))
    paths = []
    for uid, content in files.items():
        paths.append(tmp_path / uid)
        paths[-1].write_bytes(content)
    submit_study(actor=technician, department=department, files=paths)

    found = orthanc.ask(
        "/dicom-web/servers/us/qido",
        {"Uri": "/studies", "Arguments": {"PatientID": Study.objects.get().patient.mrn}},
    )
    orthanc.ask(
        "/dicom-web/servers/us/retrieve",
        {"Resources": [{"Study": study_uid}], "Synchronous": True},
    )

    assert [each["0020000D"]["Value"] for each in found] == [study_uid]
    held = [orthanc.ask(f"/instances/{each}/simplified-tags") for each in orthanc.ask("/instances")]
    assert {each["SOPInstanceUID"] for each in held} == set(files)
