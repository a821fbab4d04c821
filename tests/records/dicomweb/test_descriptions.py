"""The DICOM JSON kept beside the rows: what the bytes say, and nothing once they are gone."""

import json
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from records.dicom.writing.descriptions import LONGEST_KEPT
from records.models import Instance, InstanceDescription, Study
from records.services import apply_retention, delete_study
from tests.dicom.files import make_dicom, make_item, make_report
from tests.factories import make_user
from tests.records.dicomweb.answers import content_of, get, url_of

pytestmark = pytest.mark.django_db

TRICK = 'x","BulkDataURI":"y'


def told(browser, instance: Instance) -> list[dict]:
    return json.loads(content_of(get(browser, f"{url_of(instance)}/metadata")))


def test_metadata_are_the_same_whether_they_were_kept_or_are_made(browser, hold):
    long_text = "z" * (LONGEST_KEPT + 10)
    instances = [
        hold(make_dicom(PatientComments=TRICK, RetrieveURL="http://elsewhere.example/")),
        hold(make_dicom(ReferencedImageSequence=[make_item(RetrieveURL="http://inside.example/")])),
        hold(make_dicom(TextValue=long_text)),
        hold(make_report()),
    ]
    for instance in instances:
        kept = told(browser, instance)
        InstanceDescription.objects.filter(instance=instance).update(version="older")
        made = told(browser, instance)
        InstanceDescription.objects.filter(instance=instance).update(sha256="0" * 64)
        assert kept == made == told(browser, instance)
        assert kept[0]["00081190"]["Value"] == [url_of(instance)]
        assert kept[0]["00083002"]["Value"] == [instance.transfer_syntax_uid]
        assert list(kept[0]) == sorted(kept[0])
    assert told(browser, instances[0])[0]["00104000"]["Value"] == [TRICK]
    assert told(browser, instances[2])[0]["0040A160"]["Value"] == [long_text]
    assert InstanceDescription.objects.filter(instance__in=instances).count() == 4


def test_metadata_of_what_came_are_there_before_anybody_asks(send):
    send(("a", make_dicom()), ("b", make_dicom()))

    described = InstanceDescription.objects.values_list("instance__sha256", "sha256")
    assert len(described) == 2
    assert all(stored == kept for stored, kept in described)


def test_description_goes_with_its_study(hold, department):
    instance = hold(make_dicom())
    other = hold(make_dicom())
    reviewer = make_user("reviewer", department=department)
    delete_study(actor=reviewer, study=instance.series.study, reason="Sent by mistake")
    assert InstanceDescription.objects.count() == 2
    Study.objects.filter(deleted_at__isnull=False).update(
        deleted_at=timezone.now() - timezone.timedelta(days=4000)
    )

    apply_retention()

    assert list(InstanceDescription.objects.values_list("instance", flat=True)) == [other.pk]


def test_description_goes_with_the_file_for_a_release_that_doesnt_know_it(hold):
    gone, other = hold(make_dicom()), hold(make_dicom())

    Instance.objects.filter(pk=gone.pk).update(file="")

    assert list(InstanceDescription.objects.values_list("instance", flat=True)) == [other.pk]


def test_addresses_are_those_of_the_site_whatever_a_request_calls_it(browser, hold, settings):
    instance = hold(make_dicom())
    asked = {
        f"{url_of(instance)}/metadata": lambda found: found[0]["7FE00010"]["BulkDataURI"],
        "/dicomweb/instances": lambda found: found[0]["00081190"]["Value"][0],
        "/dicomweb/studies": lambda found: found[0]["00081190"]["Value"][0],
    }
    for site in ("", "https://imaging.hospital.example:8443"):
        settings.IS_SITE_URL_SET, settings.SITE_URL = bool(site), site
        for path, find in asked.items():
            response = browser.get(path, headers={"host": "localhost"})
            address = find(json.loads(content_of(response)))
            assert address.startswith(f"{site}/dicomweb/studies/"), (site, path)
            assert urlsplit(address).path.startswith("/dicomweb/studies/")
