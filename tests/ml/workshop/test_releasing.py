"""What an export promises: a gate that decides the stage, and a record of each look at the test."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest

from ml.bundles import load_bundle
from ml.errors import SplitOpened, TaskConfigInvalid
from ml.manifest import GateResult, Metric
from ml.workshop.cli import main
from ml.workshop.commands.options import BUNDLES_DIR, parse_overrides
from ml.workshop.evaluation.crossval_record import find_record, read_record
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.evaluation.scoring import score_plainly
from ml.workshop.exporting.release_gate import Scored, check_gate, judge_gate, list_figures
from ml.workshop.figure_names import SHOWN, name_figures
from ml.workshop.openings import check_reopening, read_openings, record_opening
from ml.workshop.rejects import RejectScore
from ml.workshop.task_config import find_task, load_task
from tests.ml.conftest import TINY, load_chest

pytestmark = pytest.mark.usefixtures("few_rejects")

EXPORT = [part for pair in TINY for part in ("--set", pair)]
FEW = ["--set", "release={min_images = 1, min_groups = 1}"]


CHEST = load_chest()


def _metric(value: float, *, spread: float = 0.0, asked: int = 100, groups: int = 50) -> Metric:
    return Metric(value, value - spread, value + spread, images=100, asked=asked, groups=groups)


def _judge(gate: dict[str, float], figures: dict[str, Metric]) -> dict[str, GateResult]:
    return judge_gate(dataclasses.replace(CHEST, gate=gate), figures)


def test_judge_gate_names_every_figure_and_whether_it_is_met() -> None:
    figures = {"accuracy": _metric(0.9), "macro_auc": _metric(0.79)}
    results = _judge({"accuracy": 0.9, "macro_auc": 0.8, "recall.normal": 0.1}, figures)
    assert {name: result.is_met for name, result in results.items()} == {
        "accuracy": True,
        "macro_auc": False,
        "recall.normal": False,
    }
    assert results["recall.normal"].reason == "not measured"


def test_judge_gate_takes_the_end_of_the_interval_that_speaks_against_the_bundle() -> None:
    figures = {name: _metric(0.9, spread=0.05) for name in ("accuracy", "refused")}
    gate = {"accuracy": 0.86, "refused": 0.94}
    results = _judge(gate, figures)
    assert not results["accuracy"].is_met
    assert "interval" in results["accuracy"].reason
    assert results["accuracy"].bound == pytest.approx(0.85)
    assert results["refused"].is_most
    assert not results["refused"].is_met
    assert results["refused"].bound == pytest.approx(0.95)
    met = _judge({"accuracy": 0.849, "refused": 0.951}, figures)
    assert all(result.is_met for result in met.values())


@pytest.mark.parametrize(("asked", "groups"), [(19, 19), (100, 19), (0, 0)])
def test_judge_gate_refuses_a_figure_that_rests_on_too_little(asked: int, groups: int) -> None:
    figures = {"accuracy": _metric(1.0, asked=asked, groups=groups)}
    found = _judge({"accuracy": 0.5}, figures)["accuracy"]
    assert not found.is_met
    assert "behind it" in found.reason
    enough = _judge({"accuracy": 0.5}, {"accuracy": _metric(1.0, asked=20, groups=20)})
    assert enough["accuracy"].is_met


def _score(**parts: Any) -> Scored:
    evaluation = Evaluation(
        split="test",
        images=100,
        groups=50,
        metrics={"refused": _metric(0.04), "accuracy": _metric(0.9, spread=0.1)},
        baseline={},
        by_source={},
        refusals={},
    )
    strangers = RejectScore(images=500, refused=0.97, by_kind={}, codes={})
    whole = {"evaluation": evaluation, "baselines": {}, "strangers": strangers, "crossval": None}
    return Scored(("normal", "pneumonia"), **(whole | parts))


def test_list_figures_has_those_of_the_rejects_and_of_the_cross_validation() -> None:
    figures = list_figures(_score())
    assert figures["rejects.refused"].value == 0.97
    assert figures["rejects.refused"].low == pytest.approx(0.951, abs=1e-3)
    assert figures["rejects.in_scope_answered"].value == pytest.approx(0.96)
    (path,) = (BUNDLES_DIR / "lung-ct").glob("crossval-76a596a49d32.json")
    record = read_record(path)
    figures = list_figures(_score(crossval=record))
    network, frozen = (
        record.pooled[name]["balanced_accuracy"].value for name in ("network", "frozen backbone")
    )
    assert figures["crossval.balanced_accuracy"].value == network
    above = figures["crossval.balanced_accuracy.above_frozen"]
    assert above.value == pytest.approx(network - frozen)
    assert above.groups == record.groups


def test_list_figures_measures_the_margin_over_the_thumbnails() -> None:
    figures = list_figures(_score(baselines={"thumbnails": {"accuracy": 0.85}}))
    margin = figures["accuracy.above_thumbnails"]
    assert (margin.value, margin.low) == (pytest.approx(0.05), pytest.approx(-0.05))
    assert "accuracy.above_frozen" not in figures


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("accuracy", True),
        ("guangzhou.pneumonia.auc", True),
        ("guangzhou.pneumonia.argmax_accuracy", True),
        ("hospital.pneumonia.auc", False),
        ("recall.gout", False),
        ("recall.pneumonia.above_thumbnails", True),
        ("refused.by_label.tuberculosis", True),
        ("external.cohen.sensitivity", True),
        ("external.a place.called.tuberculosis", True),
        ("external.cohen.recall.gout", False),
        ("external.cohen", False),
        ("rejects.refused", True),
        ("rejects.rotated_180.by_label.normal", True),
        ("rejects.rotated_180.by_label.gout", False),
        ("robustness.blur.2.normal_recall_or_refused", True),
        ("robustness.blur", False),
        ("crossval.macro_auc", True),
        ("crossval.auc.normal", False),
    ],
)
def test_load_task_knows_the_names_of_a_gate_before_anything_is_scored(
    name: str, is_known: bool
) -> None:
    gate = {"gate": {name: 0.5, "accuracy": 0.5}}
    if is_known:
        assert name in load_chest(gate).gate
    else:
        with pytest.raises(TaskConfigInvalid, match=f"no figure {re.escape(name)}"):
            load_chest(gate)


def test_load_task_refuses_a_gate_of_the_likeliest_label_alone() -> None:
    gate = {"gate": {"argmax_accuracy": 0.9, "macro_auc": 0.9}}
    with pytest.raises(TaskConfigInvalid, match="such as accuracy"):
        load_chest(gate | {"gate": {"argmax_accuracy": 0.9}})
    load_chest(gate | {"gate": {"accuracy": 0.9}})


def test_load_task_refuses_external_figures_without_an_external_table() -> None:
    overrides = {"data.external": [], "gate": {"external.ph2.auc": 0.5}}
    with pytest.raises(TaskConfigInvalid, match="external.ph2.auc"):
        load_chest(overrides)


def test_name_figures_names_what_is_scored() -> None:
    labels, decision = CHEST.data.labels, CHEST.decision
    count = len(labels)
    scored = set(score_plainly(np.eye(count), np.arange(count), labels))
    headline = {name for name in name_figures(labels, decision) if name.startswith("guangzhou.")}
    assert name_figures(labels, decision) - headline == scored | set(SHOWN)
    assert len(headline) == 7


def test_check_gate_refuses_a_change_that_no_image_is_spoilt_by() -> None:
    config = dataclasses.replace(CHEST, gate={"robustness.rain.2.accuracy": 0.5, "accuracy": 0.5})
    with pytest.raises(TaskConfigInvalid, match="rain"):
        check_gate(config, None)


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
    gate = ["--set", f"gate={{accuracy = {minimum}}}", *FEW]
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


def test_export_calls_a_toy_network_research_however_right_it_is(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Six test images: whatever they say, they can't release anything."""
    gate = ["--set", "gate={accuracy = 0.0, macro_auc = 0.0}"]
    places = ["--data", str(tiny_data), "--run", str(tiny_run / "run"), "--out", str(tmp_path)]
    assert main(["export", "chest-xray", *places, *EXPORT, *gate]) == 0
    bundle = load_bundle(tmp_path / "chest-xray" / _version())
    assert bundle.manifest.stage == "research"
    assert "behind it" in (bundle.path / "model_card.md").read_text()


def test_manifest_of_before_keeps_its_gate_readable(released_path: Path) -> None:
    manifest = load_bundle(released_path).manifest
    assert manifest.gate
    assert {result.bound for result in manifest.gate.values()} == {None}
    assert manifest.external == {}


def _version() -> str:
    return load_chest(parse_overrides(TINY)).version
