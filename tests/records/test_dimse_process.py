"""`manage.py dicom_scp` as a process of its own, and Debian's Orthanc as the peer."""

import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from pydicom import dcmread
from pynetdicom import AE

from medimaging import addresses
from records.models import Instance, Study, Submission
from tests.dicom.files import SAMPLES, make_dicom
from tests.factories import make_node
from tests.prerequisites import require_program
from tests.records.dimse import PATIENCE_S, PEER, eventually, free_port, listening, port_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ROOT = SAMPLES.parent
ORTHANC = "ORTHANC"


@pytest.fixture
def command(department) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command, listening, and its port."""
    make_node(department=department, ae_title=PEER)
    database = addresses.database_url(django_settings.DATA_DIR, connection.settings_dict["NAME"])
    environment = {**os.environ, "DATABASE_URL": database, "DICOM_GRACE_SECONDS": "1"}
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "dicom_scp", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert f"MEDIMAGING listens on 127.0.0.1, port {port}" in process.stdout.readline()
        yield process, port
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def associate(port: int):
    peer = AE(ae_title=PEER)
    peer.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    association = peer.associate("127.0.0.1", port, ae_title="MEDIMAGING")
    assert association.is_established
    return association


def test_command_closes_what_is_open_when_it_is_asked_to_stop(command):
    process, port = command
    association = associate(port)
    assert association.send_c_store(dcmread(io.BytesIO(make_dicom()))).Status == 0

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE_S) == 0
    eventually(lambda: not association.is_established)
    assert Submission.objects.get().state == "stored"
    assert Instance.objects.count() == 1


def test_killed_command_loses_nothing_that_it_said_was_stored(command):
    process, port = command
    association = associate(port)
    assert association.send_c_store(dcmread(io.BytesIO(make_dicom()))).Status == 0

    process.kill()
    process.wait(PATIENCE_S)

    assert Submission.objects.get().state == "receiving"
    with Instance.objects.get().file.open("rb") as stream:
        assert stream.read(132).endswith(b"DICM")


def test_command_says_so_when_it_cannot_listen(command):
    _, port = command
    second = subprocess.run(
        [sys.executable, "manage.py", "dicom_scp", "--port", str(port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert f"Can't listen on 127.0.0.1, port {port}" in second.stderr


class Orthanc:
    """A running Orthanc, asked through its REST API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def is_up(self) -> bool:
        try:
            return bool(self.ask("/system"))
        except OSError:
            return False


@pytest.fixture
def server() -> Iterator[Any]:
    with listening() as server:
        yield server


@pytest.fixture
def orthanc(server, department, tmp_path: Path) -> Iterator[Orthanc]:
    require_program("Orthanc", "orthanc")
    http, dicom = free_port(), free_port()
    configuration = {
        "Name": ORTHANC,
        "DicomAet": ORTHANC,
        "DicomPort": dicom,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "DicomModalities": {"us": ["MEDIMAGING", "127.0.0.1", port_of(server)]},
        "Plugins": [],
    }
    make_node(department=department, ae_title=ORTHANC, host="127.0.0.1", port=dicom)
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["Orthanc", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peer = Orthanc(http)
    try:
        eventually(peer.is_up)
        yield peer
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_orthanc_pushes_to_us_finds_with_us_and_pulls_from_us(orthanc):
    files = sorted(SAMPLES.glob("lung-ct-malignant/*.dcm"))
    for file in files:
        orthanc.ask("/instances", file.read_bytes())
    [pushed] = orthanc.ask("/studies")

    assert orthanc.ask("/modalities/us/echo", {}) in (None, {})
    job = orthanc.ask("/modalities/us/store", pushed)
    assert job["FailedInstancesCount"] == 0
    assert Instance.objects.count() == len(files)
    study = Study.objects.get()

    orthanc.ask(f"/studies/{pushed}", method="DELETE")
    assert orthanc.ask("/instances") == []

    query = {"Level": "Study", "Query": {"PatientID": f"{study.patient.mrn[:-1]}?"}}
    found = orthanc.ask("/modalities/us/query", query)
    answers = orthanc.ask(f"/queries/{found['ID']}/answers?expand&simplify")
    assert [answer["StudyInstanceUID"] for answer in answers] == [study.study_instance_uid]

    orthanc.ask(f"/queries/{found['ID']}/retrieve", ORTHANC.encode())
    assert len(orthanc.ask("/instances")) == len(files)

    again = orthanc.ask("/modalities/us/store", orthanc.ask("/studies")[0])
    assert again["FailedInstancesCount"] == 0
    assert Instance.objects.count() == len(files)
