"""The hostile files by STOW-RS and by C-STORE: a verdict for every one, and nothing left behind."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, generate_uid

from records.choices import Origin, Verdict
from records.dicom.reading.preamble import find_data_set
from records.dimse.incoming import IncomingObject
from records.dimse.session import Session
from records.files.spool import spool_directory
from records.models import Instance, SubmissionFile
from tests.dicom.files import make_dicom
from tests.factories import make_node
from tests.prerequisites import require_shared
from tests.records.dicomweb.messages import body_of

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
BATCH = 32
LISTS = ("00081198", "00081199", "0008119A")


def through_stow(technician, files: list[Path]) -> Origin:
    """In requests of some files each; every answer tells of every part."""
    client = Client(raise_request_exception=False)
    client.force_login(technician)
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        answer = client.post(
            "/dicomweb/studies",
            body_of(*(path.read_bytes() for path in batch)),
            content_type='multipart/related; type="application/dicom"; boundary="a b"',
        )
        assert answer.status_code in (200, 202, 409)
        told = json.loads(answer.content)
        assert sum(len(told[tag]["Value"]) for tag in LISTS if tag in told) == len(batch)
    return Origin.STOW


def through_association(technician, files: list[Path]) -> Origin:
    """As a peer would send each: the data set, and what its command says of it."""
    session = Session(address="127.0.0.1", node=make_node(department=technician.departments.get()))
    for path in files:
        incoming = as_sent(path.read_bytes())
        incoming.seek(0)
        session.receive(name=path.name, stream=incoming)
        incoming.close()
    session.close()
    return Origin.DIMSE


def as_sent(content: bytes) -> IncomingObject:
    said = {"SOPClassUID": CTImageStorage, "SOPInstanceUID": generate_uid()}
    syntax = ImplicitVRLittleEndian
    with contextlib.suppress(Exception):
        header = dcmread(io.BytesIO(content), stop_before_pixels=True)
        syntax = header.file_meta.TransferSyntaxUID or syntax
        said |= {name: header[name].value for name in said if header[name].value}
    incoming = IncomingObject(
        sop_class_uid=str(said["SOPClassUID"]),
        sop_instance_uid=str(said["SOPInstanceUID"]),
        syntax=str(syntax),
    )
    incoming.write(content[find_data_set(io.BytesIO(content)) or 0 :])
    return incoming


def open_files() -> set[str]:
    """What this process has open of the store, of the spool, and of children's answers."""
    names = []
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            names.append(str(handle.readlink()).removesuffix(" (deleted)"))
    images = f"{settings.DATA_DIR}/images/"
    return {name for name in names if images in name or "memfd:decoded" in name}


@pytest.mark.parametrize("send_all", [through_stow, through_association])
def test_hostile_files_by_network_leave_nothing_but_their_verdicts(technician, send_all):
    files = sorted(require_shared("dicom/malformed").iterdir())
    through_stow(technician, [files[0]])
    earlier = SubmissionFile.objects.count()
    opened_earlier = open_files()  # a test before this one may have left an answer unread

    origin = send_all(technician, files)

    verdicts = SubmissionFile.objects.filter(submission__origin=origin)
    answered = sum(SubmissionFile.objects.values_list("count", flat=True)) - earlier
    assert answered == len(files) == 254
    assert not verdicts.filter(code__in=["unexpected", "decoding_crashed"]).exists()
    assert not verdicts.filter(code="").exists()
    stored = SubmissionFile.objects.filter(verdict=Verdict.STORED)
    assert stored.count() == Instance.objects.count() > 100
    assert list(spool_directory().iterdir()) == []
    assert open_files() <= opened_earlier


def test_sound_file_by_an_association_is_stored(technician, tmp_path):
    path = tmp_path / "sound.dcm"
    path.write_bytes(make_dicom())

    through_association(technician, [path])

    assert SubmissionFile.objects.get().verdict == Verdict.STORED
