"""Images of other places: read apart, never learned from, scored beside the own ones."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.aggregation import Outcome
from ml.bundles import find_task_bundle, load_bundle
from ml.errors import DataInvalid, TaskConfigInvalid
from ml.manifest import Manifest, read_manifest
from ml.workshop.cli import main
from ml.workshop.datasets import Example, load_dataset, load_external
from ml.workshop.datasets.groups import normalise_group
from ml.workshop.evaluation.external import Truth, score_truth
from ml.workshop.evaluation.scoring import Answers, Said
from ml.workshop.exporting.card_external import say_drop
from ml.workshop.openings import read_openings
from ml.workshop.task_config import TaskConfig, load_task
from ml.workshop.task_tables import TASKS_DIR
from tests.ml.conftest import ALONE_SET, TINY, load_chest
from tests.ml.pictures import LABELS, draw_case

pytestmark = pytest.mark.usefixtures("few_rejects")

FULL = ("path", "label", "source", "group", "split")
SETTINGS = [part for pair in TINY for part in ("--set", pair)]
ELSEWHERE = "more/elsewhere.csv"
MAPPING = '{ healthy = "normal", ill = ["pneumonia", "tuberculosis"], odd = "" }'
NOT_COUNTED = "it shows a hand"


def write_table(path: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = FULL) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


def configure(mapping: dict[str, object], **changes: object) -> TaskConfig:
    external = [{"table": ELSEWHERE, "mapping": mapping}]
    return load_chest({"data.external": external, **changes})


def write_own(root: Path, group: str = "10042", split: str = "train") -> None:
    write_table(root / "chest-xray.csv", [("a.png", "normal", "guangzhou", group, split)])


@pytest.mark.parametrize(
    ("drop", "words"), [(0.1524, "0.152 lower"), (-0.03, "0.030 higher"), (-0.0004, "as high")]
)
def test_say_drop_says_lower_of_what_is_lower_alone(drop: float, words: str) -> None:
    assert say_drop(drop) == words


@pytest.mark.parametrize(
    "spelled", ["10042", " 10042 ", "010042", "0010042", "P10042", "p10042", "p 10042"]
)
def test_normalise_group_takes_one_number_for_one_patient(spelled: str) -> None:
    prefix = "p" if "p" in spelled.lower() else ""
    assert normalise_group(spelled) == f"{prefix}10042"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1.2.840.10", "1.2.840.010"),
        ("dicom:00ab12", "dicom:ab12"),
        ("a:7", "b:7"),
        ("10", "100"),
        ("p7", "q7"),
    ],
)
def test_normalise_group_keeps_apart_what_zeros_or_letters_tell_apart(
    first: str, second: str
) -> None:
    assert normalise_group(first) != normalise_group(second)


@pytest.mark.parametrize("spelled", ["10042", " 10042 ", "010042"])
def test_load_dataset_refuses_a_patient_of_another_place_who_was_learned_from(
    tmp_path: Path, spelled: str
) -> None:
    write_own(tmp_path)
    write_table(tmp_path / ELSEWHERE, [("b.png", "well", "porto", spelled, "external-test")])
    with pytest.raises(DataInvalid, match="cross splits"):
        load_dataset(tmp_path, configure({"well": "normal"}).data)
    # A test image's patient may be asked twice: nothing is learned from either.
    write_own(tmp_path, split="test")
    load_dataset(tmp_path, configure({"well": "normal"}).data)


@pytest.mark.parametrize("spelled", [" 10042 ", "010042"])
def test_load_dataset_refuses_a_patient_in_two_splits_however_spelled(
    tmp_path: Path, spelled: str
) -> None:
    rows = [("a.png", "normal", "s", "10042", "train"), ("b.png", "normal", "s", spelled, "test")]
    write_table(tmp_path / "chest-xray.csv", rows)
    with pytest.raises(DataInvalid, match="cross splits"):
        load_dataset(tmp_path, configure({}).data)
    drawn = tmp_path / "drawn"
    columns = FULL[:-1]
    write_table(drawn / "chest-xray.csv", [row[:-1] for row in rows], columns)
    splits = {row.split for row in load_dataset(drawn, configure({}).data).examples}
    assert len(splits) == 1


def test_load_dataset_has_no_row_of_another_place_in_any_split(tmp_path: Path) -> None:
    rows = [
        ("t.png", "pneumonia", "nih", "1", "train"),
        ("v.png", "pneumonia", "nih", "2", "val"),
        ("x.png", "pneumonia", "nih", "3", "test"),
        ("y.png", "pneumonia", "nih", "4", "external-test"),
    ]
    write_own(tmp_path)
    write_table(tmp_path / "chest-xray.csv", [("o.png", "normal", "g", "9", "external-test")])
    write_table(tmp_path / ELSEWHERE, rows)
    extra = {"table": ELSEWHERE, "mapping": {"*": "pneumonia"}, "limit_per_cell": 0}
    changes = {"data.extra": [extra]}
    joined = load_dataset(tmp_path, load_chest(changes).data)
    assert {row.name for row in joined.examples} == {"t.png", "v.png", "x.png"}
    write_table(tmp_path / ELSEWHERE, rows[:3])
    config = configure({"pneumonia": "pneumonia"}, **changes)
    dataset = load_dataset(tmp_path, config.data)
    assert {row.name: row.split for row in dataset.examples} == {"t.png": "train", "v.png": "val"}
    (source,) = load_external(tmp_path, config.data)
    assert [row.name for row in source.examples] == ["x.png"]


def test_load_external_leaves_out_labels_that_are_not_named_and_tables_that_are_not_there(
    tmp_path: Path,
) -> None:
    write_own(tmp_path)
    assert load_external(tmp_path, configure({"well": "normal"}).data) == []
    rows = [
        ("b.png", "well", "porto", "1", "external-test"),
        ("c.png", "gout", "porto", "2", "external-test"),
        ("d.png", "well", "rome", "3", "external-test"),
    ]
    write_table(tmp_path / ELSEWHERE, rows)
    porto, rome = load_external(tmp_path, configure({"well": "normal"}).data)
    assert [row.name for row in porto.examples] == ["b.png"]
    assert (porto.accepted, rome.name) == ({"well": ("normal",)}, "rome")
    with pytest.raises(DataInvalid, match="no row"):
        load_external(tmp_path, configure({"cough": "normal"}).data)


def test_load_external_leaves_out_what_a_list_names_and_learns_nothing_from_it(
    tmp_path: Path,
) -> None:
    rows = [
        ("v.png", "pneumonia", "nih", "2", "val"),
        ("x.png", "pneumonia", "nih", "3", "test"),
        ("y.png", "pneumonia", "nih", "4", "test"),
        ("z.png", "pneumonia", "nih", "5", "test"),
    ]
    write_own(tmp_path)
    write_table(tmp_path / ELSEWHERE, rows)
    lists = {"its own": ["y.png", "v.png"], "the task's": ["z.png"]}
    places = {name: tmp_path / f"{number}.csv" for number, name in enumerate(lists)}
    for name, paths in lists.items():
        write_table(places[name], [(path, f"{name} list") for path in paths], ("path", "reason"))
    external = {"table": ELSEWHERE, "mapping": {"pneumonia": "pneumonia"}}
    extra = {"table": ELSEWHERE, "mapping": {"*": "pneumonia"}, "limit_per_cell": 0}

    def load(task_list: str = "", **table: str) -> TaskConfig:
        overrides = {
            "data.external": [external | table],
            "data.extra": [extra],
            "data.excluded": task_list,
        }
        return load_chest(overrides)

    whole = load()
    listed = load(excluded=str(places["its own"]))
    assert whole.digest == listed.digest
    both = load(str(places["the task's"]), excluded=str(places["its own"]))
    for config, left in ((whole, "xyz"), (listed, "xz"), (both, "x")):
        dataset = load_dataset(tmp_path, config.data)
        (source,) = dataset.external
        assert [row.name for row in source.examples] == [f"{name}.png" for name in left]
        assert len(source.examples) + len(source.left_out) == 3
        assert {row.name for row in dataset.examples} == {"a.png", "v.png"}
    reasons = {row.name: reason for row, reason in source.left_out}
    assert reasons == {"y.png": "its own list", "z.png": "the task's list"}
    assert load_dataset(tmp_path, whole.data).digest == load_dataset(tmp_path, listed.data).digest
    write_table(places["its own"], [(f"{name}.png",) for name in "xyz"], ("path",))
    with pytest.raises(DataInvalid, match="nih"):
        load_external(tmp_path, listed.data)
    with pytest.raises(DataInvalid, match="none.csv"):
        load_external(tmp_path, load(excluded=str(tmp_path / "none.csv")).data)


def test_load_task_refuses_an_external_mapping_to_no_label() -> None:
    with pytest.raises(TaskConfigInvalid, match=r"data\.external"):
        configure({"ill": ["pneumonia", "gout"]})


@pytest.mark.parametrize("path", sorted(TASKS_DIR.glob("*.toml")), ids=lambda path: path.stem)
def test_external_tables_are_no_part_of_what_shapes_a_network(path: Path) -> None:
    config = load_task(path)
    without = load_task(path, overrides={"data.external": [], "gate": {}})
    assert config.digest == without.digest


def make_truth(manifest: Manifest, rows: Sequence[tuple[str, str, str, float]]) -> Truth:
    """`right` (labels with +), `said` (a label, open or refused), confidence, p of pneumonia."""
    labels = manifest.labels
    examples = tuple(
        Example(Path("x"), f"{n}.png", labels[0], right, "porto", f"g{n}", "external-test", "")
        for n, (right, *_) in enumerate(rows)
    )
    shown = np.array([[1 - p - 0.01, p, 0.01] for *_, p in rows])
    answers = Answers(
        examples=examples,
        probabilities=shown,
        given=shown.argmax(axis=1),
        targets=np.zeros(len(rows), np.int64),
        distances=np.zeros(len(rows)),
        refusals=tuple("unlike_training" if said == "refused" else "" for _, said, *_ in rows),
        said=tuple(
            Said(Outcome.FINDING, said if said in labels else None, confidence)
            for _, said, confidence, _ in rows
        ),
    )
    accepted = np.array([[label in right.split("+") for label in labels] for right, *_ in rows])
    return Truth(answers, accepted, manifest)


def test_score_truth_counts_what_is_shown(released_path: Path) -> None:
    manifest, _ = read_manifest(released_path)
    ill, any_ill = "pneumonia", "pneumonia+tuberculosis"
    rows = [
        (ill, "pneumonia", "high", 0.9),
        (ill, "normal", "high", 0.1),
        (ill, "refused", "low", 0.2),
        (any_ill, "tuberculosis", "low", 0.6),
        (any_ill, "open", "low", 0.7),
        (any_ill, "normal", "low", 0.3),
        ("normal", "normal", "high", 0.05),
        ("normal", "pneumonia", "medium", 0.8),
        ("normal", "open", "low", 0.4),
        ("", "refused", "low", 0.5),
        ("", "pneumonia", "high", 0.99),
    ]
    found = score_truth(make_truth(manifest, rows), resamples=20)
    values = {name: metric.value for name, metric in found.items()}
    # Six diseased; five of them answered, of whom two were said to be without, one surely.
    assert values["sensitivity"] == pytest.approx(3 / 5)
    assert values["missed"] == pytest.approx(2 / 6)
    assert values["missed_high"] == pytest.approx(1 / 6)
    # An answer left open clears nobody.
    assert values["specificity"] == pytest.approx(1 / 3)
    # Labels given: seven, of which three are right; a label for what has none is wrong.
    assert values["accuracy"] == pytest.approx(3 / 7)
    assert values["refused"] == pytest.approx(2 / 11)
    assert values["left_open"] == pytest.approx(2 / 11)
    assert values["withheld"] == pytest.approx(1 / 2)
    assert values["recall.pneumonia"] == pytest.approx(1 / 2)
    assert values["called.pneumonia"] == pytest.approx(2 / 5)
    assert values["called.tuberculosis"] == pytest.approx(0)
    assert "recall.tuberculosis" not in values
    assert found["auc.pneumonia"].asked == 3
    assert found["auc"].asked == 3
    assert found["missed"].groups == 6


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The generated set, and beside it nine images of another place and one that mustn't count."""
    root = shutil.copytree(tiny_data, tmp_path / "data")
    rng = np.random.default_rng(99)
    rows = []
    for label, name in zip(LABELS, ("healthy", "ill", "odd"), strict=True):
        for number in range(3):
            path = root / "more" / f"{name}{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(draw_case(label, rng)).save(path)
            rows.append((path.name, name, "porto", f"porto:{name}{number}", "external-test"))
    rows.append(("hand.png", "ill", "porto", "porto:hand", "external-test"))
    write_table(root / ELSEWHERE, rows)
    write_table(root / "wrong.csv", [("hand.png", NOT_COUNTED)], ("path", "reason"))
    return root


def name_elsewhere(root: Path) -> list[str]:
    """The options for the other place, without what mustn't count."""
    entry = f'table = "{ELSEWHERE}", mapping = {MAPPING}, excluded = "{root / "wrong.csv"}"'
    return ["--set", f"data.external=[{{ {entry} }}]"]


def test_export_scores_other_places_last_and_says_the_drop_first(
    tiny_run: Path, data: Path, tmp_path: Path
) -> None:
    places = ["--data", str(data), "--run", str(tiny_run / "run"), "--out", str(tmp_path / "b")]
    gate = ["--set", "gate={accuracy = 0.0, 'external.porto.missed' = 0.9}"]
    assert main(["export", "chest-xray", *places, *SETTINGS, *name_elsewhere(data), *gate]) == 0
    bundle = load_bundle(find_task_bundle(tmp_path / "b", "chest-xray"))
    porto = bundle.manifest.external["porto"]
    assert (porto.images, porto.groups, porto.is_learned) == (9, 9, False)
    assert {label: sum(said.values()) for label, said in porto.said.items()} == {
        "healthy": 3,
        "ill": 3,
        "odd": 3,
    }
    assert set(porto.drops) <= set(porto.metrics)
    assert porto.own["refused"].images == 6
    report = json.loads((bundle.path / "evaluation.json").read_text())
    assert report["external"]["porto"] == json.loads(
        json.dumps(dataclasses.asdict(porto), default=list)
    )
    result = bundle.manifest.gate["external.porto.missed"]
    assert result.is_most
    assert not result.is_met
    assert "3 images behind it" in result.reason
    card = (bundle.path / "model_card.md").read_text()
    assert card.index("## On images of other places") < card.index("## Figures on the test split")
    section = card.partition("## On images of other places")[2].partition("\n## ")[0]
    assert section.strip().startswith(
        "- **porto** (9 images of 9 groups; 1 more left out by name):"
    )
    assert porto.left_out == {NOT_COUNTED: 1}
    assert f"Left out by name, in no figure: 1: {NOT_COUNTED}." in section
    assert say_drop(porto.drops["auc"].value) in section.splitlines()[2]
    page = (bundle.path / "evaluation.html").read_text()
    assert page.index('<h2 id="external">') < page.index('<h2 id="labels">')
    assert "<h3>porto</h3>" in page
    assert f"Left out by name, in no figure: 1: {NOT_COUNTED}." in page
    with (bundle.path / "external_predictions.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 9
    assert sum(line["refusal"] != "" for line in lines) == sum(porto.refusals.values())
    purposes = [one.purpose for one in read_openings(bundle.path.parent)]
    assert purposes == ["export", "external porto: export"]
    assert "Images of other places were looked at 1 time " in card


def test_evaluate_scores_a_table_of_another_place_for_a_stated_purpose_alone(
    tiny_run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = shutil.copytree(tiny_run / "bundles" / "chest-xray", tmp_path / "chest-xray")
    bundle = find_task_bundle(tmp_path, "chest-xray")
    rows = [(f"{n}.png", "normal", "rome", f"rome:{n}", "external-test") for n in range(2)]
    rng = np.random.default_rng(5)
    for name, *_ in rows:
        Image.fromarray(draw_case("normal", rng)).save(data / "more" / name)
    write_table(data / "more" / "rome.csv", rows)
    places = ["--bundle", str(bundle), "--data", str(data), "--out", str(tmp_path / "out")]
    command = ["evaluate", *places, *ALONE_SET, "--split", "val", "--no-robustness"]
    with pytest.raises(SystemExit, match="--purpose"):
        main([*command, "--external", "more/rome.csv"])
    before = len(read_openings(task))
    assert main([*command, "--external", "more/rome.csv", "--purpose", "a look"]) == 0
    assert "external.rome.specificity" in capsys.readouterr().out
    added = [one.purpose for one in read_openings(task)[before:]]
    assert added == ["external rome: a look"]
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert set(report["external"]) == {"rome"}
    assert main([*command, "--external", "more/none.csv", "--purpose", "a look"]) == 2
    assert "data_invalid" in capsys.readouterr().err


def test_card_says_own_source_only_when_no_other_place_was_scored(tiny_run: Path) -> None:
    bundle = find_task_bundle(tiny_run / "bundles", "chest-xray")
    card = (bundle / "model_card.md").read_text()
    section = card.partition("## On images of other places")[2].partition("\n## ")[0]
    assert section.strip().startswith("**Own source only.**")
    assert "more/chest-xray--cohen.csv" in section
