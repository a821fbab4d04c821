"""Tasks that bundles bring: known by their manifests, or refused with the reason."""

import json
import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.roles import Role
from classifier.models import Deployment, ModelVersion
from classifier.task_registry import SHIPPED_TASKS, read_brought_tasks, read_shipped_tasks
from tests import factories
from tests.classifier.bundles import change_manifest, copy_chest
from tests.product import run_python

SCOPE = {"modalities": ["MG"], "body_parts": ["BREAST", "CHEST WALL"]}


@pytest.fixture
def place(settings, tmp_path):
    """An empty folder of bundles."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    settings.BUNDLE_DIR.mkdir()
    return settings.BUNDLE_DIR


def bring(place: Path, task: str, **changes) -> Path:
    """A bundle of the task: the shipped chest network under another name and scope."""
    copy = copy_chest(place / "made")
    scope = json.loads((copy / "manifest.json").read_text())["scope"]
    target = place / task / copy.name
    shutil.copytree(copy, target)
    shutil.rmtree(place / "made")
    entries = {"task": task, "title": "Mammography", "scope": scope | SCOPE} | changes
    change_manifest(target, **entries)
    return target


def test_read_brought_tasks_finds_what_does_not_ship_by_its_newest_manifest(place, settings):
    copy_chest(place)
    bring(place, "mammography", created="2026-02-01T00:00:00Z")
    kept = settings.BUNDLE_STORE_DIR / ("a" * 64)
    shutil.copytree(bring(place, "other"), kept)
    shutil.rmtree(place / "other")
    change_manifest(kept, task="mammography", title="Older", created="2026-01-01T00:00:00Z")
    (found,) = read_brought_tasks(SHIPPED_TASKS).values()
    assert (found.name, found.title) == ("mammography", "Mammography")
    assert found.modalities == {"MG"}
    assert found.stated == ("MG", "BREAST")
    assert found.is_named_by("MG", "CHEST WALL")


def test_read_brought_tasks_lets_no_bundle_change_a_task_that_ships(place, settings):
    routing = {"modalities": ["MG"], "words": ["breast"], "stated": ["MG", "BREAST"]}
    kept = settings.BUNDLE_STORE_DIR / ("a" * 64)
    shutil.copytree(bring(place, "chest-xray", routing=routing), kept)
    assert read_brought_tasks(SHIPPED_TASKS) == {}
    assert read_shipped_tasks()["chest-xray"].stated == ("CR", "CHEST")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"task": 3}', b'{"task": "x", "scope": 3}', b"\xff\xfe"]
)
def test_read_brought_tasks_leaves_out_what_cannot_be_read(place, content):
    broken = place / "mammography" / "1.0.0"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_bytes(content)
    assert read_brought_tasks(SHIPPED_TASKS) == {}


@pytest.mark.parametrize(
    ("task", "scope", "reason"),
    [
        ("mammography", {"modalities": []}, "names no modalities"),
        ("mammography", {"body_parts": [], "modalities": []}, "no modalities and no body_parts"),
        ("Mammography", {}, "small letters"),
        ("mammography-of-both-sides", {}, "up to 20"),
        ("unrouted", {}, "can't be called unrouted"),
    ],
)
def test_register_bundles_refuses_a_task_that_no_study_would_reach(db, place, task, scope, reason):
    bundle = bring(place, task)
    whole = json.loads((bundle / "manifest.json").read_text())["scope"]
    change_manifest(bundle, scope=whole | scope)
    with pytest.raises(CommandError, match=reason):
        call_command("register_bundles", deploy=True)
    assert not ModelVersion.objects.exists()
    assert read_brought_tasks(SHIPPED_TASKS) == {}


def test_register_bundles_takes_a_new_task_and_the_page_lists_it(db, place, client, capsys):
    bring(place, "mammography")
    call_command("register_bundles", deploy=True)
    assert "mammography" in capsys.readouterr().out
    assert Deployment.objects.live_version("mammography") == ModelVersion.objects.get()
    client.force_login(factories.make_user(Role.DATA_SCIENTIST))
    page = client.get(reverse("classifier:model-list")).content.decode()
    assert "Mammography" in page
    assert page.index("Chest X-ray") < page.index("Mammography")


ASK = """
import re
import django
django.setup()
from classifier.models import CLASSIFICATION_TASKS
from classifier.task_registry import STUDY_TASKS, TASK_TITLES
assert TASK_TITLES["mammography"] == "Mammography"
assert ("mammography", "Mammography") in CLASSIFICATION_TASKS
def named(modality, words):
    return [task.name for task in STUDY_TASKS if task.is_named_by(modality, words)]
assert named("MG", "Left breast") == ["mammography"]
assert named("MG", "Chest_wall 2") == ["mammography"]
assert named("MG", "abreast.") == [], "a part of a word names nothing"
assert named("CR", "Left breast") == []
assert named("CR", "CHEST") == ["chest-xray"]
from django.core.management import call_command
call_command("makemigrations", "--check", "--dry-run")
"""


@pytest.mark.django_db(transaction=True)
def test_process_that_starts_knows_the_task_and_needs_no_migration(place, settings):
    bring(place, "mammography")
    environment = {
        "DJANGO_SETTINGS_MODULE": "medimaging.settings",
        "BUNDLE_DIR": str(place),
        "BUNDLE_STORE_DIR": str(settings.BUNDLE_STORE_DIR),
    }
    run_python("-c", ASK, timeout_s=120, **environment)
