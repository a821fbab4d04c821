"""What a model's page says was measured of it."""

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.roles import Role
from classifier.figures import figures_of
from classifier.models import ModelVersion
from classifier.services.versions import register_bundles
from tests.factories import make_user


@pytest.fixture
def chest(db):
    register_bundles(actor=None, root=settings.BUNDLE_DIR, deploy=True)
    return ModelVersion.objects.get(task="chest-xray")


def test_each_label_stands_in_one_row_with_its_interval_drawn(client, chest):
    figures = figures_of(chest)
    assert [row.label for row in figures.labels] == [chest.display_of(one) for one in chest.labels]
    recall = chest.manifest["metrics"]["recall.pneumonia"]
    (drawn,) = [row for row in figures.labels if row.label == chest.display_of("pneumonia")]
    assert drawn.metrics[0] == recall
    assert drawn.chart["low"] < drawn.chart["value"] < drawn.chart["high"]

    client.force_login(make_user(Role.DATA_SCIENTIST))
    page = client.get(reverse("classifier:model-detail", args=[chest.pk])).content.decode()
    before_card = page.partition("Model card")[0].lower()
    assert "argmax" not in before_card
    assert before_card.count('<svg class="interval"') == len(chest.labels)


def test_page_says_own_source_only_until_other_places_were_scored(client, chest):
    client.force_login(make_user(Role.DATA_SCIENTIST))
    url = reverse("classifier:model-detail", args=[chest.pk])
    assert "Own source only" in client.get(url).content.decode()
    figure = {"value": 0.91, "low": 0.85, "high": 0.95, "images": 95, "asked": 70, "groups": 70}
    worse = figure | {"value": 0.4125}
    place = {
        "images": 95,
        "groups": 93,
        "is_learned": False,
        "metrics": {"sensitivity": figure, "called.tuberculosis": figure},
        "own": {"sensitivity": figure},
        "drops": {"sensitivity": worse},
    }
    chest.manifest = chest.manifest | {"external": {"porto": place}, "transfer": None}
    page = render_to_string(
        "classifier/model_detail.html", {"model_version": chest, "figures": figures_of(chest)}
    )
    assert page.index("On images of other places") < page.index("Measured on kept-aside")
    assert "0.413" in page
    assert "95 images of 93 groups" in page
    assert "Own source only" not in page
    (found,) = figures_of(chest).places
    assert (found.source, found.images) == ("porto", 95)
    assert found.rows == [("Sensitivity, any disease", worse, figure, figure)]


def test_confusion_matrix_is_the_signed_one_or_none(chest, settings, tmp_path):
    rows = figures_of(chest).confusion
    assert len(rows) == len(chest.labels)
    assert sum(sum(row) for _, row in rows) == chest.manifest["metrics"]["accuracy"]["images"]

    settings.BUNDLE_DIR = tmp_path / "another release"
    assert figures_of(chest).confusion == rows
    kept = settings.BUNDLE_STORE_DIR / chest.digest / "evaluation.json"
    kept.write_text('{"confusion": {"at_thresholds": [[99]]}}')
    assert figures_of(chest).confusion == []
    kept.unlink()
    assert figures_of(chest).confusion == []
