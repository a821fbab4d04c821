"""What a version says that it refuses for an image's quality, on its page and in the API."""

import pytest
from django.urls import reverse

from accounts.roles import Role
from classifier.choices import Abstention
from classifier.image_limits import CHANGES, MEASURES, image_limits_of
from classifier.models import ModelVersion
from classifier.services.versions import register_bundles
from ml.quality import COMPLAINTS
from ml.workshop.evaluation import robustness
from tests.classifier.bundles import change_manifest, copy_chest
from tests.factories import make_user

HEAD = "Images that it refuses for their quality"
QUALITY = {
    "limits": {
        "blur": {"limit": 1.25, "validation_refusal": 0.004},
        "blocking": {"limit": 0.5, "validation_refusal": 0.0},
        "glare": {"limit": 0.3, "validation_refusal": 0.0025},
    },
    "validation_refusal": 0.0065,
    "target_refusal": 0.01,
    "unmet": {"JPEG.5": 0.7, "relative_blur.0.5": 0.62},
}


@pytest.fixture
def register(db, tmp_path):
    """Register the chest bundle under a manifest of the test's."""

    def register(**changes) -> ModelVersion:
        change_manifest(copy_chest(tmp_path / "bundles"), **changes)
        register_bundles(actor=None, root=tmp_path / "bundles", deploy=True)
        return ModelVersion.objects.get(task="chest-xray")

    return register


@pytest.fixture
def reader(db, client):
    client.force_login(make_user(Role.REVIEWER))
    return client


def page_of(client, version: ModelVersion) -> str:
    return client.get(reverse("classifier:model-detail", args=[version.pk])).content.decode()


def test_page_says_in_words_what_is_refused_and_what_that_costs(reader, register):
    page = page_of(reader, register(quality=QUALITY))

    panel = page.partition(HEAD)[2].partition("</section>")[0]
    for words in ("Too blurred", "Too compressed", "Badly exposed", "Image too small"):
        assert words in panel
    assert "fewer than 96 pixels" in panel
    assert "0.4 %" in panel
    assert "refuse 0.7 % of the validation images" in panel
    assert 'blur of 0.5 % of the shorter side: <span class="num">62 %' in panel
    assert "JPEG of quality 5" in panel
    assert "Every way of spoiling" not in panel


def test_page_says_so_when_every_change_is_caught(reader, register):
    page = page_of(reader, register(quality=QUALITY | {"unmet": {}}))

    assert "Every way of spoiling an image that was tried is caught." in page
    assert "Not caught by these limits" not in page


def test_api_gives_the_same_and_the_codes_that_results_say(reader, register):
    version = register(quality=QUALITY)

    told = reader.get(f"/api/v1/model-versions/{version.pk}/").json()["image_limits"]

    assert [one["measure"] for one in told["limits"]] == ["blocking", "blur", "glare", "size"]
    codes = {one["measure"]: (one["code"], one["limit"], one["refused"]) for one in told["limits"]}
    assert codes == {
        "blur": ("too_blurred", 1.25, 0.004),
        "blocking": ("too_compressed", 0.5, 0.0),
        "glare": ("badly_exposed", 0.3, 0.0025),
        "size": ("image_too_small", version.manifest["scope"]["min_side"], None),
    }
    assert told["refused"] == 0.0065
    assert [(one["name"], one["safe"]) for one in told["unmet"]] == [
        ("relative_blur.0.5", 0.62),
        ("JPEG.5", 0.7),
    ]


def test_a_version_without_such_limits_says_nothing_of_them(reader, register):
    version = register(quality=None)

    assert version.manifest.get("quality") is None
    assert image_limits_of(version) is None
    assert HEAD not in page_of(reader, version)
    assert reader.get(f"/api/v1/model-versions/{version.pk}/").json()["image_limits"] is None


def test_every_measure_and_change_of_the_library_has_its_words():
    assert {name: str(code) for name, (code, _) in MEASURES.items()} == {
        name: complaint.code for name, complaint in COMPLAINTS.items()
    }
    # A turn and a loss of contrast are no faults that a measure notices.
    assert {change.name for change in robustness.CHANGES} - set(CHANGES) == {"contrast", "rotation"}
    assert all(code in Abstention for code, _ in MEASURES.values())
