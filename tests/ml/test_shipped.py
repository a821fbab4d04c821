"""What ships under ml/bundles: every bundle whole and small, and told truly in the docs."""

import csv
import json
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ml.bundles import find_bundles, find_task_bundle, load_bundle
from ml.images import read_frames
from ml.manifest import Metric
from ml.predictor import Predictor, check_canary, open_predictor
from ml.workshop.commands.options import BUNDLES_DIR
from ml.workshop.openings import read_openings
from ml.workshop.rejects import score_rejects
from ml.workshop.rejects.gathered import PHOTOGRAPH_KINDS, read_photographs
from ml.workshop.task_config import find_task, load_task
from ml.workshop.task_tables import TASKS_DIR
from tests.ml.pictures import make_dicom

BUNDLES = find_bundles(BUNDLES_DIR)
LUNG_CT = Path(__file__).parents[2] / "samples" / "lung-ct-malignant" / "01.dcm"
MAX_BYTES = 16_000_000
SPOILT = {
    "robustness.blur.2.normal_recall_or_refused": 0.8,
    "robustness.JPEG.10.normal_recall_or_refused": 0.8,
}
TARGETS = {
    "chest-xray": {
        "guangzhou.pneumonia.auc": 0.975,
        "guangzhou.pneumonia.auc.above_thumbnails": 0.05,
        "guangzhou.pneumonia.accuracy": 0.92,
        "guangzhou.pneumonia.sensitivity": 0.95,
        "macro_auc": 0.985,
        "recall.tuberculosis": 0.97,
        "external.nih.auc.pneumonia": 0.8,
        "external.nih.called.tuberculosis": 0.02,
        "external.cohen.sensitivity": 0.9,
        "external.cohen.called.tuberculosis": 0.02,
        **SPOILT,
    },
    "brain-mri": {
        "accuracy": 0.96,
        "argmax_accuracy": 0.96,
        "recall.meningioma": 0.92,
        "accuracy.above_thumbnails": 0.1,
        "external.navoneel.missed": 0.05,
        "external.navoneel.missed_high": 0.01,
        **SPOILT,
    },
    "lung-ct": {
        "crossval.balanced_accuracy.above_frozen": 0.1,
        "crossval.balanced_accuracy.above_thumbnails": 0.1,
        "crossval.macro_auc": 0.85,
        "external.chest-ct-4class.accuracy": 0.95,
        **SPOILT,
    },
    "skin-lesion": {
        "argmax_balanced_accuracy": 0.74,
        "argmax_balanced_accuracy.above_thumbnails": 0.1,
        "recall.mel": 0.9,
        "auc.mel": 0.9,
        "external.ph2.auc.mel": 0.88,
        "external.ph2.sensitivity": 0.9,
        "external.ph2.specificity": 0.6,
        "external.ph2.argmax_accuracy": 0.8,
        "external.isic-msk-uda.auc.mel": 0.75,
        "external.isic-msk-uda.argmax_accuracy": 0.8,
        **SPOILT,
    },
    "retina": {
        "accuracy": 0.93,
        "argmax_accuracy": 0.93,
        "recall.glaucoma": 0.88,
        "accuracy.above_thumbnails": 0.1,
        **SPOILT,
    },
    "body-part": {"accuracy": 0.995, "argmax_accuracy": 0.995},
    "head-ct": {"crossval.balanced_accuracy.above_frozen": 0.1, "crossval.macro_auc": 0.85},
}

# Kinds of photograph that came after these gates were fitted.
LEARNT_LATER = ("close_up",)
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
    photographs = list(read_photographs("test", LEARNT_LATER))
    stranger_label = load_task(find_task(predictor.bundle.task)).scope.stranger_label
    score = score_rejects(predictor, photographs, refusing_label=stranger_label)
    assert score.images >= 70
    assert score.refused >= 0.95
    assert set(score.by_kind) == set(PHOTOGRAPH_KINDS) - set(LEARNT_LATER)
    assert min(score.by_kind.values()) >= 0.9
    assert predictor.bundle.manifest.distance.validation_refusal <= 0.05


@every_bundle
def test_shipped_bundle_has_the_stage_that_its_figures_earn(path: Path) -> None:
    """By the gate that it was judged by when it was made: a task's gate may have grown since."""
    manifest = load_bundle(path).manifest
    assert manifest.gate
    figures = read_figures(path)
    for name, result in manifest.gate.items():
        if name in figures:
            assert result.value == figures[name]
        judged = result.value if result.bound is None else result.bound
        is_reached = judged <= result.minimum if result.is_most else judged >= result.minimum
        assert result.is_met == (is_reached and not result.reason)
    is_earned = all(result.is_met for result in manifest.gate.values())
    assert manifest.stage == ("released" if is_earned else "research")


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
    assert any(one.version == path.name for one in openings)
    elsewhere = [one for one in openings if one.purpose.startswith("external ")]
    for what, looks in (
        ("The test split was", [one for one in openings if one not in elsewhere]),
        ("Images of other places were", elsewhere),
    ):
        told = card.partition(f"{what} looked at ")[2]
        count, *lines = (line for line in told.splitlines() if line) if told else "0"
        known = int(count.split()[0])
        assert lines[:known] == [
            f"- {one.opened[:10]}: {one.version}, {one.purpose}" for one in looks[:known]
        ]
        # A bundle stays as it is when its successor is looked at, and not shipped.
        assert path.name not in {one.version for one in looks[known:]}


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
        if name.startswith(("refused", "answered_", "shown.", "conformal.")):
            continue  # a baseline refuses nothing, and nobody is shown what it says
        # A label that a baseline never gives has no precision.
        kinds = [kind for kind in ("thumbnails", "frozen") if name not in found[kind]]
        assert not kinds or "precision" in name


@every_bundle
def test_released_figures_stay_within_what_the_task_allows(path: Path) -> None:
    manifest = load_bundle(path).manifest
    config = load_task(find_task(manifest.task))
    operating = manifest.operating
    assert set(operating.thresholds) == set(config.decision.recall_labels)
    for disease, recall in operating.validation_recall.items():
        # Where the floor of specificity holds, the recall is what that leaves.
        spared = operating.validation_specificity[disease]
        is_held = spared < config.decision.min_specificity + 0.02
        assert recall >= config.decision.target_recall or is_held
    allowed = config.scope.max_validation_refusal
    assert manifest.distance.target_refusal == allowed
    assert manifest.distance.validation_refusal <= allowed
    assert manifest.scope == config.scope
    assert manifest.routing in (None, config.routing)
    report = json.loads((path / "evaluation.json").read_text())
    assert {name: Metric(**one) for name, one in report["metrics"].items()} == manifest.metrics
    assert report["images"] == manifest.training.images["test"]
    with (path / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    given = [row["given"] == row["label"] for row in rows]
    assert manifest.metrics["accuracy"].value == pytest.approx(sum(given) / len(rows))


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
