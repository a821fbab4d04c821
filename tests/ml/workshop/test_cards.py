"""The model card, and rendering it again from what a bundle keeps, the test split closed."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.bundles import find_task_bundle, load_bundle
from ml.errors import BundleTampered
from ml.manifest import Manifest, Metric
from ml.workshop.cli import main
from ml.workshop.datasets import Dataset, Example, load_dataset
from ml.workshop.datasets.population import describe_population
from ml.workshop.evaluation.beside import rename_figures, score_baselines
from ml.workshop.exporting import rendering
from ml.workshop.exporting.card_tables import render_population
from ml.workshop.figure_names import name_figures
from ml.workshop.openings import record_opening
from tests.ml.conftest import TINY, load_chest

SETTINGS = [part for pair in TINY for part in ("--set", pair)]
FIGURES = ("evaluation.json", "rejects.json", "predictions.csv", "population.json")


@pytest.fixture
def bundle(tiny_run: Path, tmp_path: Path) -> Path:
    """A bundle of its own, to be changed."""
    shutil.copytree(tiny_run / "bundles" / "chest-xray", tmp_path / "chest-xray")
    return find_task_bundle(tmp_path, "chest-xray")


def render(bundle: Path, *arguments: str) -> int:
    return main(["card", str(bundle), *SETTINGS, *arguments])


def list_figures(manifest: Manifest) -> dict[str, Any]:
    """What of a manifest is neither a word nor follows from the gate."""
    content = dataclasses.asdict(manifest)
    return {
        name: value
        for name, value in content.items()
        if name not in ("limits", "intended_use", "gate", "stage", "files")
    }


def drop_population(bundle: Path) -> None:
    """The bundle as it was before populations were kept."""
    (bundle / "population.json").unlink()
    rendering.seal(load_manifest(bundle), bundle)


def load_manifest(bundle: Path) -> Manifest:
    from ml.manifest import read_manifest

    return read_manifest(bundle)[0]


def test_card_names_the_code_of_each_label_and_whom_the_images_show(bundle: Path) -> None:
    card = (bundle / "model_card.md").read_text()
    assert "| pneumonia | `233604007` | SNOMED CT (SCT) | Pneumonia |" in card
    assert "| tuberculosis | `154283005` |" in card
    population = card.partition("## Population")[2].partition("\n## ")[0]
    assert "18 train, 6 val, 6 test" in population
    assert "| guangzhou | pneumonia | 6 (6) | 2 (2) | 2 (2) |" in population
    assert "Neither age nor sex" in population


def test_describe_population_counts_ages_and_sexes_where_they_are_stated() -> None:
    facts = [{"age": "30", "sex": "female"}, {"age": "50Y", "sex": "male"}, {"age": "", "sex": ""}]
    rows = [
        Example(
            path=Path("nowhere"),
            name=f"{number}",
            label="pneumonia",
            set_label="covid",
            source="hospital",
            group=f"g{number // 2}",
            split="train",
            population="adults",
            facts=stated,
        )
        for number, stated in enumerate(facts)
    ]
    population = describe_population([*rows, dataclasses.replace(rows[0], split="test", facts={})])
    (train,) = population.people
    assert train.ages is not None
    assert (train.ages.images, train.ages.median, train.ages.highest) == (2, 40, 50)
    assert train.sexes == {"female": 1, "male": 1, "not stated": 1}
    shown = render_population(population)
    assert "| hospital | covid, used as pneumonia | adults | 3 (2) | – | 1 (1) |" in shown
    assert "median 40 (30 to 50), stated for 2" in shown


def test_card_command_leaves_every_figure_as_it_is_and_looks_at_no_image(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_opening(bundle, split="test", purpose="somebody looked, later")
    before = {name: (bundle / name).read_bytes() for name in FIGURES}
    figures = list_figures(load_manifest(bundle))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an image was read")

    for place in ("ml.predictor.Predictor.predict", "ml.images.read_frames", "PIL.Image.open"):
        monkeypatch.setattr(place, refuse)
    changed = ["--set", "gate={accuracy = 1.01}", "--set", 'card.limits=["Never on a Monday."]']
    assert render(bundle, *changed) == 0
    assert {name: (bundle / name).read_bytes() for name in FIGURES} == before
    manifest = load_bundle(bundle).manifest
    assert json.dumps(list_figures(manifest)) == json.dumps(figures)
    assert manifest.stage == "research"
    assert manifest.limits == ("Never on a Monday.",)
    card, page = ((bundle / name).read_text() for name in ("model_card.md", "evaluation.html"))
    assert "looked at 2 times" in card
    assert "somebody looked, later" in card
    assert "Stage: research" in card
    for text in (card, page):
        assert "Never on a Monday." in text


def test_card_command_keeps_the_pictures_of_the_report(bundle: Path) -> None:
    before = (bundle / "evaluation.html").read_bytes()
    digest = load_bundle(bundle).digest
    assert render(bundle) == 0
    assert (bundle / "evaluation.html").read_bytes() == before
    assert load_bundle(bundle).digest == digest
    assert b"<svg" in before
    assert b"data:image/webp" in before


def test_card_command_counts_the_population_from_the_tables_when_the_bundle_keeps_none(
    bundle: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (bundle / "population.json").read_bytes()
    drop_population(bundle)
    assert render(bundle) == 2
    assert "give --data" in capsys.readouterr().err
    other = shutil.copytree(tiny_data, tmp_path / "other")
    lines = (other / "chest-xray.csv").read_text().splitlines()
    (other / "chest-xray.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert render(bundle, "--data", str(other)) == 2
    assert "data_invalid" in capsys.readouterr().err
    assert render(bundle, "--data", str(tiny_data)) == 0
    assert (bundle / "population.json").read_bytes() == kept
    load_bundle(bundle)


def test_card_command_refuses_the_task_file_of_another_bundle(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other, told in (
        ('version="9.9.9"', "the task file is of chest-xray 9.9.9"),
        ("training.epochs=2", "[training]) isn't what this bundle was trained with"),
    ):
        assert render(bundle, "--set", other) == 2
        said = capsys.readouterr().err
        assert said.startswith("task_file_of_other: ")
        assert told in said
        assert "Restore" not in said


def test_render_again_refuses_when_a_figure_was_changed(bundle: Path) -> None:
    content = json.loads((bundle / "evaluation.json").read_text())
    content["metrics"]["accuracy"]["value"] = 1.0
    (bundle / "evaluation.json").write_text(json.dumps(content))
    config = load_chest()
    with pytest.raises(BundleTampered):
        rendering.render_again(bundle, config)


@pytest.fixture
def dataset(tiny_data: Path) -> Dataset:
    return load_dataset(tiny_data, load_chest().data)


def test_card_command_scores_the_baselines_for_a_stated_purpose_alone(
    bundle: Path, tiny_data: Path
) -> None:
    with (bundle.parent / "test_openings.csv").open(newline="") as stream:
        before = list(csv.reader(stream))
    (bundle / "baselines.json").unlink()
    rendering.seal(load_manifest(bundle), bundle)
    places = ["--data", str(tiny_data), "--baselines"]
    with pytest.raises(SystemExit, match="--purpose"):
        render(bundle, *places)
    figures = (bundle / "evaluation.json").read_bytes()
    assert render(bundle, *places, "--purpose", "figures that stood alone") == 0
    with (bundle.parent / "test_openings.csv").open(newline="") as stream:
        added = list(csv.reader(stream))[len(before) :]
    assert [row[2] for row in added] == ["baselines alone; figures that stood alone"]
    assert (bundle / "evaluation.json").read_bytes() == figures
    found = json.loads((bundle / "baselines.json").read_text())["thumbnails"]
    card = (bundle / "model_card.md").read_text()
    metrics = load_bundle(bundle).manifest.metrics
    for name in ("guangzhou.pneumonia.auc", "guangzhou.pneumonia.accuracy", "auc.pneumonia"):
        own = metrics[name]
        start = f"| {name} | {own.value:.3f} ({own.low:.3f} to {own.high:.3f}) |"
        assert f"{start} {found[name]:.3f} | – |" in card


def test_score_baselines_has_every_figure_of_the_network_but_refusals(dataset: Dataset) -> None:
    config = load_chest()
    splits = (dataset.of_split(split) for split in ("train", "val", "test"))
    training, validation, testing = splits
    short, full = score_baselines(training, validation, testing, config, frozen_weights=None)
    missing = name_figures(config.data.labels, config.decision) - set(full["thumbnails"])
    names = name_figures(config.data.labels, config.decision)
    answered = {name for name in names if name.startswith(("refused", "answered_", "shown."))}
    assert {name for name in missing if not name.partition("precision")[1]} <= answered
    assert full["thumbnails"]["argmax_accuracy"] == short["thumbnails"]["accuracy"]
    headline = full["thumbnails"]["guangzhou.pneumonia.auc"]
    assert headline == pytest.approx(short["thumbnails"]["headline_auc"])


def test_score_in_full_takes_its_thresholds_from_validation(dataset: Dataset) -> None:
    from ml.workshop.evaluation.baselines import score_in_full

    config = load_chest()
    validation, testing = dataset.of_split("val"), dataset.of_split("test")
    cautious = np.array([[0.5, 0.4, 0.1]] * len(testing))
    # On validation pneumonia never has more than 0.3, so 0.4 is a call.
    known = np.array(
        [[0.6, 0.3, 0.1] if row.label == "pneumonia" else [0.9, 0.05, 0.05] for row in validation]
    )
    figures = score_in_full(cautious, known, validation, testing, config)
    assert figures["recall.pneumonia"] == 1
    assert figures["argmax_recall.pneumonia"] == 0
    assert figures["guangzhou.pneumonia.sensitivity"] == 1
    assert figures["guangzhou.pneumonia.argmax_sensitivity"] == 0


def test_rename_figures_finds_the_headline_that_has_another_name() -> None:
    one = Metric(value=0.9, low=0.8, high=1.0, images=10)
    names = ("accuracy", "argmax_accuracy", "macro_auc", "guangzhou.pneumonia.auc")
    metrics = dict.fromkeys(names, one)
    short = {"accuracy": 0.7, "macro_auc": 0.6, "headline_auc": 0.5, "recall.gout": 0.4}
    assert rename_figures(short, metrics) == {
        "argmax_accuracy": 0.7,
        "macro_auc": 0.6,
        "guangzhou.pneumonia.auc": 0.5,
    }
