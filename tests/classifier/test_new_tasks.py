"""One task more: a task file and a bundle, or a bundle alone, and no line of the code."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from django.urls import reverse

from accounts.roles import Role
from classifier.models import Classification, Deployment
from ml.workshop.task_config import load_task
from tests import factories
from tests.classifier.bundles import IMAGES, change_manifest, copy_chest, make_router
from tests.product import run_python

ROOT = Path(__file__).parents[2]
HAND = """
task = "hand-xray"
title = "Hand X-ray"
[data]
labels = ["normal", "pneumonia", "tuberculosis"]
normal_label = "normal"
[input]
colour = "grey"
[routing]
modalities = ["CR", "DX"]
words = ["hand", "finger*"]
stated = ["CR", "HAND"]
router_label = "hand-xr"
image_name = "a hand X-ray"
[scope]
modalities = ["CR", "DX", "OT"]
# The film that stands for a hand is a chest, and its file says so.
body_parts = ["HAND", "FINGER", "CHEST"]
"""
SETTINGS = """
from pathlib import Path
from medimaging.settings import *
TASK_FILES_DIR = Path({folder!r})
"""
WORK = """
import json, sys
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import reverse
from accounts.models import User
from classifier import tasks
from classifier.services.requests import request_classifications
from records.models import Study
setup_test_environment()
call_command("makemigrations", "--check", "--dry-run")
call_command("register_bundles", deploy=True)
for study in Study.objects.order_by("description"):
    request_classifications(actor=None, study=study)
    tasks.classify_next("routine")
clients = {name: Client() for name in ("reviewer", "scientist")}
for name, client in clients.items():
    client.force_login(User.objects.get(username=name))
def get(reader, address):
    return clients[reader].get(address).content.decode()
print(json.dumps({
    "models": get("scientist", reverse("classifier:model-list")),
    "model versions": get("scientist", "/api/v1/model-versions/"),
    "results": get("reviewer", "/api/v1/classifications/?task=hand-xray"),
    "worklist": get("reviewer", reverse("classifier:worklist") + "?task=hand-xray&state=all"),
    "unknown": get("reviewer", "/api/v1/classifications/?task=palmistry"),
}))
"""


def write_task(folder: Path, *, router_label: str) -> Path:
    """The task files that ship, and one more."""
    for path in sorted((ROOT / "ml" / "tasks").glob("*.toml")):
        shutil.copy(path, folder)
    (folder / "hand-xray.toml").write_text(HAND.replace('"hand-xr"', f'"{router_label}"'))
    return folder / "hand-xray.toml"


def make_bundles(root: Path, task: Path, *, has_routing: bool) -> Path:
    """The chest network as a model of hands, and as a body-part model that knows hands."""
    chest = copy_chest(root)
    for name in ("hand-xray", "body-part"):
        shutil.copytree(chest, root / name / chest.name)
    make_router(root / "body-part" / chest.name)
    config = load_task(task)
    scope = asdict(config.scope) | {"min_age_years": 0.0, "max_age_years": 120.0}
    entries = {"task": config.task, "title": config.title, "scope": scope}
    if has_routing:
        entries["routing"] = asdict(config.routing)
    change_manifest(root / "hand-xray" / chest.name, **entries)
    return root


def run_product(folder: Path, settings, tasks: Path, bundles: Path) -> dict[str, str]:
    """What a product with these files does with the studies that are there, and then shows."""
    (folder / "settings_with_more.py").write_text(SETTINGS.format(folder=str(tasks)))
    environment = {
        "PYTHONPATH": str(folder),
        "DJANGO_SETTINGS_MODULE": "settings_with_more",
        "BUNDLE_DIR": str(bundles),
        "BUNDLE_STORE_DIR": str(settings.BUNDLE_STORE_DIR),
        "BUNDLE_TRUSTED_KEYS": str(settings.BUNDLE_TRUSTED_KEYS[0]),
    }
    return json.loads(run_python("-c", WORK, **environment).splitlines()[-1])


@pytest.fixture
def studies(transactional_db):
    """Two studies of hands: the header of the first says so, that of the second nothing."""
    department = factories.make_department()
    factories.make_user(Role.REVIEWER, department=department, username="reviewer")
    factories.make_user(Role.DATA_SCIENTIST, username="scientist")
    content = IMAGES["tuberculosis"].read_bytes()
    headers = {"said": ("CR", "HAND"), "silent": ("OT", "")}
    return [
        factories.make_study(
            department=department,
            modality=modality,
            body_part=body_part,
            content=content,
            description=words,
            patient=factories.make_patient(birth_date="1970-01-01"),
        )
        for words, (modality, body_part) in headers.items()
    ]


@pytest.mark.parametrize("has_file", [True, False], ids=["it ships", "a site's bundle brings it"])
def test_new_task_is_routed_answered_and_listed(studies, tmp_path, settings, client, has_file):
    (tmp_path / "tasks").mkdir()
    task = write_task(tmp_path / "tasks", router_label="hand-xr")
    bundles = make_bundles(tmp_path / "bundles", task, has_routing=not has_file)
    if not has_file:
        task.unlink()

    seen = run_product(tmp_path, settings, task.parent, bundles)

    said, silent = (Classification.objects.get(study=study) for study in studies)
    live = Deployment.objects.live_version("hand-xray")
    for row, agreement in ((said, "agrees"), (silent, "chosen")):
        assert (row.task, row.state) == ("hand-xray", "awaiting_review"), row.abstention_reason
        assert row.model_version == live
        assert row.routing["agreement"] == agreement
    assert "Hand X-ray" in seen["models"]
    versions = json.loads(seen["model versions"])["results"]
    assert "hand-xray" in {version["task"] for version in versions if version["is_live"]}
    found = json.loads(seen["results"])["results"]
    assert {row["id"] for row in found} == {str(said.pk), str(silent.pk)}
    assert "Hand X-ray" in seen["worklist"]
    assert str(studies[0].pk) in seen["worklist"]
    assert "palmistry" in seen["unknown"]
    assert "results" not in json.loads(seen["unknown"])

    # This process never heard of the task, as after a site took its bundle away.
    client.force_login(factories.make_user(Role.REVIEWER, department=studies[0].department))
    assert "hand-xray" in client.get(studies[0].get_absolute_url()).content.decode()
    (row,) = client.get(f"/api/v1/classifications/?study={studies[0].pk}").json()["results"]
    assert row["task"] == "hand-xray"
    client.force_login(factories.make_user(Role.DATA_SCIENTIST))
    page = client.get(reverse("classifier:model-detail", args=[live.pk])).content.decode()
    assert "<h1>hand-xray" in page


def test_header_alone_names_a_task_that_the_body_part_model_does_not_know(
    studies, tmp_path, settings
):
    (tmp_path / "tasks").mkdir()
    task = write_task(tmp_path / "tasks", router_label="wrist-xr")
    bundles = make_bundles(tmp_path / "bundles", task, has_routing=False)

    run_product(tmp_path, settings, task.parent, bundles)

    said, silent = (Classification.objects.get(study=study) for study in studies)
    assert (said.task, said.state) == ("hand-xray", "awaiting_review"), said.abstention_reason
    assert said.routing["agreement"] == "unsure"
    assert (silent.task, silent.abstention) == ("unrouted", "no_task")
