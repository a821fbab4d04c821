"""Card, page and stage of a bundle, from what it keeps: no image is read and no network is run."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml.bundles import MODEL_CARD, Bundle, hash_file, load_bundle
from ml.errors import BundleInvalid, BundleTampered, DataInvalid, TaskFileOfOther
from ml.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from ml.signing import SIGNATURE
from ml.workshop.datasets import SPLITS, Dataset
from ml.workshop.evaluation.beside import BASELINES, score_baselines, write_baselines
from ml.workshop.evaluation.page import read_pictures, render_page
from ml.workshop.evaluation.predictions import read_answers
from ml.workshop.evaluation.report import PAGE, PREDICTIONS
from ml.workshop.exporting.kept import POPULATION, read_kept, write_population
from ml.workshop.exporting.model_card import render_card
from ml.workshop.exporting.release_gate import (
    Scored,
    check_gate,
    choose_stage,
    judge_gate,
    list_figures,
)
from ml.workshop.openings import record_opening
from ml.workshop.task_config import TaskConfig

# What a card is rendered into; every other file of a bundle stays as it was sealed.
RENDERED = (MODEL_CARD, PAGE, POPULATION, BASELINES)
# What of a manifest is words or follows from the gate; the rest is figures and choices.
WORDED = ("title", "intended_use", "limits", "codes", "stage", "gate", "files")


def render_texts(
    manifest: Manifest, config: TaskConfig, folder: Path, task_folder: Path
) -> Manifest:
    """Judge the gate, write card and page into the folder; returns the manifest to seal it with.

    Words come from the task file, figures from the folder. Raises TaskConfigInvalid for a gate of
    unknown figures.
    """
    kept = read_kept(folder, task_folder, recipe=manifest.training.config_sha256)
    check_gate(config, kept.crossval)
    scored = Scored(manifest.labels, kept.evaluation, kept.baselines, kept.strangers, kept.crossval)
    gate = judge_gate(config, list_figures(scored))
    manifest = dataclasses.replace(
        manifest,
        title=config.title,
        intended_use=config.card.intended_use,
        limits=config.card.limits,
        codes=config.data.codes,
        gate=gate,
        stage=choose_stage(config, gate),
    )
    _, answers = read_answers(folder / PREDICTIONS)
    page = render_page(
        kept.evaluation,
        manifest,
        answers,
        read_pictures((folder / PAGE).read_text(encoding="utf-8")),
        kept.baselines,
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / MODEL_CARD).write_text(render_card(manifest, config, kept), encoding="utf-8")
    return manifest


def seal(manifest: Manifest, folder: Path) -> None:
    """Write the manifest with the hash of every file that is there now."""
    own = {MANIFEST, SIGNATURE}
    names = sorted(entry.name for entry in folder.iterdir() if entry.name not in own)
    files = {name: hash_file(folder / name) for name in names}
    write_manifest(dataclasses.replace(manifest, files=files), folder)


def render_again(path: Path, config: TaskConfig, dataset: Dataset | None = None) -> Bundle:
    """Render a bundle's card and page anew and seal it; returns the bundle as it is then.

    The test split stays closed: figures are those the bundle keeps, to the byte. `dataset` is
    needed where it keeps no population. Raises TaskFileOfOther when the task file isn't the
    bundle's, BundleInvalid when something is missing, DataInvalid for other rows than it was made
    from.
    """
    bundle = load_bundle(path)
    _check_task(bundle, config)
    with _reworked(bundle) as draft:
        if not (draft / POPULATION).exists():
            _add_population(bundle, dataset, draft)
        seal(render_texts(bundle.manifest, config, draft, path.parent), draft)
    return load_bundle(path)


def add_baselines(
    path: Path, config: TaskConfig, dataset: Dataset, *, weights: Path | None, purpose: str
) -> None:
    """Score the baselines for every figure of a bundle, record that, and seal them into it.

    A use of the test labels without the network. Raises as `render_again`.
    """
    bundle = load_bundle(path)
    _check_task(bundle, config)
    _check_rows(bundle, dataset)
    record_opening(path, split="test", purpose=f"baselines alone; {purpose}")
    training, validation, testing = (dataset.of_split(split) for split in SPLITS)
    _, found = score_baselines(training, validation, testing, config, frozen_weights=weights)
    with _reworked(bundle) as draft:
        write_baselines(found, draft)
        seal(bundle.manifest, draft)


@contextmanager
def _reworked(bundle: Bundle) -> Iterator[Path]:
    """A copy of a bundle's folder, to be sealed again; it takes the bundle's place, whole.

    Raises BundleTampered, the bundle untouched, when a figure is another one then.
    """
    with tempfile.TemporaryDirectory(dir=bundle.path.parent) as scratch:
        draft = Path(scratch) / bundle.path.name
        shutil.copytree(bundle.path, draft)
        yield draft
        _check_figures(bundle.manifest, draft)
        bundle.path.rename(draft.with_name("before"))
        draft.rename(bundle.path)


def _check_task(bundle: Bundle, config: TaskConfig) -> None:
    manifest = bundle.manifest
    made = (manifest.task, manifest.version)
    if (config.task, config.version) != made:
        detail = f"the task file is of {config.task} {config.version}"
        raise TaskFileOfOther(task=made[0], version=made[1], path=bundle.path, detail=detail)
    if config.digest != manifest.training.config_sha256:
        detail = "what shapes the network ([data], [input], [model], [augmentation], [training])"
        detail += " isn't what this bundle was trained with"
        raise TaskFileOfOther(task=made[0], version=made[1], path=bundle.path, detail=detail)


def _add_population(bundle: Bundle, dataset: Dataset | None, draft: Path) -> None:
    if dataset is None:
        raise BundleInvalid(path=bundle.path, detail=f"it keeps no {POPULATION}: give --data")
    _check_rows(bundle, dataset)
    write_population(dataset, draft)


def _check_rows(bundle: Bundle, dataset: Dataset) -> None:
    if dataset.digest != bundle.manifest.training.data_sha256:
        raise DataInvalid(path=dataset.origin, detail="the bundle was made from other tables")


def _check_figures(before: Manifest, draft: Path) -> None:
    """Raises BundleTampered unless every figure and every other file is as it was, to the byte."""
    after, _ = read_manifest(draft)
    first, second = (_list_figures(manifest) for manifest in (before, after))
    if first != second:
        raise BundleTampered(path=draft, detail="a figure changed while the card was rendered")


def _list_figures(manifest: Manifest) -> dict[str, str]:
    """The manifest's figures as JSON, and the hashes of the files that keep the others."""
    content = dataclasses.asdict(manifest)
    files = {name: value for name, value in manifest.files.items() if name not in RENDERED}
    return files | {
        name: json.dumps(value) for name, value in content.items() if name not in WORDED
    }
