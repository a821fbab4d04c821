"""Turns a finished training run into a verified bundle, evaluated through its own predictor."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles import EMBEDDINGS, OPENVINO_MODEL, Bundle
from ml.calibration import fit_temperature, softmax
from ml.distance import fit_space
from ml.errors import BackboneNotExportable, BundleInvalid
from ml.gate import GATE
from ml.manifest import (
    SCHEMA,
    Distance,
    Manifest,
    Parity,
    TrainingRecord,
    read_manifest,
    write_manifest,
)
from ml.predictor import Predictor, open_predictor
from ml.preprocessing import PREPROCESSING_VERSION, prepare_files
from ml.runtimes import Runtime
from ml.runtimes.openvino import compile_network
from ml.workshop.datasets import Dataset, Example, index_labels, validation_weights
from ml.workshop.evaluation.crossval_record import find_record
from ml.workshop.evaluation.report import (
    ALONE,
    Comparisons,
    External,
    evaluate_bundle,
    find_external,
)
from ml.workshop.exporting.artefacts import (
    PARITY_TOLERANCE,
    check_parity,
    open_outputs,
    round_weights,
    write_canary,
    write_network,
)
from ml.workshop.exporting.deciding import Validation, choose_operating, fit_answers
from ml.workshop.exporting.gate_fitting import fit_gate
from ml.workshop.exporting.kept import write_population
from ml.workshop.exporting.quality_fitting import fit_quality
from ml.workshop.exporting.readout import read_out
from ml.workshop.exporting.release_gate import check_gate
from ml.workshop.exporting.rendering import render_texts, seal
from ml.workshop.exporting.series_fitting import Slices, choose_series_rule
from ml.workshop.map_rule import find_map_size
from ml.workshop.openings import (
    EXPORT,
    check_reopening,
    record_external,
    record_opening,
    record_seed_runs,
)
from ml.workshop.rejects import find_rejects, score_rejects, write_rejects_score
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.backbones import BACKBONES
from ml.workshop.training.curves import plot_curves
from ml.workshop.training.loop import BEST, HISTORY, SOUP, read_state
from ml.workshop.training.recipe import check_run

CURVES = "curves.png"
CURVES_TABLE = "curves.csv"
SOFTWARE = ("keras", "tensorflow-cpu", "openvino", "numpy", "pillow")


def export_bundle(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    root: Path,
    *,
    data_root: Path,
    comparisons: Comparisons = ALONE,
    replace: bool = False,
    purpose: str = "",
) -> Path:
    """Make `<root>/<task>/<version>/` of the run's best network; returns that folder.

    `data_root` is the folder of the data sets: other tasks' images there are what this one must
    refuse; `comparisons` are scored beside the bundle.

    Calibration, thresholds and limits come from the validation split; the test split is only
    scored, after everything is fixed, and that look is recorded. The stage is `research` when
    the figures stay below the task's gate. `purpose` says why a version is looked at again. Raises
    BundleInvalid when that version exists already, RunMismatch for a run of another recipe or other
    rows, SplitOpened when the version was looked at and no purpose is given, BackboneNotExportable,
    TaskConfigInvalid for a gate of unknown figures, and ParityFailed; nothing is left behind then.
    """
    target = root / config.task / config.version
    if target.exists() and not replace:
        raise BundleInvalid(path=target, detail="this version exists already")
    if not BACKBONES[config.model.backbone].is_exportable:
        raise BackboneNotExportable(backbone=config.model.backbone)
    check_gate(config, find_record(target.parent, config.digest))
    check_reopening(target, purpose)
    repeats = config.training.seeds
    check_run(config, dataset, run, seeds=repeats if (run / SOUP).exists() else ())
    for other in comparisons.seed_runs:
        check_run(config, dataset, other, seeds=repeats)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        draft = Path(scratch) / config.version
        draft.mkdir()
        engine = _fill_draft(config, dataset, run, draft, data_root)
        record_opening(target, split="test", purpose="; ".join(filter(None, (EXPORT, purpose))))
        record_seed_runs(target, comparisons.seed_runs, split="test")
        external = find_external(dataset, data_root, config.data)
        looked_at = [one.name for one in external.sources]
        looked_at += ["masked images"] if comparisons.masked else []
        record_external(target, looked_at, purpose=EXPORT)
        _complete_draft(
            config, dataset, engine, draft, target.parent, data_root, comparisons, external
        )
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    open_predictor(target, device="cpu")
    return target


def _fill_draft(
    config: TaskConfig, dataset: Dataset, run: Path, draft: Path, data_root: Path
) -> Runtime:
    """Everything that training and validation images decide; returns the opened engine."""
    network = open_outputs(keras.saving.load_model(run / BEST, compile=False))
    round_weights(network)
    write_network(network, draft)
    write_canary(network, draft)
    spec = config.input
    engine = compile_network(draft / OPENVINO_MODEL, size=spec.size, channels=spec.channels)
    training, validation = dataset.of_split("train"), dataset.of_split("val")
    seen = read_out(engine, prepare_files((row.path for row in training), spec))
    inputs = list(prepare_files((row.path for row in validation), spec))
    unseen = read_out(engine, inputs)
    space = fit_space(seen.embeddings, index_labels(training, config.data.labels))
    space.save(draft / EMBEDDINGS)
    strangers, kinds = seen.features[:0], []
    if not config.scope.stranger_label:
        rejects = find_rejects(config, dataset.examples, data_root, "fit")
        kinds = [reject.kind for reject in rejects]
        inputs_of_strangers = prepare_files((reject.content for reject in rejects), spec)
        strangers = read_out(engine, inputs_of_strangers).features
    groups = [row.group for row in validation]
    gate, distances = fit_gate(space, seen, unseen, groups, strangers, kinds)
    gate.save(draft / GATE)
    outputs = Validation(
        examples=validation,
        logits=unseen.logits,
        targets=index_labels(validation, config.data.labels),
        weights=np.array(validation_weights(validation, config.training)),
        distances=distances,
        sources=np.array([row.source for row in validation]),
        groups=np.array(groups),
    )
    manifest = _make_manifest(config, dataset, run, outputs)
    parity = check_parity(network, draft, np.concatenate(inputs), temperature=manifest.temperature)
    manifest = dataclasses.replace(manifest, parity=parity)
    write_manifest(_limit_quality(config, validation, manifest, draft, engine), draft)
    shutil.copyfile(run / HISTORY, draft / CURVES_TABLE)
    plot_curves(run / HISTORY, draft / CURVES)
    return engine


def _limit_quality(
    config: TaskConfig,
    validation: Sequence[Example],
    manifest: Manifest,
    draft: Path,
    engine: Runtime,
) -> Manifest:
    """The manifest with limits of image quality, for a task that asks for them."""
    max_refusal = config.decision.quality_refusal
    if not max_refusal:
        return manifest
    predictor = Predictor(Bundle(path=draft, manifest=manifest, digest=""), engine)
    quality = fit_quality(predictor, validation, max_refusal=max_refusal)
    return dataclasses.replace(manifest, quality=quality)


def _complete_draft(
    config: TaskConfig,
    dataset: Dataset,
    engine: Runtime,
    draft: Path,
    task_folder: Path,
    data_root: Path,
    comparisons: Comparisons,
    external: External,
) -> None:
    """Score the test split and other places, judge the gate, write the card, and seal."""
    manifest, _ = read_manifest(draft)
    predictor = Predictor(Bundle(path=draft, manifest=manifest, digest=""), engine)
    evaluation = evaluate_bundle(
        predictor, config, dataset, draft, comparisons=comparisons, external=external
    )
    rejects = find_rejects(config, dataset.examples, data_root, "test")
    strangers = score_rejects(predictor, rejects, refusing_label=config.scope.stranger_label)
    write_rejects_score(strangers, draft)
    write_population(dataset, draft)
    manifest = dataclasses.replace(
        manifest,
        metrics=evaluation.metrics,
        external=evaluation.external,
        maps=evaluation.maps,
    )
    seal(render_texts(manifest, config, draft, task_folder), draft)


def _make_manifest(
    config: TaskConfig,
    dataset: Dataset,
    run: Path,
    validation: Validation,
) -> Manifest:
    """Everything but the parity, the figures on the test split and the files' hashes."""
    temperature = fit_temperature(validation.logits, validation.targets, validation.weights)
    scores = softmax(validation.logits, temperature=temperature)
    operating, transfer = choose_operating(config, validation, scores)
    distance = _choose_limit(config, validation.distances)
    is_answered = validation.distances <= distance.limit
    conformal, confidence = fit_answers(config, validation, scores, operating, is_answered)
    slices = Slices(
        validation.examples, scores, is_answered, config.data.labels, config.data.normal_label
    )
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
        operating=operating,
        distance=distance,
        scope=config.scope,
        aggregation=config.decision.aggregation,
        training=_record_training(config, dataset, run),
        metrics={},
        parity=Parity(images=0, max_difference=0.0, labels_changed=0, tolerance=PARITY_TOLERANCE),
        files={},
        series=choose_series_rule(config.decision, slices),
        conformal=conformal,
        transfer=transfer,
        confidence=confidence,
        map_size=find_map_size(config.maps, config.input.size),
        routing=config.routing,
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
        averaged=_count_averaged(run),
    )


def _count_averaged(run: Path) -> int:
    """How many trainings are in a run's network: more than one where `soup` made it."""
    record = run / SOUP
    return len(json.loads(record.read_text())["taken"]) if record.is_file() else 1
