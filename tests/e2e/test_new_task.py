"""The page about new tasks, followed to the letter on a small made-up set of head CTs."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse
from PIL import Image
from pydicom import dcmread
from pydicom.uid import CTImageStorage, generate_uid

from accounts.roles import Role
from classifier.models import Classification, Deployment, ModelVersion
from ml.images import read_frames
from ml.predictor import open_predictor
from ml.workshop.cli import main
from ml.workshop.task_config import find_task
from tests import factories
from tests.ml.conftest import TINY
from tests.ml.pictures import make_dicom
from tests.product import run_python

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "development" / "new-task.md"
PATIENTS, SLICES, SIDE = 24, 3, 112
LABELS = {"no_tumour": "No abnormality detected", "tumour": "Neoplasm of brain"}

CLASSIFY = """
import django
django.setup()
from accounts.models import Department, User
from classifier import tasks
from classifier.services.requests import request_classifications
from records.models import Study
rows = request_classifications(actor=None, study=Study.objects.get())
for _ in rows:
    tasks.classify_next("routine")
"""


def draw_head(label: str, rng: np.random.Generator) -> np.ndarray:
    """Stored values of a slice, 1024 above its Hounsfield units: skull, brain, perhaps a mass.

    No two heads are alike in place, shape and what is dark or bright in them.
    """
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    down, right = rows - rng.uniform(-9, 9), columns - rng.uniform(-9, 9)
    distance = np.hypot(down * rng.uniform(0.9, 1.25), right * rng.uniform(0.9, 1.4))
    spots = Image.fromarray(rng.normal(34, 22, (6, 6)).astype(np.float32))
    brain = np.asarray(spots.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    values = np.full((SIDE, SIDE), -1000.0)
    values[distance < 46] = 900
    values = np.where(distance < 41, brain, values)
    if label == "tumour":
        top, left = rng.uniform(-14, 14, 2)
        values[np.hypot(down - top, right - left) < rng.uniform(9, 14)] = 110
    return (values + rng.normal(0, 3, values.shape) + 1024).astype(np.uint16)


def write_scans(root: Path) -> None:
    """Series of both labels from one scanner, and the table beside them."""
    rng = np.random.default_rng(4)
    rows = []
    for patient in range(1, PATIENTS + 1):
        series, study = generate_uid(), generate_uid()
        for number in range(1, SLICES + 1):
            label = list(LABELS)[(patient + number) % 2]
            name = f"patient-{patient:02}/series-1/{number:04}.dcm"
            content = make_dicom(
                draw_head(label, rng),
                SOPClassUID=CTImageStorage,
                Modality="CT",
                BodyPartExamined="HEAD",
                PatientID=f"P{patient:02}",
                PatientAge="050Y",
                Manufacturer="Toy",
                StudyInstanceUID=study,
                SeriesInstanceUID=series,
                InstanceNumber=number,
                RescaleSlope=1,
                RescaleIntercept=-1024,
                RescaleType="HU",
                WindowCenter=40,
                WindowWidth=200,
            )
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
            rows.append((name, label))
    with (root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label"), *rows])


def write_task(path: Path) -> None:
    """The copy of head-ct.toml, changed as the page's table says."""
    text = find_task("head-ct").read_text()
    codes = "\n".join(
        f'[data.codes.{label}]\nvalue = "{number}"\nscheme = "99TOY"\nmeaning = "{meaning}"\n'
        for number, (label, meaning) in enumerate(LABELS.items())
    )
    text = re.sub(r"\[data\.codes\.no_hemorrhage\].*?(?=\[input\])", codes, text, flags=re.DOTALL)
    for old, new in (
        ('task = "head-ct"', 'task = "tumour-ct"'),
        ('title = "Head CT"', 'title = "Tumour on head CT"'),
        ('"more/head-ct--ct-ich.csv"', '""'),
        ("[40.0, 120.0]", "[40.0, 80.0]"),
        ("[65.0, 70.0]", "[50.0, 40.0]"),
        ('"no_hemorrhage"', '"no_tumour"'),
        ('"hemorrhage"', '"tumour"'),
        ('headline_source = "ct-ich"', 'headline_source = "Toy"'),
        ('"crossval.balanced_accuracy.above_frozen" = 0.1\n', ""),
        ('"crossval.macro_auc"', '"macro_auc"'),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def list_commands() -> list[list[str]]:
    """The page's `python -m ml` commands in order, a small training's choices added."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    commands = [shlex.split(line)[3:] for block in blocks for line in block.splitlines()]
    small = [part for pair in TINY for part in ("--set", pair)]
    return [
        [*command, *small] if command[0] in ("audit-data", "train", "export") else command
        for command in commands
    ]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the page was run."""
    folder = tmp_path_factory.mktemp("new-task")
    write_scans(folder / "scans")
    write_task(folder / "tumour-ct.toml")
    (folder / "bundles").mkdir()
    (folder / "keys").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in list_commands():
            assert main(command) == 0, command
    return folder


def run_product(code: list[str], folder: Path, store: Path) -> str:
    """A process of the product whose bundles are the page's; what it says."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "medimaging.settings",
        "BUNDLE_DIR": str(folder / "bundles"),
        "BUNDLE_STORE_DIR": str(store),
        "BUNDLE_TRUSTED_KEYS": str(folder / "keys" / "radiology.pub.pem"),
    }
    return run_python(*code, **environment)


def test_page_about_new_tasks_names_every_step() -> None:
    names = [command[0] for command in list_commands()]
    assert names == [
        "audit-data",
        "train",
        "train",
        "export",
        "keygen",
        "sign",
        "verify",
        "predict",
    ]


@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_new_task_is_registered_listed_and_classifies_a_study(
    followed: Path, tmp_path: Path, settings, client
) -> None:
    department = factories.make_department()
    content = (followed / "scans/patient-01/series-1/0002.dcm").read_bytes()
    study = factories.make_study(
        department=department, modality="CT", body_part="HEAD", content=content
    )
    instance = study.series.get().instances.get()
    type(instance).objects.filter(pk=instance.pk).update(rows=SIDE, columns=SIDE)
    store = tmp_path / "kept"
    said = run_product(["manage.py", "register_bundles", "--deploy"], followed, store)
    assert "tumour-ct 0.1.0" in said
    version = Deployment.objects.live_version("tumour-ct")
    assert version == ModelVersion.objects.get(task="tumour-ct")
    run_product(["-c", CLASSIFY], followed, store)
    row, shipped = Classification.objects.order_by("-task")
    assert (shipped.task, shipped.abstention) == ("head-ct", "no_deployed_model")
    assert row.task == "tumour-ct"
    assert row.state in ("awaiting_review", "abstained"), row.failure_code
    assert row.model_version == version
    assert set(row.probabilities or LABELS) == set(LABELS)
    client.force_login(factories.make_user(Role.DATA_SCIENTIST))
    page = client.get(reverse("classifier:model-list")).content.decode()
    assert "Tumour on head CT" in page
    shutil.rmtree(store)


def test_new_task_answers_alike_whatever_the_display_window(followed: Path, tmp_path: Path) -> None:
    bundle = followed / "bundles" / "tumour-ct" / "0.1.0"
    predictor = open_predictor(bundle, device="cpu")
    assert predictor.bundle.manifest.input.hu_window == (40.0, 80.0)
    assert predictor.bundle.manifest.stage == "research"
    slice_ = dcmread(followed / "scans/patient-01/series-1/0002.dcm")
    answers = []
    for center, width in ((500, 2000), (-600, 1500), (40, 400)):
        slice_.WindowCenter, slice_.WindowWidth = center, width
        slice_.save_as(tmp_path / "slice.dcm")
        (one,) = predictor.predict(read_frames(tmp_path / "slice.dcm"))
        answers.append(one.probabilities)
    assert answers[0] == answers[1] == answers[2]
