"""Putting a version into use that gives something up needs a reason, by every door."""

import copy

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier.choices import Action
from classifier.comparisons import compare_versions
from classifier.errors import DeploymentReasonRequired
from classifier.models import Deployment
from classifier.services.versions import deploy_version, register_bundles
from tests import factories
from tests.classifier.bundles import change_manifest, copy_chest

METRICS = {
    "accuracy": 0.94,
    "calibration_error": 0.02,
    "recall.pneumonia": 0.97,
    "specificity.pneumonia": 0.8,
    "auc.tuberculosis": 0.99,
}


def described(metrics, **entries):
    """A manifest of the factory's with these figures."""
    values = {
        name: {"value": value, "low": value, "high": value, "images": 100}
        for name, value in metrics.items()
    }
    return {**copy.deepcopy(factories.MANIFEST), "metrics": values, **entries}


@pytest.fixture
def live(version):
    version.manifest = described(METRICS)
    version.save()
    return version


@pytest.fixture
def other(settings, tmp_path, live):
    """A newer chest version, of a real bundle whose manifest a test rewrites in the row."""
    bundle = copy_chest(tmp_path / "bundles")
    change_manifest(bundle, temperature=1.1)
    (found,) = register_bundles(actor=None, root=tmp_path / "bundles", deploy=False).versions
    found.manifest = described(METRICS)
    found.stage = "released"
    found.save()
    return found


def rewrite(version, **changes):
    version.manifest = version.manifest | changes
    version.save()


LESS = {
    "a label less": {
        "labels": ["normal", "tuberculosis"],
        "operating": {"thresholds": {"tuberculosis": 0.3}},
    },
    "worse": described(METRICS | {"specificity.pneumonia": 0.0}),
    "worse calibrated": described(METRICS | {"calibration_error": 0.1}),
    "not measured": described({"accuracy": 0.99}),
    "own source only": {"transfer": {"is_own_source_only": True}},
}


@pytest.mark.parametrize("name", LESS)
def test_a_version_that_gives_something_up_needs_a_reason(live, other, name):
    rewrite(other, **LESS[name])
    with pytest.raises(DeploymentReasonRequired) as refused:
        deploy_version(actor=None, version=other)
    assert refused.value.code == "deployment_reason_required"
    assert Deployment.objects.live_version("chest-xray") == live
    with pytest.raises(DeploymentReasonRequired):
        deploy_version(actor=None, version=other, reason="  ")
    deployment = deploy_version(actor=None, version=other, reason="the other one is unsafe")
    assert Deployment.objects.live_version("chest-xray") == other
    assert deployment.reason == "the other one is unsafe"
    event = AuditEvent.objects.filter(action=Action.MODEL_DEPLOYED)[0]
    assert event.details["reason"] == "the other one is unsafe"


@pytest.mark.parametrize(
    "metrics",
    [
        METRICS,
        METRICS | {"accuracy": 0.99, "calibration_error": 0.01},
        METRICS | {"accuracy": 0.935},
        METRICS | {"balanced_accuracy": 0.1},
    ],
    ids=["the same", "better", "within noise", "what nobody measured before"],
)
def test_a_version_that_gives_nothing_up_needs_none(live, other, metrics):
    rewrite(other, **described(metrics))
    deploy_version(actor=None, version=other)
    assert Deployment.objects.live_version("chest-xray") == other


def test_a_research_version_falls_short_of_a_released_one(live, other):
    other.stage = "research"
    assert compare_versions(other, live).losses == ["it is a research model"]
    assert not compare_versions(live, other).falls_short


def test_the_first_version_of_a_task_needs_no_reason(live, other):
    rewrite(other, **LESS["a label less"])
    from classifier.services.versions import withdraw_task

    withdraw_task(actor=None, task="chest-xray")
    deploy_version(actor=None, version=other)
    assert Deployment.objects.live_version("chest-xray") == other


def test_the_page_compares_and_asks(client, live, other):
    rewrite(other, **LESS["a label less"])
    client.force_login(factories.make_user(Role.ADMINISTRATOR))
    where = reverse("classifier:model-detail", args=[other.pk])
    page = client.get(where).content.decode()
    assert "Nobody would be told any more of: Pneumonia." in page
    assert 'name="reason"' in page
    deploy = reverse("classifier:model-deploy", args=[other.pk])
    page = client.post(deploy, follow=True).content.decode()
    assert "falls short of" in page
    assert Deployment.objects.live_version("chest-xray") == live
    page = client.post(deploy, {"reason": "two hospitals asked"}, follow=True).content.decode()
    assert "now answers its task" in page
    assert "two hospitals asked" in page


def test_the_page_of_a_version_that_gives_nothing_up_asks_for_nothing(client, live, other):
    client.force_login(factories.make_user(Role.ADMINISTRATOR))
    page = client.get(reverse("classifier:model-detail", args=[other.pk])).content.decode()
    assert "No label is lost, and no figure is worse." in page
    assert 'name="reason"' not in page


def test_register_bundles_says_what_it_does_not_put_into_use_and_why(
    live, settings, tmp_path, capsys
):
    settings.BUNDLE_DIR = tmp_path / "bundles"
    copied = copy_chest(settings.BUNDLE_DIR)
    newer = copied.with_name("99.0.0")
    copied.rename(newer)
    change_manifest(newer, version="99.0.0")
    live.version = "1.0.0"
    live.save()
    call_command("register_bundles", deploy=True)
    told = capsys.readouterr().out
    assert "model_not_deployed: chest-xray 99.0.0 was not put into use: 1.0.0 is in use" in told
    assert "a person decides" in told
    settings.BUNDLE_TRUSTED_KEYS = []
    call_command("register_bundles", deploy=True)
    assert "not signed by a key that this site trusts" in capsys.readouterr().out
