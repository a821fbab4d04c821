"""Heat maps on the page: one scale for every finding, on the body alone, none for "normal"."""

import io
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest
from django.urls import reverse
from PIL import Image

from classifier.comparisons import compare_versions
from classifier.models import Classification, Explanation, ModelVersion
from classifier.services import runs
from records.models import Instance
from tests import factories
from tests.classifier.outcomes import answer_of
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db

SIDE = 64
# The lower three quarters show a body, the air above it is black.
PIXELS = np.zeros((SIDE, SIDE), "<u2")
PIXELS[16:] = 900
EVERYWHERE = [[1.0] * 4] * 4
IN_THE_AIR = [[1.0] * 4, *[[0.0] * 4] * 3]


@pytest.fixture
def study(department):
    content = make_dicom(
        Rows=SIDE, Columns=SIDE, PixelData=PIXELS.tobytes(), WindowCenter=500, WindowWidth=1000
    )
    study = factories.make_study(department=department, content=content)
    Instance.objects.filter(series__study=study).update(rows=SIDE, columns=SIDE)
    return study


@pytest.fixture
def page(client, reviewer):
    client.force_login(reviewer)
    return client


def conclude(claim, answer, outcome="finding", maps=None, **probabilities) -> Classification:
    """The claimed study answered, its one frame with these maps and probabilities."""
    answer = answer_of(answer, outcome)
    frame = replace(
        answer.frames[0],
        probabilities=answer.probabilities | probabilities,
        activation_maps=dict.fromkeys(answer.probabilities, EVERYWHERE) | (maps or {}),
    )
    assert runs.complete_classification(claim=claim, answer=replace(answer, frames=[frame]))
    return Classification.objects.get(pk=claim.classification_id)


def fetch(page, row, label=None):
    instance = row.study.series.get().instances.get()
    address = reverse("classifier:overlay-png", args=[row.pk, instance.pk, 1])
    return page.get(address, {"label": label} if label else {})


def opacity_of(answer) -> np.ndarray:
    assert answer["Content-Type"] == "image/png"
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.size, picture.mode) == ((SIDE, SIDE), "RGBA")
    return np.asarray(picture)[..., 3].astype(int)


def test_overlay_shines_by_the_probability_on_that_image(page, claim, answer):
    row = conclude(claim, answer, pneumonia=0.99, tuberculosis=0.01, normal=0.0)

    bright, faint = fetch(page, row), fetch(page, row, "tuberculosis")

    assert opacity_of(bright).max() > 150
    assert opacity_of(faint).max() <= 2
    assert unquote(bright["Map-Words"]) == "Pneumonia, peak 0.99"
    assert unquote(faint["Map-Words"]) == (
        "Tuberculosis, peak 0.01; not found; the map shows what little there is"
    )


def test_overlay_of_an_image_without_a_score_goes_by_the_study(page, claim, answer):
    row = conclude(claim, answer, pneumonia=0.1)
    content = make_dicom(Rows=SIDE, Columns=SIDE, PixelData=PIXELS.tobytes())
    other = factories.make_instance(series=row.study.series.get(), content=content)
    Explanation.objects.create(
        classification=row, instance=other, activation_maps={"pneumonia": EVERYWHERE}
    )

    drawn = page.get(reverse("classifier:overlay-png", args=[row.pk, other.pk, 1]))

    assert unquote(drawn["Map-Words"]) == "Pneumonia, peak 0.92"


def test_overlay_lies_on_the_body_alone(page, claim, answer):
    row = conclude(claim, answer, maps={"tuberculosis": IN_THE_AIR})

    opacity = opacity_of(fetch(page, row))

    assert opacity[:12].max() == 0
    assert opacity[20:].min() > 100
    beside = fetch(page, row, "tuberculosis")
    assert opacity_of(beside).max() == 0
    assert "next to nothing on this image speaks for it" in unquote(beside["Map-Words"])


@pytest.mark.parametrize("label", ["normal", "flu"])
def test_overlay_is_not_there_for_normal_and_for_unknown_labels(page, claim, answer, label):
    assert fetch(page, conclude(claim, answer), label).status_code == 404


@pytest.mark.parametrize(
    ("outcome", "choices"),
    [
        ("finding", ["Pneumonia", "Tuberculosis: not found"]),
        ("flagged", ["Tuberculosis", "Pneumonia: not found"]),
        ("no_finding", ["Pneumonia: not found", "Tuberculosis: not found"]),
        ("below_operating_point", ["Pneumonia: not found", "Tuberculosis: not found"]),
        ("indeterminate", ["Tuberculosis: indeterminate", "Pneumonia: not found"]),
    ],
)
def test_opinion_offers_maps_of_findings_and_says_which_were_found(
    page, claim, answer, outcome, choices
):
    row = conclude(claim, answer, outcome)

    opinion = page.get(reverse("classifier:opinion", args=[row.pk])).context["opinion"]

    assert [choice.words for choice in opinion.maps] == choices
    assert opinion.overlay_label == opinion.maps[0].label
    words = unquote(fetch(page, row)["Map-Words"])
    assert ("not found" in words) == choices[0].endswith("not found")
    assert ("indeterminate" in words) == choices[0].endswith("indeterminate")


def test_overlay_of_an_image_that_cannot_be_shown_says_why(page, claim, answer):
    row = conclude(claim, answer)
    instance = factories.make_instance(series=row.study.series.get(), content=b"no image")
    Explanation.objects.create(
        classification=row, instance=instance, activation_maps={"pneumonia": EVERYWHERE}
    )

    address = reverse("classifier:overlay-png", args=[row.pk, instance.pk, 1])
    answer = page.get(address, {"label": "pneumonia"})

    assert answer.status_code == 422
    assert "can't be shown" in answer.content.decode()


def test_study_page_names_the_deciding_image_and_keeps_delete_away_from_the_name(
    page, claim, answer
):
    row = conclude(claim, answer)

    drawn = page.get(row.study.get_absolute_url()).content.decode()

    instance = row.study.series.get().instances.get()
    assert f'data-deciding-instance="{instance.pk}" data-deciding-frame="1"' in drawn
    head = drawn[drawn.index("study-head") : drawn.index("study-side")]
    assert "Delete" not in head
    assert "Delete this study" in drawn


UNPROVEN = {"standing": "unproven", "reasons": ["67% of their peaks lie in one place."]}
NOT_SHOWN = "This model&#x27;s maps were not shown to point at disease."
NOT_MEASURED = "Whether this model&#x27;s maps point at disease was not measured."


def measured(row, maps, signed_by="signer"):
    ModelVersion.objects.filter(pk=row.model_version_id).update(
        manifest=row.model_version.manifest | {"maps": maps}, signed_by=signed_by
    )
    return ModelVersion.objects.get(pk=row.model_version_id)


@pytest.mark.parametrize(
    ("maps", "signed_by", "standing"),
    [
        (UNPROVEN, "signer", "unproven"),
        (UNPROVEN, "", "unproven"),
        ({"standing": "supported", "reasons": []}, "signer", "supported"),
        ({"standing": "supported", "reasons": []}, "", "not_measured"),
        (None, "signer", "not_measured"),
        ({"standing": "splendid"}, "signer", "not_measured"),
    ],
)
def test_what_was_measured_of_maps_stands_beside_them(
    page, claim, answer, maps, signed_by, standing
):
    row = conclude(claim, answer)
    version = measured(row, maps, signed_by)

    drawn = page.get(reverse("classifier:opinion", args=[row.pk])).content.decode()
    detail = page.get(reverse("classifier:model-detail", args=[version.pk])).content.decode()
    told = page.get(f"/api/v1/model-versions/{version.pk}/").json()
    words = unquote(fetch(page, row)["Map-Words"])

    assert version.map_standing == told["map_standing"] == standing
    assert version.map_sentence == told["map_sentence"]
    assert ("data-overlay-fold" in drawn) == (standing == "unproven")
    assert (NOT_SHOWN in drawn) == (NOT_SHOWN in detail) == (standing == "unproven")
    assert (NOT_MEASURED in drawn) == (NOT_MEASURED in detail) == (standing == "not_measured")
    assert ("not shown to point at disease" in words) == (standing == "unproven")
    if standing == "unproven":
        assert "67% of their peaks lie in one place." in drawn
        fold = drawn[drawn.index("<details", drawn.index("data-overlay-fold") - 40) :]
        assert fold.index("<summary>") < fold.index("data-overlay-switch")
        assert not fold[: fold.index(">")].endswith(" open")


def test_a_version_whose_maps_are_worse_than_the_live_ones_falls_short(claim, answer):
    live = measured(conclude(claim, answer), {"standing": "supported", "reasons": []})
    other = ModelVersion.objects.get(pk=live.pk)
    assert "heat maps" not in " ".join(compare_versions(other, live).losses)
    other.manifest = live.manifest | {"maps": UNPROVEN}
    assert (
        "its heat maps were not shown to point at disease" in compare_versions(other, live).losses
    )
    assert "heat maps" not in " ".join(compare_versions(live, other).losses)
