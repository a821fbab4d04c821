"""A stranger brings a trained model: made up, altered, borrowed, or changed behind our back."""

import base64
import json
import os
import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from classifier import tasks
from classifier.choices import Action
from classifier.inference import bundles as opened
from classifier.models import Deployment, ModelVersion
from classifier.services.requests import request_classifications
from classifier.services.versions import deploy_version, register_bundles
from ml.bundles import find_bundles
from ml.manifest import read_manifest
from records.models import Instance
from tests import factories
from tests.classifier.bundles import TEST_KEY, Key, copy_chest, make_router, reseal

CHEST = next(Path("samples").glob("chest-pneumonia*/*.dcm"))
UNSIGNED = "not signed by a key that this site trusts"
TAMPERED, INVALID = "was changed after export", "is not valid"


@pytest.fixture(autouse=True)
def site_key(settings, tmp_path):
    """The key that the site trusts beside that of the product, in a process that has just begun."""
    opened._open_predictor.cache_clear()
    opened._faults.clear()
    settings.BUNDLE_TRUSTED_KEYS = [tmp_path / "site.pem"]
    settings.BUNDLE_STORE_DIR = tmp_path / "bundles-kept"
    (tmp_path / "site.pem").write_bytes(TEST_KEY.public_pem)
    return TEST_KEY


@pytest.fixture
def stranger_key():
    return Key(b"stranger")


@pytest.fixture
def root(tmp_path, settings):
    settings.BUNDLE_DIR = tmp_path / "bundles"
    return settings.BUNDLE_DIR


@pytest.fixture
def shipped(root):
    return copy_chest(root)


@pytest.fixture
def forged(shipped):
    """Its own manifest, a network of four bytes, and the word of its maker that it is good."""
    (shipped / "network.bin").write_bytes(b"fake")
    (shipped / "manifest.sig").unlink(missing_ok=True)
    reseal(shipped, stage="released")
    return shipped


@pytest.fixture
def department(db):
    return factories.make_department()


def register(root, *, deploy=True):
    return register_bundles(actor=None, root=root, deploy=deploy)


def live():
    return Deployment.objects.live_version("chest-xray")


def classified(department):
    study = factories.make_study(department=department, content=CHEST.read_bytes())
    Instance.objects.filter(series__study=study).update(rows=1000, columns=1000)
    (row,) = request_classifications(actor=None, study=study)
    tasks.classify_next("routine")
    row.refresh_from_db()
    return row


def test_forged_bundle_is_research_and_not_put_into_use(db, root, forged, capsys):
    call_command("register_bundles", deploy=True)
    version = ModelVersion.objects.get()
    assert version.stage == "research"
    assert live() is None
    assert UNSIGNED in version.stage_sentence
    assert UNSIGNED in capsys.readouterr().out
    registered = AuditEvent.objects.get(action=Action.MODEL_REGISTERED)
    assert (registered.details["stage"], registered.details["signed_by"]) == ("research", "")


def test_forged_bundle_cannot_be_deployed_from_its_page(client, db, root, forged):
    register(root)
    client.force_login(factories.make_user(Role.ADMINISTRATOR))
    page = reverse("classifier:model-detail", args=[ModelVersion.objects.get().pk])
    assert UNSIGNED in client.get(page).content.decode()
    address = reverse("classifier:model-deploy", args=[ModelVersion.objects.get().pk])
    assert UNSIGNED in client.post(address, follow=True).content.decode()
    assert not Deployment.objects.exists()
    assert not AuditEvent.objects.filter(action=Action.MODEL_DEPLOYED).exists()


def test_forged_bundle_cannot_be_deployed_by_the_service(db, root, forged):
    register(root)
    with pytest.raises(Exception, match=UNSIGNED) as refusal:
        deploy_version(actor=None, version=ModelVersion.objects.get())
    assert refusal.value.code == "bundle_untrusted"


def test_older_signed_version_is_put_into_use_instead_of_a_newer_forged_one(db, root, shipped):
    newer = shutil.copytree(shipped, shipped.with_name("99.0.0"))
    (newer / "manifest.sig").unlink(missing_ok=True)
    reseal(newer, version="99.0.0", stage="released")
    register(root)
    assert live().version == shipped.name


def test_worker_opens_no_untrusted_bundle_even_when_it_is_live(department, root, forged):
    """As after an upgrade, or when somebody wrote the row past the service."""
    register(root)
    Deployment.objects.create(task="chest-xray", model_version=ModelVersion.objects.get())
    row = classified(department)
    assert (row.state, row.waiting_code) == ("queued", "bundle_untrusted")
    assert "has signed the model" in row.waiting_sentence


def test_worker_opens_none_whose_key_was_taken_back(department, root, shipped, site_key, settings):
    reseal(shipped, key=site_key)
    register(root)
    assert live() is not None
    settings.BUNDLE_TRUSTED_KEYS = []
    row = classified(department)
    assert (row.state, row.waiting_code) == ("queued", "bundle_untrusted")
    with pytest.raises(Exception, match=UNSIGNED):
        deploy_version(actor=None, version=ModelVersion.objects.get())


def test_signature_by_a_key_that_nobody_trusts_is_no_signature(db, root, shipped, stranger_key):
    reseal(shipped, key=stranger_key, stage="released")
    register(root)
    assert ModelVersion.objects.get().stage == "research"
    assert live() is None


def test_untrusted_signature_under_the_name_of_a_trusted_key_is_tampering(
    db, root, shipped, site_key, stranger_key
):
    reseal(shipped, key=stranger_key, stage="released")
    signature = (shipped / "manifest.sig").read_text()
    (shipped / "manifest.sig").write_text(signature.replace(stranger_key.id, site_key.id))
    refused(root, TAMPERED)


def test_altered_manifest_under_the_shipped_signature_is_tampering(db, root, shipped):
    manifest = json.loads((shipped / "manifest.json").read_text())
    (shipped / "manifest.json").write_text(json.dumps(manifest | {"stage": "released"}))
    refused(root, TAMPERED)


def test_signature_of_another_version_is_tampering(db, root, shipped, site_key):
    other = shutil.copytree(shipped, shipped.with_name("99.0.0"))
    for bundle in (shipped, other):
        reseal(bundle, key=site_key, version=bundle.name)
    shutil.copyfile(shipped / "manifest.sig", other / "manifest.sig")
    versions, refusals, *_ = register(root)
    assert [version.version for version in versions] == [shipped.name]
    assert len(refusals) == 1
    assert TAMPERED in refusals[0].message


def test_one_of_two_signatures_that_is_wrong_is_tampering(
    db, root, shipped, site_key, stranger_key
):
    reseal(shipped, key=site_key, temperature=2.0)
    stale = (shipped / "manifest.sig").read_text()
    reseal(shipped, key=stranger_key, temperature=1.5)
    with (shipped / "manifest.sig").open("a") as stream:
        stream.write(stale)
    refused(root, TAMPERED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ed25519 0123\n",
        b"\xff\xfe",
        b"rsa 0011223344556677 AAAA\n",
        b"ed25519 0011223344556677 !!!!\n",
        b"ed25519 0011223344556677 " + base64.b64encode(b"short") + b"\n",
        b"x" * 100_000,
    ],
)
def test_signature_file_of_nonsense_is_refused(db, root, shipped, content):
    (shipped / "manifest.sig").write_bytes(content)
    refused(root, INVALID)


def test_manifest_with_an_entry_twice_is_refused(db, root, shipped):
    """Two readers could each believe another one of them."""
    text = (shipped / "manifest.json").read_text()
    first = '{\n  "stage": "research",'
    (shipped / "manifest.json").write_text(text.replace("{", first, 1))
    (shipped / "manifest.sig").unlink(missing_ok=True)
    refused(root, INVALID)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "../../elsewhere"},
        {"version": "2.0.0"},
        {"task": "brain-mri"},
        {"task": "palmistry"},
        {"stage": "approved"},
        {"title": "nul \x00"},
        {"title": "half \ud800"},
        {"temperature": float("nan")},
    ],
)
def test_manifest_that_names_another_place_or_nonsense_is_refused(db, root, shipped, changes):
    (shipped / "manifest.sig").unlink(missing_ok=True)
    reseal(shipped, **changes)
    refused(root, "")
    assert not ModelVersion.objects.exists()


def test_file_that_the_manifest_does_not_name_is_refused(db, root, shipped):
    (shipped / "sitecustomize.py").write_text("")
    refused(root, TAMPERED)


def test_folder_beside_the_files_is_refused(db, root, shipped):
    (shipped / "more").mkdir()
    refused(root, TAMPERED)


@pytest.mark.parametrize("name", ["network.bin", "manifest.json", "manifest.sig"])
def test_link_out_of_the_folder_is_refused(db, root, shipped, tmp_path, name):
    shutil.move(shipped / name, tmp_path / name)
    (shipped / name).symlink_to(tmp_path / name)
    refused(root, TAMPERED)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["network.bin", "manifest.sig"])
def test_pipe_instead_of_a_file_is_refused_without_waiting(db, root, shipped, name):
    (shipped / name).unlink()
    os.mkfifo(shipped / name)
    refused(root, TAMPERED)


@pytest.mark.timeout(20)
def test_endless_file_is_refused_without_being_read(db, root, shipped):
    with (shipped / "network.bin").open("r+b") as stream:
        stream.truncate(2**40)
    refused(root, INVALID)


def test_bundle_replaced_after_registration_is_not_opened(
    department, root, shipped, site_key, monkeypatch, settings
):
    """Signed by a trusted key, whole, and still not the one that was registered."""
    register(root)
    reseal(shipped, key=site_key, temperature=1.5)
    (kept,) = settings.BUNDLE_STORE_DIR.iterdir()
    shutil.rmtree(kept)
    shutil.copytree(shipped, kept)
    opened_networks = []
    monkeypatch.setattr(opened, "open_bundle", opened_networks.append)
    row = classified(department)
    assert (row.state, row.waiting_code) == ("queued", "model_missing")
    assert not opened_networks


@pytest.mark.parametrize("name", ["network.bin", "manifest.sig"])
def test_kept_bundle_that_was_changed_is_not_opened(
    department, root, shipped, settings, monkeypatch, name
):
    register(root)
    shutil.rmtree(shipped)
    (kept,) = settings.BUNDLE_STORE_DIR.iterdir()
    (kept / name).write_bytes((kept / name).read_bytes()[:-9] + b"forgeries")
    opened_networks = []
    monkeypatch.setattr(opened, "open_bundle", opened_networks.append)
    row = classified(department)
    assert row.state == "queued"
    assert row.waiting_code in ("bundle_unavailable", "bundle_untrusted")
    assert not opened_networks


def test_bundle_replaced_between_check_and_opening_is_not_what_is_opened(
    department, root, shipped, monkeypatch, settings
):
    register(root)
    open_bundle = opened.open_bundle

    def replace_and_open(bundle, **options):
        for folder in (shipped, *settings.BUNDLE_STORE_DIR.iterdir()):
            (folder / "network.bin").write_bytes(b"fake")
        return open_bundle(bundle, **options)

    monkeypatch.setattr(opened, "open_bundle", replace_and_open)
    row = classified(department)
    assert (shipped / "network.bin").read_bytes() == b"fake"
    assert (row.failure_code, row.state) == ("", "awaiting_review")


def test_router_without_a_trusted_signature_holds_up_what_it_would_have_checked(
    department, root, shipped, site_key
):
    register(root)
    router = shutil.copytree(shipped, root / "body-part" / shipped.name)
    make_router(router)
    (router / "manifest.sig").unlink()
    register(root)
    version = ModelVersion.objects.get(task="body-part")
    Deployment.objects.create(task="body-part", model_version=version)
    row = classified(department)
    assert (row.state, row.waiting_code) == ("queued", "bundle_untrusted")


def test_signing_later_lifts_an_unsigned_bundle_with_one_event(db, root, forged, site_key):
    register(root)
    reseal(forged, key=site_key, stage="released")
    versions, *_ = register(root, deploy=False)
    register(root, deploy=False)
    assert (versions[0].stage, versions[0].signed_by) == ("released", site_key.id)
    assert ModelVersion.objects.count() == 1
    (event,) = AuditEvent.objects.filter(action="model.signature_changed")
    assert (event.details["signed_by"], event.details["stage"]) == (site_key.id, "released")
    deploy_version(actor=None, version=ModelVersion.objects.get())
    assert live() is not None


def test_version_registered_as_released_before_signatures_falls_back(db, root, forged):
    register(root, deploy=False)
    ModelVersion.objects.update(stage="released")
    register(root, deploy=True)
    assert ModelVersion.objects.get().stage == "research"
    assert live() is None


def test_trusted_key_that_cannot_be_read_stops_the_command(db, root, shipped, settings, tmp_path):
    settings.BUNDLE_TRUSTED_KEYS = [tmp_path / "missing.pem"]
    with pytest.raises(CommandError, match=r"missing\.pem"):
        call_command("register_bundles", deploy=True)
    assert not Deployment.objects.exists()


def test_shipped_bundles_are_signed_and_stay_in_use(db, settings):
    settings.BUNDLE_TRUSTED_KEYS = []
    versions, refusals, *_ = register(Path("ml/bundles"))
    assert not refusals
    assert len(versions) == 7
    stated = [read_manifest(path)[0] for path in find_bundles(Path("ml/bundles"))]
    stages = {version.task: version.stage for version in versions}
    assert stages == {manifest.task: manifest.stage for manifest in stated}
    assert all(version.signed_by for version in versions)
    assert Deployment.objects.count() == 7


def refused(root, reason):
    """Nothing of the only bundle there is becomes known or live, and the command says why."""
    versions, refusals, *_ = register(root)
    assert not versions
    assert len(refusals) == 1
    assert reason in refusals[0].message
    assert not Deployment.objects.exists()
