"""docs/models.md tells nothing but what is committed: manifests, baselines, records, exclusions."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from ml.bundles import find_bundles, find_task_bundle, load_bundle
from ml.commands.options import BUNDLES_DIR
from ml.evaluation.beside import read_baselines
from ml.evaluation.crossval_record import CrossvalRecord, find_record, read_record
from ml.exporting.card_tables import format_interval
from ml.exporting.kept import read_kept
from ml.manifest import Metric
from ml.task_config import TASKS_DIR, find_task, load_task

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
# Paragraphs are wrapped; a figure may stand at a line's end.
PROSE = " ".join(PAGE.split())
NONE = "–"

every_bundle = pytest.mark.parametrize(
    "path", find_bundles(BUNDLES_DIR), ids=lambda path: f"{path.parent.name}-{path.name}"
)


def read_rows(path: Path) -> list[list[str]]:
    """The cells of a bundle's lines: figure, value, asked, thumbnails, frozen backbone."""
    manifest = load_bundle(path).manifest
    start = f"| {manifest.task} {manifest.version} | {manifest.stage} | "
    lines = [line for line in PAGE.splitlines() if line.startswith(start)]
    return [[cell.strip(" `") for cell in line.split("|")[3:-1]] for line in lines]


def find_figure(path: Path, name: str) -> tuple[str, str, str]:
    """A figure and both baselines' as the page must tell them."""
    manifest = load_bundle(path).manifest
    kept = read_kept(path, path.parent, recipe=manifest.training.config_sha256)
    if name == "rejects.refused":
        return f"{kept.strangers.refused:.3f} of {kept.strangers.images}", NONE, NONE
    if name == "rejects.in_scope_answered":
        refused = manifest.metrics["refused"]
        ends = (1 - refused.value, 1 - refused.high, 1 - refused.low)
        return format_interval(Metric(*ends, images=refused.images)), NONE, NONE
    if name.startswith("crossval."):
        assert kept.crossval is not None
        return find_crossval(kept.crossval, name.removeprefix("crossval."))
    found = (
        read_baselines(path, kept.evaluation)[kind].get(name) for kind in ("thumbnails", "frozen")
    )
    thumbnails, frozen = (NONE if value is None else f"{value:.3f}" for value in found)
    return format_interval(manifest.metrics[name]), thumbnails, frozen


def find_crossval(record: CrossvalRecord, name: str) -> tuple[str, str, str]:
    figure, _, above = name.partition(".above_")
    if above:
        return format_interval(record.differences["frozen backbone"][figure]), NONE, NONE
    values = [record.pooled[kind][figure] for kind in ("thumbnails", "frozen backbone")]
    thumbnails, frozen = (f"{metric.value:.3f}" for metric in values)
    return format_interval(record.pooled["network"][figure]), thumbnails, frozen


@every_bundle
def test_models_page_gives_each_figure_with_both_baselines(path: Path) -> None:
    rows = read_rows(path)
    assert rows
    for name, told, _, *baselines in rows:
        assert (told, *baselines) == find_figure(path, name)
        assert NONE not in baselines or name.startswith(("rejects.", "crossval."))


@every_bundle
def test_models_page_asks_for_what_the_gate_asks(path: Path) -> None:
    asked = {name: value for name, _, value, *_ in read_rows(path) if value != NONE}
    gate = load_bundle(path).manifest.gate
    assert {name: float(value) for name, value in asked.items()} == {
        name: result.minimum for name, result in gate.items()
    }


def test_models_page_tells_the_cross_validations_as_they_are_recorded() -> None:
    folder = BUNDLES_DIR / "lung-ct"
    shipped = find_record(folder, load_task(find_task("lung-ct")).digest)
    assert shipped is not None
    (weighted,) = (
        record
        for record in map(read_record, folder.glob("crossval-*.json"))
        if record.choices == {"training.balance_power": "1.0"}
    )
    for record in (shipped, weighted):
        network, frozen = record.pooled["network"], record.pooled["frozen backbone"]
        above = record.differences["frozen backbone"]["balanced_accuracy"]
        told = [
            f"macro-AUC is {format_interval(network['macro_auc'])}",
            f"balanced accuracy {network['balanced_accuracy'].value:.3f}",
            f"({above.low:.3f} to {above.high:.3f})",
            f"{network['recall.benign'].value:.3f} of the benign slices",
        ]
        if record is shipped:
            told[-1] = f"the benign slices {network['recall.benign'].value:.3f} are found"
            told += [
                f"({record.images} slices, one seed",
                f"{frozen['balanced_accuracy'].value:.3f} of the frozen backbone",
                f"of the frozen backbone {frozen['recall.benign'].value:.3f}.",
                f"instead of {network['recall.normal'].value:.3f}",
            ]
        assert [words for words in told if words not in PROSE] == []


def test_models_page_tells_the_spread_over_seeds_as_it_was_measured() -> None:
    report = find_task_bundle(BUNDLES_DIR, "brain-mri") / "evaluation.json"
    seeds = json.loads(report.read_text())["seeds"]
    for words, name in (
        ("accuracy", "argmax_accuracy"),
        ("meningioma recall", "argmax_recall.meningioma"),
    ):
        values = seeds[name]
        assert f"{words} {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in PROSE


def count_excluded(task: str) -> int:
    with (TASKS_DIR / "excluded" / f"{task}.csv").open(newline="") as stream:
        return len(list(csv.DictReader(stream)))


def test_models_page_counts_the_images_that_are_left_out() -> None:
    brain, retina, body = map(count_excluded, ("brain-mri", "retina", "body-part"))
    own = body - brain - retina
    assert f"{brain} training and validation images left out" in PROSE
    assert f"{retina} images left out" in PROSE
    assert f"{body} images left out: {own} of its own" in PROSE
    assert f"their {brain} and {retina}" in PROSE
