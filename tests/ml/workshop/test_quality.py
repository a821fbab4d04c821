"""Limits of image quality: how export chooses them, and where it says so."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.bundles import find_task_bundle, load_bundle
from ml.limits import QualityLimit
from ml.quality import MEASURES
from ml.workshop.cli import main
from ml.workshop.evaluation.robustness import CHANGES
from ml.workshop.exporting.quality_fitting import NOTICED, Sides, Trial, choose_limits
from ml.workshop.task_config import find_task, load_task
from tests.ml.conftest import TINY

pytestmark = pytest.mark.usefixtures("few_rejects")


def make_trial(values: NDArray[np.float64], *, safe: float, change: str = "blur") -> Trial:
    """Of the images in their order the share `safe` is right; `blur` is as given, the rest 0."""
    measures = {name: np.zeros(len(values)) for name in MEASURES} | {"blur": values}
    return Trial(change, 2.0, np.arange(len(values)) < safe * len(values), measures)


SIDES = Sides((np.ones(100, bool),), (0.8,))


def fit(trial: Trial, unspoilt: NDArray[np.float64], *, max_refused: int) -> QualityLimit:
    measures = {name: np.zeros(len(unspoilt)) for name in MEASURES} | {"blur": unspoilt}
    found = choose_limits([trial], measures, SIDES, max_refused=max_refused)
    assert set(found) == {"blur"}
    return found["blur"]


def test_choose_limits_lies_between_what_is_unspoilt_and_what_does_harm() -> None:
    limit = fit(make_trial(np.full(100, 5.0), safe=0.2), np.linspace(0, 1, 500), max_refused=5)
    assert 1 < limit.limit < 5
    assert limit.validation_refusal == 0


def test_choose_limits_refuses_no_more_unspoilt_images_than_allowed() -> None:
    trial = make_trial(np.linspace(0, 1, 100), safe=0.2)
    limit = fit(trial, np.linspace(0, 1, 500), max_refused=5)
    assert limit.validation_refusal == pytest.approx(5 / 500)
    is_safe = trial.is_safe | (trial.measures["blur"] > limit.limit)
    assert SIDES.is_harmed(is_safe)


def test_choose_limits_has_none_when_nothing_does_harm() -> None:
    measures = {name: np.zeros(5) for name in MEASURES}
    assert choose_limits([], measures, SIDES, max_refused=0) == {}


def test_every_change_that_is_noticed_exists() -> None:
    names = {change.name for change in CHANGES}
    assert {name for noticed in NOTICED.values() for name in noticed} <= names
    assert set(NOTICED) == set(MEASURES)


@pytest.fixture
def exported(tiny_run: Path, tiny_data: Path, tmp_path: Path) -> Path:
    """The very small network exported with limits of quality and conformal sets."""
    asked = (
        "decision.quality_refusal=0.2",
        "decision.coverage=0.9",
        "decision.prevalence=0.1",
        "decision.min_npv=0.5",
    )
    overrides = [part for pair in (*TINY, *asked) for part in ("--set", pair)]
    arguments = ["chest-xray", "--data", str(tiny_data), "--run", str(tiny_run / "run")]
    assert main(["export", *arguments, *overrides, "--out", str(tmp_path)]) == 0
    return find_task_bundle(tmp_path, "chest-xray")


def test_export_fits_limits_and_says_so_in_card_and_record(exported: Path) -> None:
    manifest = load_bundle(exported).manifest
    assert manifest.quality is not None
    assert manifest.quality.validation_refusal <= 0.2
    assert set(manifest.quality.limits) <= set(MEASURES)
    assert manifest.conformal is not None
    assert set(manifest.conformal.lowest) == {"pneumonia", "tuberculosis"}
    card = (exported / "model_card.md").read_text()
    assert "### Image quality" in card
    assert "### What can't be ruled out" in card
    assert "Refused by label: normal" in card
    evaluation = json.loads((exported / "evaluation.json").read_text())
    assert sum(one["images"] for one in evaluation["refused_by_label"].values()) == 6
    assert {"coverage.pneumonia", "cleared"} <= set(evaluation["openness"])
    rejects = json.loads((exported / "rejects.json").read_text())
    assert set(rejects["by_label"]["rotated_180"]) == {"normal", "pneumonia", "tuberculosis"}


def test_task_file_leaves_all_of_it_out_unless_asked() -> None:
    decision = load_task(find_task("body-part")).decision
    assert (decision.quality_refusal, decision.coverage, decision.min_npv) == (0, 0, 0)
