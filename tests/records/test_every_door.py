"""A study that is deleted, a file that is damaged, an instance withheld: the same at every door."""

import io
import json
import struct
from pathlib import Path

import pytest
from django.urls import reverse
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian, JPEGBaseline8Bit

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action, Damage
from records.dicom.attributes import Level
from records.dimse.query import find_rows
from records.dimse.retrieve import open_as_taken
from records.errors import NotAcceptable, StoredFileDamaged
from records.models import Instance, Series, Study
from records.services import delete_study, hold_study, restore_study
from tests.dicom.files import make_dicom
from tests.factories import make_node, make_user

pytestmark = pytest.mark.django_db
ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture
def study(send) -> Study:
    """Two series of two instances each, or of one."""
    first = make_dicom(InstanceNumber=1)
    send(("1", first))
    held = Instance.objects.get()
    uids = {
        "StudyInstanceUID": held.series.study.study_instance_uid,
        "SeriesInstanceUID": held.series.series_instance_uid,
    }
    send(("2", make_dicom(InstanceNumber=2, **uids)))
    send(("3", make_dicom(StudyInstanceUID=uids["StudyInstanceUID"], InstanceNumber=3)))
    return Study.objects.get()


@pytest.fixture
def manager(client, department):
    """Somebody who may look, search and delete, signed in."""
    user = make_user(Role.REVIEWER, department=department)
    client.force_login(user)
    return user


def counts_at_every_door(client, department, study: Study) -> dict[str, int]:
    """How many results each door gives: 0 too where it answers 404."""
    url = f"/dicomweb/studies/{study.study_instance_uid}"
    instance = Instance.objects.filter(series__study=study).first()
    image = f"{url}/series/{instance.series.series_instance_uid}/instances"
    image = f"{image}/{instance.sop_instance_uid}"
    addresses = {
        "QIDO studies": "/dicomweb/studies",
        "QIDO series": "/dicomweb/series",
        "QIDO instances": "/dicomweb/instances",
        "QIDO below": f"{url}/instances",
        "WADO study": url,
        "WADO metadata": f"{url}/metadata",
        "WADO frames": f"{image}/frames/1",
        "WADO rendered": f"{image}/rendered",
        "WADO bulk data": f"{image}/bulkdata/7FE00010",
        "REST": reverse("api-study-detail", args=[study.pk]),
        "page": reverse("records:study-detail", args=[study.pk]),
    }
    found = {name: int(client.get(at).status_code == 200) for name, at in addresses.items()}
    node = make_node(department=department, ae_title=f"N{AuditEvent.objects.count()}")
    wanted = {"StudyInstanceUID": study.study_instance_uid}
    for level in Level:
        found[f"DIMSE {level.name}"] = int(find_rows(node, level, wanted).exists())
    listed = client.get(reverse("api-study-list")).json()["results"]
    return {**found, "REST list": len(listed)}


def test_delete_study_takes_it_from_every_door_and_restore_brings_it_back(
    client, department, manager, study
):
    before = counts_at_every_door(client, department, study)
    assert set(before.values()) == {1}

    delete_study(actor=manager, study=study, reason="Sent by mistake")
    assert set(counts_at_every_door(client, department, study).values()) == {0}

    restore_study(actor=manager, study=study)
    assert counts_at_every_door(client, department, study) == before


def test_withheld_instances_count_at_no_door(client, department, manager, study):
    alone = Series.objects.get(instances__instance_number=3)
    Instance.objects.filter(series=alone).update(is_withheld=True)

    answer = client.get("/dicomweb/studies", {"includefield": "all"})
    (told,) = json.loads(b"".join(answer.streaming_content))
    node = make_node(department=department)
    (row,) = find_rows(node, Level.STUDY, {})

    assert told["00201206"]["Value"] == [1] == [row.series_count]
    assert find_rows(node, Level.SERIES, {}).count() == 1
    assert (
        client.get(f"/dicomweb/studies?SeriesInstanceUID={alone.series_instance_uid}").content
        == b""
    )
    series_url = f"/dicomweb/studies/{study.study_instance_uid}/series/{alone.series_instance_uid}"
    for ending in ("", "/metadata", "/instances"):
        assert client.get(series_url + ending).status_code == 404


def spoil(instance: Instance) -> None:
    path = Path(instance.file.path)
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "ending", ["", "/metadata", "/frames/1", "/rendered", "/bulkdata/7FE00010"]
)
def test_altered_files_never_leave(client, manager, study, ending):
    instance = Instance.objects.first()
    spoil(instance)
    series = instance.series.series_instance_uid
    url = f"/dicomweb/studies/{study.study_instance_uid}/series/{series}"

    answer = client.get(f"{url}/instances/{instance.sop_instance_uid}{ending}")

    assert answer.status_code == 404
    assert answer.json()["code"] == "file_damaged"
    with (
        pytest.raises(StoredFileDamaged),
        open_as_taken(instance, [instance.transfer_syntax_uid]),
    ):
        pass


def test_retrieve_leaves_known_damage_out(client, manager, study):
    damaged = Instance.objects.first()
    Instance.objects.filter(pk=damaged.pk).update(damage=Damage.ALTERED)

    answer = client.get(f"/dicomweb/studies/{study.study_instance_uid}", headers={"accept": ANY})

    body = b"".join(answer.streaming_content)
    assert answer.status_code == 206
    assert damaged.sop_instance_uid.encode() not in body
    assert body.count(b"Content-Type: application/dicom") == 2


def test_dicomweb_delete_takes_the_study_away(client, manager, study):
    url = f"/dicomweb/studies/{study.study_instance_uid}"
    series = study.series.first().series_instance_uid

    without_reason = client.delete(url)
    below = client.delete(f"{url}/series/{series}?reason=Wrong+person")
    deleted = client.delete(f"{url}?reason=Wrong+person")

    assert (without_reason.status_code, without_reason.json()["code"]) == (400, "reason_missing")
    assert below.status_code == 405
    assert deleted.status_code == 204
    assert client.get(url).status_code == 404
    event = AuditEvent.objects.get(action=Action.STUDY_DELETED)
    assert event.details == {"reason": "Wrong person", "instances": 3, "exports": 0}
    assert event.actor_id == manager.pk


def test_dicomweb_delete_is_refused_under_a_hold(client, manager, study):
    hold_study(actor=None, given=study.study_instance_uid, reason="Case 4")

    answer = client.delete(f"/dicomweb/studies/{study.study_instance_uid}?reason=Old")

    assert (answer.status_code, answer.json()["code"]) == (409, "study_held")
    assert Study.objects.kept().filter(pk=study.pk).exists()


def with_sequences() -> bytes:
    """Sequences with and without a stated length, one of them inside of another."""
    inner = Dataset()
    inner.CodeValue = "T-28000"
    outer = Dataset()
    outer.AnatomicRegionModifierSequence = [inner]
    outer["AnatomicRegionModifierSequence"].is_undefined_length = True
    dataset = dcmread(io.BytesIO(make_dicom()))
    dataset.AnatomicRegionSequence = [outer, Dataset()]
    dataset["AnatomicRegionSequence"].is_undefined_length = True
    dataset.ProcedureCodeSequence = [inner]
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        make_dicom(),
        make_dicom(syntax=ImplicitVRLittleEndian),
        with_sequences(),
        Path(get_testdata_file("MR_small_bigendian.dcm")).read_bytes(),
        Path(get_testdata_file("MR_small_RLE.dcm")).read_bytes(),
    ],
    ids=["explicit", "implicit", "sequences", "big endian", "compressed"],
)
def test_object_is_sent_by_dicom_with_the_very_bytes_of_its_data_set(send_one, content):
    instance = send_one(content).instance

    with open_as_taken(instance, [instance.transfer_syntax_uid]) as found:
        found.file.seek(found.start)
        sent = found.file.read()

    (length,) = struct.unpack_from("<L", content, 140)
    assert sent == content[144 + length :]
    assert found.syntax == instance.transfer_syntax_uid


def test_object_is_sent_implicitly_to_a_peer_that_takes_nothing_else(send_one):
    instance = send_one(Path(get_testdata_file("MR_small_RLE.dcm")).read_bytes()).instance

    with open_as_taken(instance, [ImplicitVRLittleEndian]) as found:
        found.file.seek(0)
        sent = dcmread(found.file)

    expected = dcmread(get_testdata_file("MR_small.dcm"))
    assert found.syntax == sent.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert sent.PixelData == expected.PixelData


def test_object_is_not_sent_to_a_peer_that_takes_nothing_of_it(send_one):
    instance = send_one(Path(get_testdata_file("MR_small_RLE.dcm")).read_bytes()).instance

    with pytest.raises(NotAcceptable), open_as_taken(instance, [JPEGBaseline8Bit]):
        pass
