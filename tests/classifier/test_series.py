"""Studies of several images: neighbours in order of position, and what isn't answered together."""

import io
import math
import shutil

import pydicom
import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse
from pydicom.uid import generate_uid

from classifier import tasks
from classifier.models import Classification
from classifier.services.requests import request_classifications
from classifier.services.versions import register_bundles
from ml.bundles import find_task_bundle
from ml.study import MIN_ANSWERED
from tests import factories
from tests.classifier.bundles import BUNDLES, IMAGES, SAMPLES, change_manifest, copy_chest
from tests.prerequisites import require_shared

LINE = {"intercept": 0.0, "slope": 0.3, "offset": -0.5, "steepness": 1.0}
RULE = {
    "kind": "real",
    "neighbours": 2,
    "false_alarms": 0.1,
    "longest": 40,
    "lines": {"pneumonia": LINE, "tuberculosis": LINE},
    "validation": {},
}


@pytest.fixture
def chest(db, tmp_path, settings):
    """The shipped chest network under a manifest with a rule for series."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    bundle = copy_chest(settings.BUNDLE_DIR)
    change_manifest(bundle, series=RULE)
    register_bundles(actor=None, root=settings.BUNDLE_DIR, deploy=True)
    return bundle


def slice_of(name, *, position=None, number=1):
    image = pydicom.dcmread(IMAGES[name])
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.InstanceNumber = number
    if position is not None:
        image.ImagePositionPatient = [0, 0, position]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    stream = io.BytesIO()
    image.save_as(stream)
    return stream.getvalue()


@pytest.fixture
def classified(department):
    """The answer to a study of one series with these images: (name, position) as they arrive."""

    def classify(*images, modality="CR", body_part="CHEST"):
        patient = factories.make_patient(birth_date="1970-01-01")
        study = factories.make_study(
            department=department,
            modality=modality,
            body_part=body_part,
            images=0,
            patient=patient,
        )
        for number, (name, position) in enumerate(images, start=1):
            factories.make_instance(
                series=study.series.get(),
                content=slice_of(name, position=position, number=number),
                instance_number=number,
                slice_position=position,
            )
        (row,) = request_classifications(actor=None, study=study)
        tasks.classify_next("routine")
        return Classification.objects.get(pk=row.pk)

    return classify


def test_series_has_a_finding_when_neighbours_agree_in_order_of_position(chest, classified):
    images = [("tuberculosis", 3), ("normal", 1), ("normal", 5), ("tuberculosis", 4), ("normal", 2)]
    row = classified(*images)
    assert (row.outcome, row.label) == ("finding", "tuberculosis")
    assert {name: row.tally[name] for name in ("images", "answered", "agreeing")} == {
        "images": 5,
        "answered": 5,
        "agreeing": 2,
    }
    assert (row.tally["neighbouring"], row.tally["needed"]) == (2, 2)
    # A series has operating points of its own.
    assert row.operating_point == pytest.approx(1 / (1 + math.exp(0.5)))
    assert row.model_version.threshold_of("tuberculosis") != row.operating_point
    assert "2 of 5 images speak of" in row.tally["words"]
    assert row.instance_scores.get(is_deciding=True).instance.slice_position in (3, 4)
    assert [one.instance.slice_position for one in row.instance_scores.all()] == [1, 2, 3, 4, 5]


def test_series_has_no_finding_when_those_that_agree_are_no_neighbours(chest, classified):
    # They arrive one after the other.
    images = [("tuberculosis", 1), ("tuberculosis", 5), ("normal", 2), ("normal", 3), ("normal", 4)]
    row = classified(*images)
    assert (row.outcome, row.label) == ("no_finding", "normal")
    assert (row.tally["agreeing"], row.tally["answered"]) == (3, 5)


def test_two_echoes_of_a_slice_are_no_neighbours(chest, classified):
    images = [("normal", 1), ("tuberculosis", 2), ("normal", 3)] * 2
    assert classified(*images).outcome == "no_finding"


def test_slice_that_is_left_out_parts_its_neighbours(chest, classified):
    images = [("normal", 1), ("tuberculosis", 2), ("unsure", 3), ("tuberculosis", 4), ("normal", 5)]
    row = classified(*images)
    assert row.outcome == "no_finding"
    assert row.tally["answered"] == 4
    assert "1 of 5 images were left out." in " ".join(row.notes)


def test_series_is_not_answered_when_most_of_it_is_left_out(chest, classified):
    row = classified(("tuberculosis", 1), ("unsure", 2), ("unsure", 3))
    assert MIN_ANSWERED > 1 / 3
    assert (row.state, row.abstention) == ("abstained", "series_not_validated")
    assert "Only 1 of 3" in row.abstention_reason
    assert (row.probabilities, row.tally, row.instance_scores.count()) == ({}, {}, 0)


def test_single_image_is_answered_as_before(chest, classified):
    row = classified(("tuberculosis", None))
    assert (row.outcome, row.label, row.tally) == ("finding", "tuberculosis", {})


def test_study_page_and_api_tell_how_many_agree(chest, classified, client, reviewer):
    row = classified(("tuberculosis", 1), ("tuberculosis", 2), ("normal", 3))
    client.force_login(reviewer)
    page = client.get(reverse("classifier:opinion", args=[row.pk])).content.decode()
    assert row.tally["words"] in page
    assert "Decided by image" in page
    answer = client.get(f"/api/v1/classifications/{row.pk}/").json()
    assert answer["tally"] == row.tally


def test_database_refuses_to_alter_how_many_agreed(chest, classified):
    row = classified(("tuberculosis", 1), ("tuberculosis", 2))
    with pytest.raises(DatabaseError, match="keeps its answer"), transaction.atomic():
        Classification.objects.filter(pk=row.pk).update(tally={})


@pytest.fixture
def brain(db, tmp_path, settings):
    """The brain bundle that ships, where its manifest says nothing of series, nor of sources."""
    shipped = find_task_bundle(BUNDLES, "brain-mri")
    settings.BUNDLE_DIR = tmp_path / "bundles"
    copy = shutil.copytree(shipped, settings.BUNDLE_DIR / "brain-mri" / shipped.name)
    change_manifest(copy, series=None, transfer=None, conformal=None)
    register_bundles(actor=None, root=settings.BUNDLE_DIR, deploy=True)


def stored_brain(department, *, copies):
    study = factories.make_study(department=department, modality="MR", body_part="HEAD", images=0)
    content = (SAMPLES / "brain-glioma" / "01.dcm").read_bytes()
    for number in range(1, copies + 1):
        factories.make_instance(series=study.series.get(), content=content, instance_number=number)
    return study


@pytest.mark.parametrize(("copies", "state"), [(1, "awaiting_review"), (2, "abstained")])
def test_brain_series_is_not_answered_while_the_manifest_is_silent(
    brain, department, copies, state
):
    (row,) = request_classifications(actor=None, study=stored_brain(department, copies=copies))
    tasks.classify_next("routine")
    row.refresh_from_db()
    assert row.state == state
    if state == "abstained":
        assert row.abstention == "series_not_validated"
        assert row.abstention_reason.startswith("The Brain MRI model was tested on single slices")


def test_healthy_head_of_nineteen_slices_is_no_meningioma(brain, department):
    paths = sorted(require_shared("cases/mr-series").glob("*.dcm"))
    study = factories.make_study(department=department, modality="MR", body_part="HEAD", images=0)
    for number, path in enumerate(paths, start=1):
        factories.make_instance(
            series=study.series.get(), content=path.read_bytes(), instance_number=number
        )
    (row,) = request_classifications(actor=None, study=study)
    tasks.classify_next("routine")
    row.refresh_from_db()
    assert (row.state, row.abstention, row.label) == ("abstained", "series_not_validated", "")
    assert not any("upside down" in note for note in row.notes)
