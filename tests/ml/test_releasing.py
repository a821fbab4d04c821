"""What an export promises: a gate that decides the stage, and a record of each look at the test."""

import dataclasses
import json
import shutil
from pathlib import Path
from statistics import mean, stdev

import pytest

from ml.bundles import load_bundle
from ml.cli import main
from ml.commands.options import BUNDLES_DIR, parse_overrides
from ml.errors import SplitOpened, TaskConfigInvalid
from ml.evaluation.crossval_record import find_record, read_record
from ml.exporting.release import check_gate, judge_gate, list_figures
from ml.manifest import Metric
from ml.openings import check_reopening, read_openings, record_opening
from ml.rejects import RejectScore
from ml.task_config import find_task, load_task
from tests.ml.conftest import TINY

EXPORT = [part for pair in TINY for part in ("--set", pair)]


def _metric(value: float) -> Metric:
    return Metric(value=value, low=value, high=value, images=10)


def test_judge_gate_names_every_figure_and_whether_it_is_met() -> None:
    config = dataclasses.replace(
        load_task(find_task("chest-xray")), gate={"accuracy": 0.9, "macro_auc": 0.8}
    )
    results = judge_gate(config, {"accuracy": 0.9, "macro_auc": 0.79})
    assert {name: result.is_met for name, result in results.items()} == {
        "accuracy": True,
        "macro_auc": False,
    }
    with pytest.raises(TaskConfigInvalid):
        judge_gate(config, {"accuracy": 0.9})


def test_list_figures_has_those_of_the_rejects_and_of_the_cross_validation() -> None:
    score = RejectScore(images=500, refused=0.97, by_kind={}, codes={})
    figures = list_figures({"refused": _metric(0.04)}, score, None)
    assert figures["rejects.refused"] == 0.97
    assert figures["rejects.in_scope_answered"] == pytest.approx(0.96)
    (path,) = (BUNDLES_DIR / "lung-ct").glob("crossval-76a596a49d32.json")
    record = read_record(path)
    figures = list_figures({}, score, record)
    network, frozen = (
        record.pooled[name]["balanced_accuracy"].value for name in ("network", "frozen backbone")
    )
    assert figures["crossval.balanced_accuracy"] == network
    assert figures["crossval.balanced_accuracy.above_frozen"] == pytest.approx(network - frozen)


def test_check_gate_asks_for_the_cross_validation_that_the_gate_names() -> None:
    config = load_task(find_task("lung-ct"))
    with pytest.raises(TaskConfigInvalid, match="crossval --record"):
        check_gate(config, None)
    check_gate(config, find_record(BUNDLES_DIR / "lung-ct", config.digest))
    other = load_task(find_task("lung-ct"), overrides={"training.epochs": 3})
    assert find_record(BUNDLES_DIR / "lung-ct", other.digest) is None


def test_export_refuses_a_second_look_at_a_version_without_a_purpose(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = shutil.copytree(tiny_run / "bundles" / "chest-xray", tmp_path / "chest-xray")
    version = _version()
    before = (task / version / "manifest.json").read_bytes()
    places = ["--data", str(tiny_data), "--run", str(tiny_run / "run"), "--out", str(tmp_path)]
    command = ["export", "chest-xray", *places, *EXPORT, "--replace"]
    assert main(command) == 2
    assert "test_split_opened" in capsys.readouterr().err
    assert [one.purpose for one in read_openings(task)] == ["export"]
    assert (task / version / "manifest.json").read_bytes() == before
    shutil.rmtree(task / version)
    assert main(command) == 2
    assert main([*command, "--purpose", "a wrong word in the card"]) == 0
    purposes = [one.purpose for one in read_openings(task)]
    assert purposes == ["export", "export; a wrong word in the card"]
    card = (task / version / "model_card.md").read_text()
    assert "looked at 2 times " in card
    assert "export; a wrong word in the card" in card


def test_check_reopening_lets_a_cross_validation_come_first(tmp_path: Path) -> None:
    bundle = tmp_path / "1.0.0"
    record_opening(bundle, split="test", purpose="crossval of 5 folds")
    check_reopening(bundle, "")
    record_opening(bundle, split="test", purpose="export")
    with pytest.raises(SplitOpened):
        check_reopening(bundle, " ")
    check_reopening(bundle, "a reason")
    check_reopening(tmp_path / "1.0.1", "")


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


@pytest.mark.parametrize(
    ("override", "named"),
    [("training.seed=8", "config"), ('data.mapping={normal="pneumonia"}', "rows")],
)
def test_export_refuses_a_run_that_is_not_what_the_task_file_describes(
    tiny_run: Path,
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    override: str,
    named: str,
) -> None:
    places = ["--data", str(tiny_data), "--run", str(tiny_run / "run"), "--out", str(tmp_path)]
    assert main(["export", "chest-xray", *places, *EXPORT, "--set", override]) == 2
    found = capsys.readouterr().err
    assert "run_mismatch" in found
    assert named in found
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(("minimum", "stage"), [(0.0, "released"), (1.01, "research")])
def test_export_gives_the_stage_that_the_gate_allows(
    tiny_run: Path,
    tiny_data: Path,
    tmp_path: Path,
    seed_runs: list[Path],
    minimum: float,
    stage: str,
) -> None:
    gate = ["--set", f"gate={{accuracy = {minimum}}}"]
    places = ["--data", str(tiny_data), "--run", str(tiny_run / "run"), "--out", str(tmp_path)]
    seeds = ["--seed-runs", *map(str, seed_runs)]
    assert main(["export", "chest-xray", *places, *EXPORT, *gate, *seeds]) == 0
    bundle = load_bundle(tmp_path / "chest-xray" / _version())
    assert bundle.manifest.stage == stage
    assert bundle.manifest.gate["accuracy"].is_met is (stage == "released")
    card = (bundle.path / "model_card.md").read_text()
    assert f"Stage: {stage}" in card
    purposes = [one.purpose for one in read_openings(bundle.path.parent)]
    assert purposes[0] == "export"
    assert [purpose.split(":")[0] for purpose in purposes[1:]] == [
        "seed run run",
        "seed run seed-8",
    ]
    assert "looked at 3 times " in card
    figures = json.loads((bundle.path / "evaluation.json").read_text())
    spreads = {name: found for name, found in figures["seeds"].items() if found[0] != found[1]}
    assert spreads
    for name, values in spreads.items():
        assert f"| {name} | 2 | {mean(values):.3f} ± {stdev(values):.3f} |" in card


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
