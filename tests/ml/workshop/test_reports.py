"""The checklist, the page of an evaluation, and the command that writes it."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundles import find_task_bundle
from ml.workshop.cli import main
from ml.workshop.commands.options import parse_overrides
from ml.workshop.datasets import load_dataset
from ml.workshop.evaluation.checklist import ReportFacts, fill_checklist
from ml.workshop.evaluation.page import format_percent
from ml.workshop.evaluation.robustness import CHANGES
from ml.workshop.openings import read_openings
from tests.ml.conftest import ALONE_SET, TINY, load_chest

pytestmark = pytest.mark.usefixtures("few_rejects")


def test_fill_checklist_answers_each_item_honestly() -> None:
    plain = ReportFacts(
        has_demographics=False, has_robustness=False, has_seeds=False, is_test_split=True
    )
    items = fill_checklist(plain)
    assert [item.number for item in items] == list(range(1, 45))
    status = {item.number: item.status for item in items}
    assert status[30] == status[33] == status[36] == "not done"
    richer = fill_checklist(replace(plain, has_robustness=True, is_test_split=False))
    changed = [new.number for new, old in zip(richer, items, strict=True) if new != old]
    assert changed == [30, 32]


def test_fill_checklist_tells_an_average_from_one_network() -> None:
    facts = ReportFacts(
        has_demographics=True, has_robustness=True, has_seeds=True, is_test_split=True
    )
    single = {item.number: item for item in fill_checklist(facts)}
    average = {item.number: item for item in fill_checklist(replace(facts, averaged=3))}
    assert (single[27].status, single[27].where) == ("not applicable", "One network")
    assert average[27].status == "yes"
    assert "3 trainings" in average[27].where


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "50.0"), (0.0004, "0.04"), (0.99951, "99.95"), (1.0, "100.0")]
)
def test_format_percent_keeps_certainty_for_the_certain(value: float, text: str) -> None:
    assert format_percent(value) == f"{text}\u00a0%"


@pytest.fixture(scope="module")
def arguments(tiny_run: Path, tiny_data: Path, seed_runs: list[Path]) -> list[str]:
    """A look at validation, with two trainings."""
    bundle = find_task_bundle(tiny_run / "bundles", "chest-xray")
    return [
        *("evaluate", "--bundle", str(bundle), "--data", str(tiny_data), "--split", "val"),
        *ALONE_SET,
        *("--seed-runs", *map(str, seed_runs)),
    ]


@pytest.fixture(scope="module")
def report(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole report on the validation split, with seeds."""
    folder = tmp_path_factory.mktemp("report")
    assert main([*arguments, "--out", str(folder)]) == 0
    return folder


def test_evaluate_command_writes_a_page_that_needs_nothing_else(report: Path) -> None:
    page = (report / "evaluation.html").read_text()
    assert len(page) < 1_200_000
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    for words in ("<td>2</td>", "validation split took part", "CLAIM checklist", "Net benefit"):
        assert words in page
    targets = set(re.findall(r'href="#([\w-]+)"', page))
    assert targets <= set(re.findall(r'id="([\w-]+)"', page))
    assert len(re.findall(r' id="([^"]+)"', page)) == len(set(re.findall(r' id="([^"]+)"', page)))


def test_evaluate_command_shows_every_wrong_answer_as_a_pair_of_pictures(report: Path) -> None:
    page = (report / "evaluation.html").read_text()
    figures = json.loads((report / "evaluation.json").read_text())
    matrix = np.array(figures["confusion"]["at_thresholds"])
    wrong = int(matrix.sum() - matrix.trace())
    pictures = re.findall(r"data:image/webp;base64,([\w+/=]+)", page)
    assert len(pictures) == 2 * wrong
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert max(image.size) == 128


def test_evaluate_command_writes_every_part_of_the_figures(report: Path) -> None:
    figures = json.loads((report / "evaluation.json").read_text())
    assert figures["images"] == figures["groups"] == 6
    assert len(figures["robustness"]) == sum(1 + len(one.strengths) for one in CHANGES)
    assert figures["operating"].keys() == {"pneumonia", "tuberculosis"}
    for name in ("argmax_accuracy", "argmax_recall.pneumonia"):
        assert figures["seeds"][name][0] == pytest.approx(figures["metrics"][name]["value"])
    spreads = [values for values in figures["seeds"].values() if values[0] != values[1]]
    assert spreads
    page = (report / "evaluation.html").read_text()
    for values in spreads:
        assert f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in page
    assert {"brier", "auc.normal", "argmax_recall.pneumonia"} <= figures["metrics"].keys()


def test_evaluate_command_gives_the_same_page_twice(
    report: Path, arguments: list[str], tmp_path: Path
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    for name in ("evaluation.html", "evaluation.json", "confusion.png", "roc.png"):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes()


def test_evaluate_command_records_each_look_at_the_test_split(
    tiny_run: Path, tiny_data: Path, seed_runs: list[Path], tmp_path: Path
) -> None:
    task = shutil.copytree(tiny_run / "bundles" / "chest-xray", tmp_path / "chest-xray")
    before = len(read_openings(task))
    out = tmp_path / "out"
    arguments = [
        "evaluate",
        "--bundle",
        str(find_task_bundle(tmp_path, "chest-xray")),
        "--data",
        str(tiny_data),
    ]
    arguments += ["--out", str(out), "--no-robustness", *ALONE_SET]
    assert main([*arguments, "--split", "val"]) == 0
    assert len(read_openings(task)) == before
    with pytest.raises(SystemExit, match="--purpose"):
        main([*arguments, "--split", "test"])
    looks = ["--split", "test", "--purpose", "an audit", "--seed-runs", str(seed_runs[1])]
    assert main([*arguments, *looks]) == 0
    purposes = [one.purpose for one in read_openings(task)[before:]]
    assert purposes[0] == "an audit"
    assert [purpose.split(":")[0] for purpose in purposes[1:]] == ["seed run seed-8"]
    assert "Left out of this run" in (out / "evaluation.html").read_text()


def test_score_runs_leaves_out_the_recall_of_a_label_that_no_example_has(
    tiny_data: Path, seed_runs: list[Path]
) -> None:
    from ml.workshop.evaluation.seeds import score_runs

    overrides = parse_overrides(TINY)
    config = load_chest(overrides)
    examples = load_dataset(tiny_data, config.data).of_split("val")
    without = [row for row in examples if row.label != "tuberculosis"]
    missing = {"argmax_recall.tuberculosis"}
    figures = score_runs(seed_runs, without, config)
    assert figures.keys() == score_runs(seed_runs, examples, config).keys() - missing
    assert all(len(values) == len(seed_runs) for values in figures.values())


def test_evaluate_command_scores_the_rejects_as_the_export_did(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_run / "bundles" / "chest-xray", tmp_path / "chest-xray")
    bundle = find_task_bundle(tmp_path, "chest-xray")
    out = tmp_path / "out"
    command = ["evaluate", "--bundle", str(bundle), "--data", str(tiny_data), *ALONE_SET]
    command += ["--out", str(out)]
    command += ["--no-robustness", "--purpose", "the same again"]
    assert main([*command, "--no-rejects"]) == 0
    assert not (out / "rejects.json").exists()
    assert main(command) == 0
    for name in ("rejects.json", "evaluation.json", "baselines.json", "predictions.csv"):
        again = (out / name).read_bytes()
        if name == "evaluation.json":
            again, kept = (
                json.dumps({**json.loads(found), "robustness": [], "external_absent": []}).encode()
                for found in (again, (bundle / name).read_bytes())
            )
            assert again == kept
        else:
            assert again == (bundle / name).read_bytes()


def test_evaluate_command_refuses_a_run_without_a_network(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "checkpoint_invalid" in capsys.readouterr().err
