"""A lost image that comes again in another transfer syntax: kept apart, and told what heals it."""

import hashlib
import io

import pytest
from django.urls import reverse
from pydicom import dcmread

from records.models import QuarantinedFile, SubmissionFile
from tests.dicom.files import make_dicom
from tests.records.dicomweb.messages import FAILED, answer_of, body_of
from tests.records.dicomweb.messages import store as stow
from tests.records.losing import compressed, healed, in_bytes, is_shown, lose

pytestmark = pytest.mark.django_db

LOCAL = pytest.mark.parametrize("store", ["local"], indirect=True)
HOW = pytest.mark.parametrize("how", ["missing", "altered", "cut short"])


@LOCAL
@HOW
def test_object_in_another_syntax_is_kept_apart_where_nothing_is_left_to_compare(
    store, send_one, how
):
    content = make_dicom()
    instance = send_one(content).instance
    lose(instance, how)
    other = compressed(content)

    again = send_one(other)

    assert (again.verdict, again.code) == ("rejected", "held_file_lost")
    apart = QuarantinedFile.objects.get()
    assert apart.sha256 == hashlib.sha256(other).hexdigest()
    instance.refresh_from_db()
    assert instance.damage
    assert healed() == []


@LOCAL
@pytest.mark.parametrize("door", ["rest", "stow"])
def test_sender_is_told_in_which_syntax_a_lost_image_heals_and_it_does(
    store, client, technician, department, send_one, door
):
    content = compressed(make_dicom())
    instance = send_one(content).instance
    lose(instance)
    client.force_login(technician)
    plain = dcmread(io.BytesIO(content))
    plain.decompress(generate_instance_uid=False)

    def send(sent: bytes) -> str:
        if door == "stow":
            return stow(client, body_of(sent)).content.decode()
        files = {"files": io.BytesIO(sent), "department": department.slug}
        return client.post(reverse("api-submission-list"), files).content.decode()

    said = send(in_bytes(plain))

    assert "Send it in the transfer syntax in which it was held: RLE Lossless (1.2." in said
    assert SubmissionFile.objects.filter(code="held_file_lost").count() == 1
    again = dcmread(io.BytesIO(content))
    again.file_meta.ImplementationVersionName = "ANOTHER"
    send(in_bytes(again))
    assert SubmissionFile.objects.filter(code="healed").count() == 1
    assert is_shown(instance)


@LOCAL
def test_sender_of_another_data_set_in_the_same_syntax_is_asked_for_the_very_file(store, send_one):
    content = make_dicom()
    lose(send_one(content).instance)
    other = dcmread(io.BytesIO(content))
    other.InstitutionName = "Elsewhere"

    again = send_one(in_bytes(other))

    assert again.code == "held_file_lost"
    assert again.action.startswith("Send the very file that was sent before.")


@LOCAL
def test_stow_tells_nothing_held_that_is_lost(store, client, technician, send_one):
    content = make_dicom()
    lose(send_one(content).instance)
    client.force_login(technician)

    response = stow(client, body_of(compressed(content)))

    assert response.status_code == 409
    (item,) = answer_of(response)[FAILED]["Value"]
    assert item["00081197"]["Value"] == [0x0110]
