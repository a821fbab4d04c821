"""Cross-validation by group: each fold trained, calibrated and scored once, then kept as JSON."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.calibration import choose_thresholds, fit_temperature, softmax
from ml.errors import RunMismatch
from ml.workshop.datasets import Dataset, Example, index_labels, validation_weights
from ml.workshop.evaluation.baselines import frozen_scores, thumbnail_scores
from ml.workshop.evaluation.crossval_record import FROZEN_BACKBONE
from ml.workshop.evaluation.scoring import decide_labels
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.loop import BEST
from ml.workshop.training.outputs import Outputs, run_network
from ml.workshop.training.recipe import digest_rows
from ml.workshop.tuning.fitting import fit_network, write_json
from ml.workshop.tuning.folds import Fold, make_folds
from ml.workshop.tuning.space import Point

PLAN = "plan.json"
Scores = NDArray[np.float64]
# For each fold the recipe to train it with: the task as it is, or as tuned on that fold's rows.
Configure = Callable[[Fold, Path], tuple[TaskConfig, Point]]


@dataclass(frozen=True, slots=True)
class FoldAnswer:
    """One seed's network on a fold's held-out rows.

    `probabilities` (N x K, calibrated) and `given` (label indices by the operating thresholds) are
    in the order of the fold's held-out rows; all that was chosen was chosen on its `val` rows.
    """

    fold: int
    seed: int
    overrides: Point
    best_epoch: int
    epochs: int
    seconds: float
    temperature: float
    thresholds: dict[str, float]
    probabilities: Scores
    given: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers for the rows: seeds x N x K probabilities and seeds x N labels given.

    `baselines` has each baseline's N x K probabilities, from the same folds.
    """

    examples: tuple[Example, ...]
    targets: NDArray[np.int64]
    folds: NDArray[np.int64]
    seeds: tuple[int, ...]
    probabilities: Scores
    given: NDArray[np.int64]
    baselines: dict[str, Scores]
    runs: tuple[FoldAnswer, ...]


def run_folds(
    config: TaskConfig,
    dataset: Dataset,
    folder: Path,
    *,
    count: int,
    seeds: Sequence[int],
    baseline_weights: Path | None = None,
    has_baselines: bool = False,
    configure: Configure | None = None,
    on_fold: Callable[[], None] | None = None,
) -> Answers:
    """Answers of networks that never saw the row, nor a row of its group.

    What is finished in `folder` is not done again. `configure` chooses each fold's recipe from its
    training rows; `on_fold` is called after each network. Raises DataInvalid for too few groups,
    RunMismatch when the folder was begun with other choices or rows.
    """
    folds = list(make_folds(dataset, count, seed=config.training.seed))
    _keep_plan(config, dataset, folder, count)
    choose: Configure = configure or (lambda _fold, _place: (config, {}))
    answers: list[FoldAnswer] = []
    baselines: list[dict[str, Scores]] = []
    for fold in folds:
        place = folder / f"fold-{fold.number}"
        place.mkdir(exist_ok=True)
        # First, because a missing weights file should be known before hours of training.
        baselines.append(
            _score_baselines(config, fold, place, baseline_weights) if has_baselines else {}
        )
        recipe, overrides = choose(fold, place)
        for seed in seeds:
            answers.append(_answer_fold(recipe.with_seed(seed), fold, place, overrides))
            if on_fold:
                on_fold()
    return _collect(config, dataset, folds, tuple(seeds), answers, baselines)


def _keep_plan(config: TaskConfig, dataset: Dataset, folder: Path, count: int) -> None:
    """Write down what the folder is for, or refuse one that is for something else."""
    plan = {
        "task": config.task,
        "recipe": config.digest,
        "rows": digest_rows(dataset.examples),
        "folds": count,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN
    if not path.exists():
        write_json(path, plan)
        return
    known = json.loads(path.read_text())
    if different := [name for name, value in plan.items() if known.get(name) != value]:
        raise RunMismatch(path=folder, detail=", ".join(different))


def _answer_fold(
    config: TaskConfig, fold: Fold, place: Path, overrides: Mapping[str, Any]
) -> FoldAnswer:
    """Train, calibrate on the inner validation rows and answer the held-out ones, unless done."""
    seed = config.training.seed
    path = place / f"seed-{seed}.json"
    if path.exists():
        known = _read_answer(path)
        if known.overrides == dict(overrides):
            return known
    run = place / f"seed-{seed}"
    fit = fit_network(config, fold.dataset, run)
    network = keras.saving.load_model(run / BEST, compile=False)
    validation = fold.dataset.of_split("val")
    inner = run_network(network, validation, config)
    weights = np.array(validation_weights(validation, config.training))
    temperature = fit_temperature(inner.logits, inner.targets, weights)
    thresholds = _choose_thresholds(config, inner, temperature)
    logits = run_network(network, fold.held_out, config).logits
    probabilities = softmax(logits, temperature=temperature)
    answer = FoldAnswer(
        fold=fold.number,
        seed=seed,
        overrides=dict(overrides),
        best_epoch=fit.best_epoch,
        epochs=fit.epochs,
        seconds=fit.seconds,
        temperature=temperature,
        thresholds=thresholds,
        probabilities=probabilities,
        given=decide_labels(
            probabilities, config.data.labels, config.data.normal_label, thresholds
        ),
    )
    keras.backend.clear_session()
    write_json(path, {**dataclasses.asdict(answer), "rows": [row.name for row in fold.held_out]})
    return answer


def _read_answer(path: Path) -> FoldAnswer:
    known = json.loads(path.read_text())
    del known["rows"]
    known["probabilities"] = np.array(known["probabilities"], np.float64)
    known["given"] = np.array(known["given"], np.int64)
    return FoldAnswer(**known)


def _choose_thresholds(config: TaskConfig, inner: Outputs, temperature: float) -> dict[str, float]:
    """Each disease's operating threshold, as at export; 0.5 where validation holds none of it."""
    labels, decision = config.data.labels, config.decision
    diseases = [label for label in labels if label != config.data.normal_label]
    return dict.fromkeys(diseases, 0.5) | choose_thresholds(
        softmax(inner.logits, temperature=temperature),
        inner.targets,
        labels,
        among=diseases,
        target_recall=decision.target_recall,
        min_specificity=decision.min_specificity,
    )


def _score_baselines(
    config: TaskConfig, fold: Fold, place: Path, weights: Path | None
) -> dict[str, Scores]:
    """The baselines on the fold: they stop nowhere early, so they learn from its `val` rows too."""
    path = place / "baselines.json"
    if path.exists():
        known = json.loads(path.read_text())
        return {name: np.array(scores, np.float64) for name, scores in known.items()}
    training = fold.dataset.examples
    found = {
        "thumbnails": thumbnail_scores(training, fold.held_out, config),
        FROZEN_BACKBONE: frozen_scores(training, fold.held_out, config, weights),
    }
    write_json(path, found)
    return found


def _collect(
    config: TaskConfig,
    dataset: Dataset,
    folds: Sequence[Fold],
    seeds: tuple[int, ...],
    answers: Sequence[FoldAnswer],
    baselines: Sequence[Mapping[str, Scores]],
) -> Answers:
    """Out-of-fold answers in the rows' own order."""
    labels, total = config.data.labels, len(dataset.examples)
    probabilities = np.zeros((len(seeds), total, len(labels)))
    given = np.zeros((len(seeds), total), np.int64)
    for answer in answers:
        rows = folds[answer.fold].rows
        probabilities[seeds.index(answer.seed), rows] = answer.probabilities
        given[seeds.index(answer.seed), rows] = answer.given
    joined = {name: np.zeros((total, len(labels))) for name in baselines[0]}
    fold_of = np.zeros(total, np.int64)
    for fold, scores in zip(folds, baselines, strict=True):
        fold_of[fold.rows] = fold.number
        for name, values in scores.items():
            joined[name][fold.rows] = values
    return Answers(
        examples=dataset.examples,
        targets=index_labels(dataset.examples, labels),
        folds=fold_of,
        seeds=seeds,
        probabilities=probabilities,
        given=given,
        baselines=joined,
        runs=tuple(answers),
    )
