"""What ships under ml/bundles: every bundle whole and small, and told truly in the docs."""

import csv
import json
import re
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ml.bundles import find_bundles, find_task_bundle, load_bundle
from ml.commands.options import BUNDLES_DIR
from ml.images import read_frames
from ml.openings import read_openings
from ml.predictor import Predictor, check_canary, open_predictor
from ml.rejects import score_rejects
from ml.rejects.gathered import PHOTOGRAPH_KINDS, read_photographs
from ml.task_config import TASKS_DIR, find_task, load_task
from tests.ml.pictures import make_dicom

BUNDLES = find_bundles(BUNDLES_DIR)
LUNG_CT = Path(__file__).parents[2] / "samples" / "lung-ct-malignant" / "01.dcm"
MAX_BYTES = 16_000_000
SAME_NETWORK = {("lung-ct", "1.0.2"): "1.0.1"}
FIGURES_PAGE = Path(__file__).parents[2] / "docs" / "models.md"
FIGURE_ROW = r"^\| (\S+) (\S+) \| (\w+) \| `(\S+)` \| (\S+) "
TARGETS = {
    "chest-xray": {
        "guangzhou.pneumonia.auc": 0.98,
        "guangzhou.pneumonia.accuracy": 0.93,
        "guangzhou.pneumonia.sensitivity": 0.95,
        "macro_auc": 0.985,
        "recall.tuberculosis": 0.97,
    },
    "brain-mri": {"argmax_accuracy": 0.95, "argmax_recall.meningioma": 0.9},
    "lung-ct": {"crossval.balanced_accuracy.above_frozen": 0.1, "crossval.macro_auc": 0.85},
    "skin-lesion": {"argmax_balanced_accuracy": 0.7, "auc.mel": 0.9},
    "retina": {"argmax_accuracy": 0.9, "argmax_recall.glaucoma": 0.8},
    "body-part": {"argmax_accuracy": 0.995},
}

every_bundle = pytest.mark.parametrize(
    "path", BUNDLES, ids=lambda path: f"{path.parent.name}-{path.name}"
)


@pytest.mark.parametrize("task", sorted({path.parent.name for path in BUNDLES}))
def test_task_file_stands_for_the_newest_bundle(task: str) -> None:
    config = load_task(find_task(task))
    path = find_task_bundle(BUNDLES_DIR, task)
    manifest = load_bundle(path).manifest
    assert config.version == manifest.version
    assert config.digest == manifest.training.config_sha256


@every_bundle
def test_shipped_bundle_is_whole_and_small(path: Path) -> None:
    predictor = open_predictor(path, device="cpu")
    assert check_canary(predictor.bundle, predictor.runtime) <= 1e-3
    assert sum(file.stat().st_size for file in path.iterdir()) <= MAX_BYTES
    manifest = predictor.bundle.manifest
    assert (manifest.task, manifest.version) == path.parts[-2:]
    assert manifest.parity.labels_changed == 0
    assert manifest.parity.max_difference <= 1e-3
    card = (path / "model_card.md").read_text()
    assert "Not for clinical use" in card
    assert "not verified" in card


@every_bundle
def test_shipped_bundle_refuses_photographs(path: Path) -> None:
    """Those that no gate was fitted on: whole and in colour, and pieces of them in grey."""
    predictor = open_predictor(path, device="cpu")
    photographs = list(read_photographs("test", ()))
    stranger_label = load_task(find_task(predictor.bundle.task)).scope.stranger_label
    score = score_rejects(predictor, photographs, refusing_label=stranger_label)
    assert score.images >= 70
    assert score.refused >= 0.95
    assert set(score.by_kind) == set(PHOTOGRAPH_KINDS)
    assert min(score.by_kind.values()) >= 0.9
    assert predictor.bundle.manifest.distance.validation_refusal <= 0.05


@every_bundle
def test_shipped_bundle_has_the_stage_that_its_figures_earn(path: Path) -> None:
    manifest = load_bundle(path).manifest
    task = load_task(find_task(manifest.task))
    assert {name: result.minimum for name, result in manifest.gate.items()} == task.gate
    figures = read_figures(path)
    for name, result in manifest.gate.items():
        assert result.value == figures[name]
        assert result.is_met == (figures[name] >= result.minimum)
    earned = all(figures[name] >= minimum for name, minimum in task.gate.items())
    assert manifest.stage == ("released" if earned else "research")


def read_figures(path: Path) -> dict[str, float]:
    """What a gate can name, from the committed JSON alone."""
    report, rejects = (
        json.loads((path / name).read_text()) for name in ("evaluation.json", "rejects.json")
    )
    figures = {name: metric["value"] for name, metric in report["metrics"].items()}
    figures["rejects.refused"] = rejects["refused"]
    figures["rejects.in_scope_answered"] = 1 - figures["refused"]
    for record in path.parent.glob("crossval-*.json"):
        content = json.loads(record.read_text())
        if content["recipe"] == load_bundle(path).manifest.training.config_sha256:
            pooled = content["pooled"]
            for name, metric in pooled["network"].items():
                figures[f"crossval.{name}"] = metric["value"]
                above = content["differences"]["frozen backbone"][name]["value"]
                figures[f"crossval.{name}.above_frozen"] = above
    return figures


@pytest.mark.parametrize("path", sorted(TASKS_DIR.glob("*.toml")), ids=lambda path: path.stem)
def test_every_gate_asks_for_what_the_targets_ask(path: Path) -> None:
    """The least that each task was to reach, as it was set before anything was trained."""
    gate = load_task(path).gate
    asked = TARGETS[path.stem] | {"rejects.refused": 0.95, "rejects.in_scope_answered": 0.95}
    assert gate == asked


@every_bundle
def test_shipped_card_repeats_the_ledger(path: Path) -> None:
    card = (path / "model_card.md").read_text()
    openings = read_openings(path.parent)
    # The same network under another manifest needs no look of its own.
    looked_at = SAME_NETWORK.get((path.parent.name, path.name), path.name)
    assert any(one.version == looked_at for one in openings)
    told = card.partition("The test split was looked at ")[2].partition("\n\nIntervals")[0]
    count, *lines = told.splitlines()
    assert count.split()[0] == str(len(openings))
    assert [line for line in lines if line] == [
        f"- {one.opened[:10]}: {one.version}, {one.purpose}" for one in openings
    ]


@every_bundle
def test_shipped_card_codes_each_label_and_says_whom_it_was_made_from(path: Path) -> None:
    card = (path / "model_card.md").read_text()
    manifest = load_bundle(path).manifest
    for label, code in manifest.codes.items():
        (row,) = (line for line in card.splitlines() if line.startswith(f"| {label} | `"))
        assert f"`{code.value}`" in row
        assert code.scheme in row
        assert code.meaning in row
    population = json.loads((path / "population.json").read_text())
    counted: Counter[str] = Counter()
    for cell in population["cells"]:
        counted[cell["split"]] += cell["images"]
    assert counted == manifest.training.images
    assert "## Population" in card


@every_bundle
def test_shipped_bundle_keeps_a_baseline_beside_every_figure(path: Path) -> None:
    found = json.loads((path / "baselines.json").read_text())
    metrics = load_bundle(path).manifest.metrics
    for name in metrics:
        if name == "refused" or name.startswith("answered_"):
            continue
        # A label that a baseline never gives has no precision.
        kinds = [kind for kind in ("thumbnails", "frozen") if name not in found[kind]]
        assert not kinds or "precision" in name


@every_bundle
def test_released_figures_stay_within_what_the_task_allows(path: Path) -> None:
    manifest = load_bundle(path).manifest
    config = load_task(find_task(manifest.task))
    operating = manifest.operating
    assert set(operating.thresholds) == set(config.decision.recall_labels)
    reached = operating.validation_recall.values()
    assert all(recall >= config.decision.target_recall for recall in reached)
    allowed = config.scope.max_validation_refusal
    assert manifest.distance.target_refusal == allowed
    assert manifest.distance.validation_refusal <= allowed
    assert manifest.scope == config.scope
    report = json.loads((path / "evaluation.json").read_text())
    assert report["metrics"] == {name: asdict(one) for name, one in manifest.metrics.items()}
    assert report["images"] == manifest.training.images["test"]
    with (path / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    given = [row["given"] == row["label"] for row in rows]
    assert manifest.metrics["accuracy"].value == pytest.approx(sum(given) / len(rows))


def test_docs_state_the_figures_of_the_shipped_bundles() -> None:
    rows = re.findall(FIGURE_ROW, FIGURES_PAGE.read_text(), re.MULTILINE)
    assert {task for task, *_ in rows} == {path.parent.name for path in BUNDLES}
    for task, version, stage, name, stated in rows:
        path = find_task_bundle(BUNDLES_DIR, task)
        manifest = load_bundle(path).manifest
        assert (manifest.version, manifest.stage) == (version, stage)
        assert stated == f"{read_figures(path)[name]:.3f}", (task, name)


@pytest.mark.parametrize("window", [("40", "400"), ("-600", "1500"), ("300", "1500"), None])
def test_lung_ct_reads_hounsfield_units_whatever_window_is_shown(window: tuple | None) -> None:
    predictor = lung_ct()
    center, width = predictor.bundle.manifest.input.hu_window or (0.0, 0.0)
    (shown,) = read_frames(LUNG_CT.read_bytes())
    hu = shown.pixels.astype(float) / 255 * width + center - width / 2
    fields = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    if window:
        fields |= {"WindowCenter": window[0], "WindowWidth": window[1]}
    (frame,) = read_frames(make_dicom((hu.round() + 1024).astype(np.uint16), **fields))
    found, usual = predictor.predict([frame, shown])
    assert "a window of its own" in found.notes[-1]
    assert not any("window" in note for note in usual.notes)
    # The same values as the picture, but for rounding to whole Hounsfield units.
    for label, score in usual.probabilities.items():
        assert found.probabilities[label] == pytest.approx(score, abs=0.02)


@cache
def lung_ct() -> Predictor:
    return open_predictor(find_task_bundle(BUNDLES_DIR, "lung-ct"), device="cpu")
