"""What an export promises: a gate that decides the stage, and a record of each look at the test."""

import dataclasses
import re
from pathlib import Path

import pytest

from ml.bundles import load_bundle
from ml.cli import main
from ml.commands.options import parse_overrides
from ml.errors import TaskConfigInvalid
from ml.exporting.bundle import judge_gate
from ml.manifest import Metric
from ml.openings import read_openings, record_opening
from ml.task_config import find_task, load_task
from tests.ml.conftest import TINY

EXPORT = [part for pair in TINY for part in ("--set", pair)]


def _metric(value: float) -> Metric:
    return Metric(value=value, low=value, high=value, images=10)


def test_judge_gate_names_every_figure_and_whether_it_is_met() -> None:
    config = dataclasses.replace(
        load_task(find_task("chest-xray")), gate={"accuracy": 0.9, "macro_auc": 0.8}
    )
    results = judge_gate(config, {"accuracy": _metric(0.9), "macro_auc": _metric(0.79)})
    assert {name: result.is_met for name, result in results.items()} == {
        "accuracy": True,
        "macro_auc": False,
    }
    with pytest.raises(TaskConfigInvalid):
        judge_gate(config, {"accuracy": _metric(0.9)})


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("gate={acuracy = 0.5}", "task_config_invalid"),
        ('model.backbone="cnn5-64"', "backbone_not_exportable"),
    ],
)
def test_export_refuses_what_can_never_be_a_bundle_before_it_opens_the_test_split(
    tiny_run: Path,
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    override: str,
    code: str,
) -> None:
    places = ["--data", str(tiny_data), "--run", str(tiny_run / "run"), "--out", str(tmp_path)]
    size = ["--set", "input.size=64"]
    assert main(["export", "chest-xray", *places, *EXPORT, *size, "--set", override]) == 2
    assert code in capsys.readouterr().err
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(("minimum", "stage"), [(0.0, "released"), (1.01, "research")])
def test_export_gives_the_stage_that_the_gate_allows(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, minimum: float, stage: str
) -> None:
    gate = ["--set", f"gate={{accuracy = {minimum}}}"]
    places = ["--data", str(tiny_data), "--run", str(tiny_run / "run"), "--out", str(tmp_path)]
    seeds = ["--seed-runs", str(tiny_run / "run"), str(tiny_run / "run")]
    assert main(["export", "chest-xray", *places, *EXPORT, *gate, *seeds]) == 0
    bundle = load_bundle(tmp_path / "chest-xray" / _version())
    assert bundle.manifest.stage == stage
    assert bundle.manifest.gate["accuracy"].is_met is (stage == "released")
    card = (bundle.path / "model_card.md").read_text()
    assert f"Stage: {stage}" in card
    assert "looked at 1 time " in card
    own = bundle.manifest.metrics["argmax_accuracy"].value
    assert re.search(rf"\| accuracy \| [\d.]+ \| – \| {own:.3f} \|", card)
    assert f"| argmax_accuracy | 2 | {own:.3f} ± 0.000 |" in card


def test_record_opening_notes_the_test_split_alone(tmp_path: Path) -> None:
    record_opening(tmp_path / "1.0.0", split="val", purpose="a look at validation")
    assert read_openings(tmp_path) == []
    record_opening(tmp_path / "1.0.0", split="test", purpose="export")
    record_opening(tmp_path / "1.0.0", split="test", purpose="a second look, in detail")
    assert [(one.version, one.purpose) for one in read_openings(tmp_path)] == [
        ("1.0.0", "export"),
        ("1.0.0", "a second look, in detail"),
    ]


def _version() -> str:
    return load_task(find_task("chest-xray"), overrides=parse_overrides(TINY)).version
