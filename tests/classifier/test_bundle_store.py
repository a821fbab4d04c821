"""A deployment never points at nothing: what a release takes away, brings, damages or lacks."""

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent
from classifier import tasks
from classifier.choices import Action
from classifier.errors import BundleNotKept, InferenceFailed, ModelMissing
from classifier.inference import bundle_store, bundles
from classifier.models import Classification, Deployment, ModelVersion
from classifier.services import model_state, runs
from classifier.services.requests import request_classifications
from classifier.services.versions import deploy_version, register_bundles
from medimaging.health import work
from ml.bundles import digest_of
from records.models import Instance
from tests import factories
from tests.classifier.bundles import IMAGES, change_manifest, copy_chest
from tests.classifier.waiting import let_time_pass
from tests.product import ROOT

TASK = "chest-xray"
KILLED_HALF_WAY = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from classifier.inference import bundle_store
bundle_store._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
bundle_store.keep_bundle(Path(sys.argv[1]), digest=sys.argv[2])
"""


@pytest.fixture(autouse=True)
def _opens_anew():
    """As in a process that has just begun."""
    bundles._open_predictor.cache_clear()
    bundles._faults.clear()


@pytest.fixture
def release(tmp_path, settings):
    """The folder of bundles of the release that runs, and a way to the next one."""
    settings.BUNDLE_DIR = tmp_path / "release-1"
    copy_chest(settings.BUNDLE_DIR)

    def upgrade(version: str = "9.9.9", **changes: object) -> Path:
        former = settings.BUNDLE_DIR
        settings.BUNDLE_DIR = tmp_path / f"release-{version}"
        shipped = former / TASK / version_in(former)
        new = settings.BUNDLE_DIR / TASK / version
        shutil.copytree(shipped, new)
        (new / "model_card.md").write_text("# Another card\n")
        change_manifest(new, version=version, **changes)
        shutil.rmtree(former)
        bundles._open_predictor.cache_clear()
        return new

    return upgrade


def version_in(root: Path) -> str:
    (shipped,) = (root / TASK).iterdir()
    return shipped.name


def register(settings):
    return register_bundles(actor=None, root=settings.BUNDLE_DIR, deploy=True)


def live() -> ModelVersion:
    found = Deployment.objects.live_version(TASK)
    assert found is not None
    return found


def queued(department) -> Classification:
    study = factories.make_study(department=department, content=IMAGES["pneumonia"].read_bytes())
    Instance.objects.filter(series__study=study).update(rows=1000, columns=1000)
    (row,) = request_classifications(actor=None, study=study)
    return row


def tried(row: Classification) -> Classification:
    let_time_pass(row.pk)
    tasks.classify_next("routine")
    row.refresh_from_db()
    return row


def damage(folder: Path) -> None:
    content = bytearray((folder / "network.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "network.bin").write_bytes(content)


def test_former_version_answers_after_a_release_took_its_bundle_away(department, settings, release):
    register(settings)
    former = live()
    release(temperature=2.5)
    assert register(settings).carried == []
    row = tried(queued(department))
    assert (row.state, row.model_version, row.model_digest) == (
        "awaiting_review",
        former,
        former.digest,
    )
    (waiting,) = model_state.find_model_state().waiting
    assert (waiting.version.version, waiting.live) == ("9.9.9", former)
    assert waiting.sentence == f"chest-xray 9.9.9 waits: {former.version} answers."
    assert model_state.find_model_state().missing == []
    deploy_version(actor=None, version=waiting.version)
    assert tried(queued(department)).model_version == waiting.version
    assert model_state.find_model_state().waiting == []


def test_release_with_another_card_alone_takes_over(department, settings, release):
    register(settings)
    former = live()
    new = release(created="2030-01-01T00:00:00+00:00", metrics={})
    (carried,) = register(settings).carried
    assert live() == carried
    assert carried.digest == digest_of(new)
    event = AuditEvent.objects.get(action=Action.MODEL_CARRIED_OVER)
    assert (event.actor_name, event.details["previous_digest"]) == ("system", former.digest)
    assert "same network" in event.details["reason"]
    assert "9.9.9 took over chest-xray" in event.sentence
    assert register(settings).carried == []
    assert model_state.find_model_state().waiting == []
    assert tried(queued(department)).model_version == carried


@pytest.mark.parametrize("version", ["9.9.9", "0.0.1"])
def test_version_that_somebody_went_back_from_neither_takes_over_nor_waits(
    db, settings, release, version
):
    register(settings)
    former = live()
    release(version)
    found = register(settings)
    if version == "9.9.9":
        deploy_version(actor=None, version=former)
    assert register(settings).carried == []
    assert live() == former
    assert model_state.find_model_state().waiting == []
    assert [one.version for one in found.versions] == [version]


def test_study_waits_while_the_model_in_use_is_missing_until_another_is_put_into_use(
    department, settings, release, monkeypatch, django_capture_on_commit_callbacks, capsys
):
    """As after the first upgrade from a release that kept no bundles."""
    register(settings)
    former = live()
    shutil.rmtree(settings.BUNDLE_STORE_DIR)
    release(temperature=2.5)
    call_command("register_bundles", deploy=True)
    said = capsys.readouterr().out
    assert f"model_missing: {former} is in use" in said
    assert f"model_waiting: chest-xray 9.9.9 waits: {former.version} is in use and missing." in said
    row = tried(queued(department))
    for _ in range(5):
        tried(row)
    assert (row.state, row.attempt, row.waiting_code) == ("queued", 0, "model_missing")
    assert (row.failure_code, row.is_waiting) == ("", True)
    assert model_state.find_model_state().missing == [former]
    assert (work.models().state, work.models().code) == ("degraded", "model_missing")
    with pytest.raises(ModelMissing, match=r"chest-xray .* are missing"):
        deploy_version(actor=None, version=deployed_then_withdrawn(former))
    rung = []
    monkeypatch.setattr(runs, "ring", lambda **what: rung.append(what["priority"]) or True)
    with django_capture_on_commit_callbacks(execute=True):
        deploy_version(actor=None, version=ModelVersion.objects.get(version="9.9.9"))
    assert rung == [row.priority]
    assert tried(row).state == "awaiting_review"
    assert (row.model_version.version, row.waiting_code) == ("9.9.9", "")
    assert model_state.find_model_state().missing == []
    assert work.models().code == "ok"


def deployed_then_withdrawn(version: ModelVersion) -> ModelVersion:
    Deployment.objects.create(task=version.task, model_version=None)
    return version


def test_register_bundles_from_another_place_restores_what_was_missing(
    department, settings, release, tmp_path, monkeypatch, django_capture_on_commit_callbacks
):
    former_release = shutil.copytree(settings.BUNDLE_DIR, tmp_path / "former")
    register(settings)
    former = live()
    shutil.rmtree(settings.BUNDLE_STORE_DIR)
    release(temperature=2.5)
    row = tried(queued(department))
    rung = []
    monkeypatch.setattr(runs, "ring", lambda **what: rung.append(what["priority"]) or True)
    with django_capture_on_commit_callbacks(execute=True):
        register_bundles(actor=None, root=former_release, deploy=False)
    assert rung == [row.priority]
    shutil.rmtree(former_release)
    assert tried(row).model_version == former


def test_damaged_copy_is_replaced_when_the_release_has_that_bundle(department, settings, release):
    register(settings)
    kept = bundle_store.place_of(live().digest)
    damage(kept)
    assert tried(queued(department)).state == "awaiting_review"
    assert bundle_store.is_whole(kept, live().digest)
    damage(kept)
    register(settings)
    assert bundle_store.is_whole(kept, live().digest)
    assert [path.name for path in settings.BUNDLE_STORE_DIR.iterdir()] == [live().digest]


def test_study_waits_while_the_only_copy_is_damaged(department, settings, release, tmp_path):
    register(settings)
    kept = bundle_store.place_of(live().digest)
    sound = shutil.copytree(kept, tmp_path / "sound")
    damage(kept)
    shutil.rmtree(settings.BUNDLE_DIR)
    row = tried(queued(department))
    assert (row.state, row.waiting_code, row.attempt) == ("queued", "bundle_unavailable", 0)
    assert "/" not in row.waiting_sentence
    bundle_store.keep_bundle(sound, digest=live().digest)
    bundles._faults.clear()
    assert tried(row).state == "awaiting_review"


def test_bundle_that_can_t_be_opened_isn_t_read_again_for_each_study(
    department, settings, release, monkeypatch
):
    register(settings)
    damage(bundle_store.place_of(live().digest))
    shutil.rmtree(settings.BUNDLE_DIR)
    read = []
    load_bundle = bundles.load_bundle
    monkeypatch.setattr(
        bundles, "load_bundle", lambda *a, **k: read.append(a) or load_bundle(*a, **k)
    )
    for _ in range(3):
        assert tried(queued(department)).waiting_code == "bundle_unavailable"
    assert len(read) == 1


def test_study_waits_while_the_trusted_keys_can_t_be_read(department, settings, release, tmp_path):
    register(settings)
    settings.BUNDLE_TRUSTED_KEYS = [tmp_path / "missing.pem"]
    row = tried(queued(department))
    assert (row.state, row.waiting_code, row.attempt) == ("queued", "trusted_keys_invalid", 0)


def test_bundle_answers_where_it_can_t_be_kept(department, settings, release, tmp_path, caplog):
    (tmp_path / "a file").write_text("")
    register(settings)
    settings.BUNDLE_STORE_DIR = tmp_path / "a file" / "bundles"
    assert tried(queued(department)).state == "awaiting_review"
    assert "bundle_not_kept" in caplog.text
    (refusal,) = register(settings).refusals
    assert isinstance(refusal, BundleNotKept)


def test_keep_bundle_leaves_nothing_behind_when_it_is_killed_half_way(settings, release):
    source = settings.BUNDLE_DIR / TASK / version_in(settings.BUNDLE_DIR)
    digest = digest_of(source)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_HALF_WAY, source, digest],
        cwd=ROOT,
        env={**os.environ, "BUNDLE_STORE_DIR": str(settings.BUNDLE_STORE_DIR)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not bundle_store.place_of(digest).exists()
    assert bundle_store.kept_digests() == []
    (left,) = settings.BUNDLE_STORE_DIR.iterdir()
    assert bundle_store.remove_unfinished() == 0
    long_ago = timezone.now() - dt.timedelta(hours=2)
    os.utime(left, (long_ago.timestamp(), long_ago.timestamp()))
    assert bundle_store.remove_unfinished() == 1
    bundle_store.keep_bundle(source, digest=digest)
    assert bundle_store.is_whole(bundle_store.place_of(digest), digest)


def test_keep_bundle_takes_files_that_nobody_may_write(settings, release):
    source = settings.BUNDLE_DIR / TASK / version_in(settings.BUNDLE_DIR)
    for path in (*source.iterdir(), source):
        path.chmod(0o500 if path.is_dir() else 0o400)
    digest = digest_of(source)
    bundle_store.keep_bundle(source, digest=digest)
    kept = bundle_store.place_of(digest)
    assert kept.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o200 for path in kept.iterdir())
    source.chmod(0o700)


def test_keep_bundle_follows_a_signature_that_comes_or_goes(settings, release):
    source = settings.BUNDLE_DIR / TASK / version_in(settings.BUNDLE_DIR)
    digest = digest_of(source)
    kept = bundle_store.place_of(digest) / "manifest.sig"
    signature = (source / "manifest.sig").read_bytes()
    (source / "manifest.sig").unlink()
    bundle_store.keep_bundle(source, digest=digest)
    assert not kept.exists()
    (source / "manifest.sig").write_bytes(signature)
    bundle_store.keep_bundle(source, digest=digest)
    assert kept.read_bytes() == signature


@pytest.mark.django_db(transaction=True)
def test_register_bundles_keeps_and_deploys_once_when_two_come_at_once(settings, release):
    environment = {
        **os.environ,
        "BUNDLE_DIR": str(settings.BUNDLE_DIR),
        "BUNDLE_STORE_DIR": str(settings.BUNDLE_STORE_DIR),
        "BUNDLE_TRUSTED_KEYS": ",".join(map(str, settings.BUNDLE_TRUSTED_KEYS)),
    }
    command = [sys.executable, "manage.py", "register_bundles", "--deploy"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    for process in both:
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
    version = ModelVersion.objects.get()
    assert Deployment.objects.get().model_version == version
    assert AuditEvent.objects.filter(action=Action.MODEL_REGISTERED).count() == 1
    assert [path.name for path in settings.BUNDLE_STORE_DIR.iterdir()] == [version.digest]
    assert bundle_store.is_whole(bundle_store.place_of(version.digest), version.digest)


def test_sweep_bundles_keeps_what_is_needed_and_removes_the_rest(db, settings, release):
    register(settings)
    numbers = [f"{number}.0.0" for number in range(10, 15)]
    for number in numbers:
        release(number, temperature=float(number[:2]))
        register(settings)
        if number != "14.0.0":
            deploy_version(actor=None, version=ModelVersion.objects.get(version=number))
    digests = dict(ModelVersion.objects.values_list("version", "digest"))
    assert set(bundle_store.kept_digests()) == set(digests.values())
    shutil.rmtree(settings.BUNDLE_DIR)
    assert model_state.sweep_bundles() == len(digests) - 4
    kept = {digests[number] for number in ("11.0.0", "12.0.0", "13.0.0", "14.0.0")}
    assert set(bundle_store.kept_digests()) == kept
    assert model_state.sweep_bundles() == 0
    assert model_state.find_model_state().missing == []


def test_sweep_bundles_leaves_one_that_is_being_put_into_use(db, settings, release, monkeypatch):
    monkeypatch.setattr(model_state, "own_content", lambda digest: False)
    register(settings)
    Deployment.objects.create(task=TASK, model_version=None)
    stranger = bundle_store.place_of("0" * 64)
    stranger.mkdir()
    assert model_state.sweep_bundles() == 0
    assert stranger.exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_register_bundles_is_an_error_where_no_bundle_is(db, settings, tmp_path, is_there):
    settings.BUNDLE_DIR = tmp_path / "nothing"
    if is_there:
        settings.BUNDLE_DIR.mkdir()
    with pytest.raises(CommandError, match=r"No bundle was found.*Set BUNDLE_DIR"):
        call_command("register_bundles", deploy=True)


def test_rows_that_wait_are_no_news_to_who_polls_until_they_get_through(claim, answer):
    error = ModelMissing(version="x")
    runs.postpone_classification(claim=claim, error=error)
    row = Classification.objects.get(pk=claim.classification_id)
    told = row.updated_at
    let_time_pass(row.pk)
    again = runs.claim_classification(worker="w")
    runs.postpone_classification(claim=again, error=error)
    row.refresh_from_db()
    assert row.updated_at == told
    let_time_pass(row.pk)
    again = runs.claim_classification(worker="w")
    assert runs.complete_classification(claim=again, answer=answer)
    row.refresh_from_db()
    assert row.updated_at > told


def test_messages_of_an_earlier_release_lose_their_paths(claim, answer):
    error = InferenceFailed(
        code="bundle_unavailable",
        reason="The model bundle /app/ml/bundles/chest-xray/1.0.0 is not valid.",
        remedy="Ask.",
    )
    runs.fail_classification(claim=claim, error=error)
    migration = import_module("classifier.migrations.0009_waiting_code")
    with connection.cursor() as cursor:
        cursor.execute(migration.CUT_PATHS)
    row = Classification.objects.get(pk=claim.classification_id)
    assert row.failure_message == "The images could not be classified."
