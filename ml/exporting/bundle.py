"""Turns a finished training run into a verified bundle, evaluated through its own predictor."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles import EMBEDDINGS, MODEL_CARD, OPENVINO_MODEL, Bundle, hash_file
from ml.calibration import choose_band, choose_threshold, fit_temperature, softmax
from ml.datasets import Dataset, Example, balance_weights
from ml.distance import fit_space
from ml.errors import BundleInvalid, TaskConfigInvalid
from ml.evaluation.report import evaluate_bundle
from ml.exporting.artefacts import (
    PARITY_TOLERANCE,
    check_parity,
    open_outputs,
    round_weights,
    write_canary,
    write_network,
)
from ml.exporting.model_card import render_card
from ml.gate import GATE
from ml.images import read_frames
from ml.manifest import (
    MANIFEST,
    SCHEMA,
    Distance,
    GateResult,
    Manifest,
    Metric,
    Operating,
    Parity,
    TrainingRecord,
    read_manifest,
    write_manifest,
)
from ml.openings import Opening, read_openings, record_opening
from ml.predictor import Predictor, open_predictor
from ml.preprocessing import PREPROCESSING_VERSION, prepare_frame
from ml.rejects import reject_examples, score_rejects
from ml.rejects.fitting import fit_gate
from ml.router import SOMETHING_ELSE
from ml.runtimes import Floats, Runtime
from ml.runtimes.openvino import compile_network
from ml.task_config import TaskConfig
from ml.training.curves import plot_curves
from ml.training.loop import BEST, HISTORY, read_state

CURVES = "curves.png"
CURVES_TABLE = "curves.csv"
REJECTS = "rejects.json"
CHUNK = 64
SOFTWARE = ("keras", "tensorflow-cpu", "openvino", "numpy", "pillow")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits and embeddings of a split, with its label indices and balancing weights."""

    logits: Floats
    embeddings: Floats
    targets: NDArray[np.int64]
    weights: NDArray[np.float64]


def export_bundle(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    root: Path,
    *,
    data_root: Path,
    frozen_weights: Path | None = None,
    replace: bool = False,
) -> Path:
    """Make `<root>/<task>/<version>/` of the run's best network; returns that folder.

    `data_root` is the folder of the data sets: other tasks' images there are what this one must
    refuse. `frozen_weights` adds the frozen backbone to the baselines.

    Calibration, thresholds and limits come from the validation split; the test split is only
    scored, after everything is fixed, and that look is recorded. The stage is `research` when
    the figures stay below the task's gate. Raises BundleInvalid when that version exists already,
    and ParityFailed; nothing is left behind then.
    """
    target = root / config.task / config.version
    if target.exists() and not replace:
        raise BundleInvalid(path=target, detail="this version exists already")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        draft = Path(scratch) / config.version
        draft.mkdir()
        _fill_draft(config, dataset, run, draft, data_root)
        record_opening(target, split="test", purpose="export")
        _complete_draft(
            config, dataset, draft, read_openings(target.parent), data_root, frozen_weights
        )
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    open_predictor(target, device="cpu")
    return target


def _fill_draft(
    config: TaskConfig, dataset: Dataset, run: Path, draft: Path, data_root: Path
) -> None:
    """Everything that training and validation images decide."""
    network = open_outputs(keras.saving.load_model(run / BEST, compile=False))
    round_weights(network)
    write_network(network, draft)
    write_canary(network, draft)
    spec = config.input
    engine = compile_network(draft / OPENVINO_MODEL, size=spec.size, channels=spec.channels)
    training, validation = dataset.of_split("train"), dataset.of_split("val")
    seen = _run_split(engine, config, training)
    space = fit_space(seen.embeddings, seen.targets)
    space.save(draft / EMBEDDINGS)
    rejects = reject_examples(config.task, data_root, "fit", accepted=config.scope.accepted_kinds)
    gate = fit_gate(engine, config, space, training, validation, rejects)
    gate.save(draft / GATE)
    inputs = np.concatenate(list(_read_inputs(config, validation)))
    unseen = _run_split(engine, config, validation)
    distances = gate.measure(space, inputs, unseen.embeddings).distances
    manifest = _make_manifest(config, dataset, run, unseen, distances)
    parity = check_parity(network, draft, inputs, temperature=manifest.temperature)
    write_manifest(dataclasses.replace(manifest, parity=parity), draft)
    shutil.copyfile(run / HISTORY, draft / CURVES_TABLE)
    plot_curves(run / HISTORY, draft / CURVES)


def _complete_draft(
    config: TaskConfig,
    dataset: Dataset,
    draft: Path,
    openings: Sequence[Opening],
    data_root: Path,
    frozen_weights: Path | None,
) -> None:
    """Score the test split, hold the figures against the gate, write the card, and seal."""
    manifest, _ = read_manifest(draft)
    spec = manifest.input
    engine = compile_network(draft / OPENVINO_MODEL, size=spec.size, channels=spec.channels)
    predictor = Predictor(Bundle(path=draft, manifest=manifest, digest=""), engine)
    evaluation = evaluate_bundle(predictor, config, dataset, draft, frozen_weights=frozen_weights)
    strangers = score_rejects(
        predictor,
        reject_examples(config.task, data_root, "test", accepted=config.scope.accepted_kinds),
        refusing_labels=(SOMETHING_ELSE,),
    )
    (draft / REJECTS).write_text(json.dumps(dataclasses.asdict(strangers), indent=2) + "\n")
    gate = judge_gate(config, evaluation.metrics)
    is_released = all(result.is_met for result in gate.values())
    manifest = dataclasses.replace(
        manifest,
        metrics=evaluation.metrics,
        gate=gate,
        stage=config.stage if is_released else "research",
    )
    (draft / MODEL_CARD).write_text(render_card(manifest, config, evaluation, openings, strangers))
    _seal(manifest, draft)


def judge_gate(config: TaskConfig, metrics: Mapping[str, Metric]) -> dict[str, GateResult]:
    """Each figure of the gate against its least value; raises TaskConfigInvalid for no figure."""
    if absent := set(config.gate) - set(metrics):
        raise TaskConfigInvalid(path=config.task, detail=f"gate: no figure {min(absent)}")
    return {
        name: GateResult(minimum, metrics[name].value, metrics[name].value >= minimum)
        for name, minimum in config.gate.items()
    }


def _run_split(engine: Runtime, config: TaskConfig, examples: Sequence[Example]) -> Outputs:
    """The network's outputs for a split, through the engine that ships."""
    logits, embeddings = [], []
    for images in _read_inputs(config, examples):
        outputs = engine.predict(images)
        logits.append(outputs.logits)
        embeddings.append(outputs.embeddings)
    return Outputs(
        logits=np.concatenate(logits),
        embeddings=np.concatenate(embeddings),
        targets=np.array([config.data.labels.index(row.label) for row in examples]),
        weights=np.array(balance_weights(examples, power=config.training.balance_power)),
    )


def _read_inputs(config: TaskConfig, examples: Sequence[Example]) -> Iterator[Floats]:
    for start in range(0, len(examples), CHUNK):
        frames = [read_frames(row.path)[0] for row in examples[start : start + CHUNK]]
        yield np.stack([prepare_frame(frame, config.input) for frame in frames])


def _make_manifest(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    validation: Outputs,
    distances: NDArray[np.float64],
) -> Manifest:
    """Everything but the parity, the figures on the test split and the files' hashes."""
    temperature = fit_temperature(validation.logits, validation.targets, validation.weights)
    return Manifest(
        schema=SCHEMA,
        task=config.task,
        title=config.title,
        intended_use=config.card.intended_use,
        limits=config.card.limits,
        version=config.version,
        stage=config.stage,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=config.data.labels,
        normal_label=config.data.normal_label,
        codes=config.data.codes,
        input=config.input,
        preprocessing=PREPROCESSING_VERSION,
        temperature=temperature,
        operating=_choose_operating(config, validation, temperature),
        distance=_choose_limit(config, distances),
        scope=config.scope,
        aggregation=config.decision.aggregation,
        training=_record_training(config, dataset, run),
        metrics={},
        parity=Parity(images=0, max_difference=0.0, labels_changed=0, tolerance=PARITY_TOLERANCE),
        files={},
    )


def _choose_operating(config: TaskConfig, validation: Outputs, temperature: float) -> Operating:
    decision, labels = config.decision, config.data.labels
    scores = softmax(validation.logits, temperature=temperature)
    points, bands = {}, {}
    for label in decision.recall_labels:
        own = scores[:, labels.index(label)]
        is_positive = validation.targets == labels.index(label)
        points[label] = choose_threshold(own, is_positive, target_recall=decision.target_recall)
        band = choose_band(
            own,
            is_positive,
            threshold=points[label].threshold,
            max_error=decision.band_error,
            max_share=decision.band_share,
        )
        bands[label] = (band.low, band.high)
    return Operating(
        thresholds={label: point.threshold for label, point in points.items()},
        target="lower 95 % bound of the recall of each of these labels on the validation split",
        target_recall=decision.target_recall,
        validation_recall={label: point.recall for label, point in points.items()},
        validation_specificity={label: point.specificity for label, point in points.items()},
        bands=bands,
        band_error=decision.band_error,
        band_share=decision.band_share,
    )


def _choose_limit(config: TaskConfig, distances: NDArray[np.float64]) -> Distance:
    """The distance that refuses half the share allowed: the rest is for the header's checks."""
    limit = float(np.quantile(distances, 1 - config.scope.max_validation_refusal / 2))
    return Distance(
        limit=limit,
        validation_refusal=float((distances > limit).mean()),
        target_refusal=config.scope.max_validation_refusal,
    )


def _record_training(config: TaskConfig, dataset: Dataset, run: Path) -> TrainingRecord:
    state = read_state(run)
    return TrainingRecord(
        data_table=config.data.table,
        data_sha256=dataset.digest,
        config_sha256=config.digest,
        images={split: len(dataset.of_split(split)) for split in ("train", "val", "test")},
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        software={name: version(name) for name in SOFTWARE},
    )


def _seal(manifest: Manifest, draft: Path) -> None:
    """Write the manifest with the hash of every file that is there now."""
    names = sorted(entry.name for entry in draft.iterdir() if entry.name != MANIFEST)
    files = {name: hash_file(draft / name) for name in names}
    write_manifest(dataclasses.replace(manifest, files=files), draft)
