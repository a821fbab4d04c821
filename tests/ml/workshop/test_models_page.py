"""docs/models.md tells nothing but what is committed: manifests, baselines, records, exclusions."""

import csv
import re
from pathlib import Path

import pytest

from ml.bundles import find_bundles, load_bundle
from ml.workshop.commands.options import BUNDLES_DIR
from ml.workshop.evaluation.crossval_record import find_record, read_record
from ml.workshop.exporting.card_tables import format_interval
from ml.workshop.task_config import find_task, load_task
from ml.workshop.task_tables import TASKS_DIR
from tests.ml.workshop import models_table
from tests.ml.workshop.models_table import NONE, find_figure

PAGE = models_table.PAGE.read_text()
# Paragraphs are wrapped; a figure may stand at a line's end.
PROSE = " ".join(PAGE.split())

every_bundle = pytest.mark.parametrize(
    "path", find_bundles(BUNDLES_DIR), ids=lambda path: f"{path.parent.name}-{path.name}"
)


def read_rows(path: Path) -> list[list[str]]:
    """The cells of a bundle's lines: figure, value, asked, thumbnails, frozen backbone."""
    manifest = load_bundle(path).manifest
    start = f"| {manifest.task} {manifest.version} | {manifest.stage} | "
    lines = [line for line in PAGE.splitlines() if line.startswith(start)]
    return [[cell.strip(" `") for cell in line.split("|")[3:-1]] for line in lines]


def test_models_page_tells_figures_of_what_ships_alone() -> None:
    told = set(re.findall(r"^\| (\S+) (\d\S+) \| (\w+) \| `", PAGE, re.MULTILINE))
    manifests = [load_bundle(path).manifest for path in find_bundles(BUNDLES_DIR)]
    assert told == {(one.task, one.version, one.stage) for one in manifests}


@every_bundle
def test_models_page_gives_each_figure_with_both_baselines(path: Path) -> None:
    rows = read_rows(path)
    assert rows
    for name, told, _, *baselines in rows:
        assert (told, *baselines) == find_figure(path, name)
        is_own = name in load_bundle(path).manifest.metrics
        assert NONE not in baselines or not is_own or "refused" in name


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


def count_excluded(task: str, part: str = "") -> int:
    """The images that a task's list leaves out: all, or those of one folder of the data."""
    with (TASKS_DIR / "excluded" / f"{task}.csv").open(newline="") as stream:
        return sum(row["path"].startswith(part) for row in csv.DictReader(stream))


def test_models_page_counts_the_images_that_are_left_out() -> None:
    brain, retina, body = map(count_excluded, ("brain-mri", "retina", "body-part"))
    # Its list is that of its training, when brain-mri's was shorter.
    own, taken = (count_excluded("body-part", part) for part in ("body-part/", "brain-mri/"))
    assert f"{brain} images left out (`ml/tasks/excluded/brain-mri.csv`)" in PROSE
    assert f"{retina} images left out" in PROSE
    assert f"{body} images left out: {own} of its own" in PROSE
    assert f"their {taken} and {retina}" in PROSE
