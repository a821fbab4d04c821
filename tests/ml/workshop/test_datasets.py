"""Labelled images wherever they lie: tables, joined tables, folders of classes, DICOM files."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.errors import DataInvalid, TaskConfigInvalid
from ml.workshop.datasets import Dataset, load_dataset
from ml.workshop.task_config import DataConfig, find_task, load_task
from tests.ml.conftest import load_chest
from tests.ml.pictures import LABELS, draw_case, make_dicom

CONFIG = load_chest().data
FULL = ("path", "label", "source", "group", "split")


def configure(**changes: object) -> DataConfig:
    return dataclasses.replace(CONFIG, extra=(), limit_per_label=0, **changes)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


def write_classes(root: Path, count: int, *, split: str = "") -> Path:
    """Different pictures of every label in folders named after it."""
    rng = np.random.default_rng(len(split))
    for label in LABELS:
        folder = root / split / label
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(draw_case(label, rng, side=24)).save(folder / f"{number}.png")
    return root


def write_scan(path: Path, seed: int, **fields: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 255, (24, 24)).astype(np.uint8)
    path.write_bytes(make_dicom(levels, **fields))
    return path


def count_splits(dataset: Dataset, label: str) -> dict[str, int]:
    return dict(Counter(row.split for row in dataset.examples if row.label == label))


def test_load_dataset_keeps_the_other_columns_as_facts(tmp_path: Path) -> None:
    row = ("a.png", "normal", "s", "s:1", "train", "70.0", "female", "adults")
    write_table(tmp_path / CONFIG.table, (*FULL, "age", "sex", "population"), [row])
    dataset = load_dataset(tmp_path, configure())
    (example,) = dataset.examples
    assert example.facts == {"age": "70.0", "sex": "female", "population": "adults"}
    assert example.population == "adults"
    assert CONFIG.table in dataset.origin


def test_load_dataset_reads_a_table_given_by_its_path(tmp_path: Path) -> None:
    table = write_table(tmp_path / "mine.csv", FULL, [("a.png", "normal", "s", "1", "train")])
    (example,) = load_dataset(table, configure()).examples
    assert example.path == tmp_path / "a.png"


def test_load_dataset_joins_tables_by_their_own_mappings(tmp_path: Path) -> None:
    rows = [(f"{n}.png", "normal", "s", f"s:{n}", "train") for n in range(3)]
    write_table(tmp_path / CONFIG.table, FULL, rows)
    write_table(
        tmp_path / "more.csv",
        FULL,
        [(f"m{n}.png", "normal", "m", f"m:{n}", "train") for n in range(5)]
        + [(f"x{n}.png", "abscess", "m", f"x:{n}", "val") for n in range(5)]
        + [("t.png", "tuberculosis", "m", "t:1", "train")],
    )
    extra = {"table": "more.csv", "mapping": {"*": "pneumonia"}, "limit_per_cell": 2}
    path = find_task("chest-xray")
    joined = load_dataset(tmp_path, load_task(path, overrides={"data.extra": [extra]}).data)
    assert Counter((row.label, row.set_label, row.split) for row in joined.examples) == {
        ("normal", "normal", "train"): 3,
        ("pneumonia", "normal", "train"): 2,
        ("pneumonia", "abscess", "val"): 2,
        ("pneumonia", "tuberculosis", "train"): 1,
    }
    extra["mapping"] = {"tuberculosis": "tuberculosis"}
    named = load_dataset(tmp_path, load_task(path, overrides={"data.extra": [extra]}).data)
    assert [row.name for row in named.examples] == ["0.png", "1.png", "2.png", "t.png"]
    assert joined.digest == named.digest
    assert joined.digest != load_dataset(tmp_path, configure()).digest


def test_load_dataset_finds_a_joined_table_beside_the_data_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, working = tmp_path / "data", tmp_path / "working"
    for folder in (data, working / "var"):
        folder.mkdir(parents=True)
    write_table(data / CONFIG.table, FULL, [("0.png", "normal", "s", "s:0", "train")])
    write_table(working / "var" / "more.csv", FULL, [("1.png", "odd", "m", "m:1", "train")])
    monkeypatch.chdir(working)
    extra = {"table": "var/more.csv", "mapping": {"*": "pneumonia"}, "limit_per_cell": 0}
    config = load_chest({"data.extra": [extra]}).data
    found = {row.name: row.path.parent for row in load_dataset(data, config).examples}
    assert found == {"0.png": data, "1.png": Path("var")}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataInvalid, match="more.csv"):
        load_dataset(data, config)


def test_load_dataset_takes_the_same_images_when_labels_are_limited(tmp_path: Path) -> None:
    rows = [
        (f"{label}{n}.png", label, "s", f"{label}:{n}", split)
        for label in LABELS
        for n, split in enumerate(["train"] * 8 + ["val"] * 2)
    ]
    limited = dataclasses.replace(configure(), limit_per_label=3)
    write_table(tmp_path / CONFIG.table, FULL, rows)
    first = load_dataset(tmp_path, limited)
    assert all(count_splits(first, label) == {"train": 3, "val": 2} for label in LABELS)
    write_table(tmp_path / CONFIG.table, FULL, rows[::-1])
    again = load_dataset(tmp_path, limited)
    assert {row.name for row in again.examples} == {row.name for row in first.examples}


def test_load_task_refuses_an_extra_table_that_leads_nowhere() -> None:
    extra = {"table": "more.csv", "mapping": {"*": "fracture"}, "limit_per_cell": 0}
    with pytest.raises(TaskConfigInvalid, match="must be of the labels"):
        load_chest({"data.extra": [extra]})


def test_load_dataset_draws_splits_by_group_when_folders_have_none(tmp_path: Path) -> None:
    write_classes(tmp_path, 20)
    for number in range(12):
        # The same picture again belongs to the group of the first.
        copy = tmp_path / "normal" / f"copy-{number}.png"
        copy.write_bytes((tmp_path / "normal" / f"{number}.png").read_bytes())
    (tmp_path / "normal" / "Thumbs.db").write_bytes(b"not an image")
    dataset = load_dataset(tmp_path, configure(table=""))
    assert count_splits(dataset, "pneumonia") == {"train": 14, "val": 3, "test": 3}
    assert sum(count_splits(dataset, "normal").values()) == 32
    splits = {row.name: row.split for row in dataset.examples}
    assert all(splits[f"normal/copy-{n}.png"] == splits[f"normal/{n}.png"] for n in range(12))
    assert "train, val, test drawn by group" in dataset.origin
    assert load_dataset(tmp_path, configure(table="")) == dataset


def test_load_dataset_keeps_the_splits_that_are_folders(tmp_path: Path) -> None:
    write_classes(tmp_path, 10, split="train")
    write_classes(tmp_path, 3, split="test")
    dataset = load_dataset(tmp_path, configure())
    assert count_splits(dataset, "normal") == {"train": 8, "val": 2, "test": 3}
    assert {row.name.split("/")[0] for row in dataset.of_split("val")} == {"train"}
    before = dataset.digest
    moved = tmp_path / "test" / "normal" / "0.png"
    moved.rename(tmp_path / "train" / "normal" / "moved.png")
    assert load_dataset(tmp_path, configure()).digest != before


def test_load_dataset_refuses_when_the_same_picture_is_in_two_splits(tmp_path: Path) -> None:
    write_classes(tmp_path, 4, split="train")
    write_classes(tmp_path, 2, split="test")
    picture = (tmp_path / "train" / "normal" / "0.png").read_bytes()
    (tmp_path / "test" / "normal" / "again.png").write_bytes(picture)
    with pytest.raises(DataInvalid, match="again.png"):
        load_dataset(tmp_path, configure())


@pytest.mark.parametrize("kept", [None, "birds"])
def test_load_dataset_refuses_when_nothing_is_labelled(tmp_path: Path, kept: str | None) -> None:
    if kept:
        (tmp_path / kept).mkdir()
    with pytest.raises(DataInvalid, match="neither a table nor folders named after labels"):
        load_dataset(tmp_path, configure())


def test_load_dataset_takes_group_and_source_from_dicom_headers(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        write_scan(
            tmp_path / f"{number}.dcm",
            number,
            PatientID=f"MRN-{number // 2}",
            Manufacturer="Acme",
            PatientAge="018M",
            PatientSex="F",
        )
        rows.append((f"{number}.dcm", "normal"))
    write_table(tmp_path / "labels.csv", ("path", "label"), rows)
    dataset = load_dataset(tmp_path, configure(table=""))
    assert {row.source for row in dataset.examples} == {"Acme"}
    assert dataset.examples[0].facts == {"age": "1.5", "sex": "female"}
    assert len({row.group for row in dataset.examples}) == 6
    assert all(dataset.of_split(split) for split in ("train", "val", "test"))
    splits = [row.split for row in dataset.examples]
    assert splits[::2] == splits[1::2]
    assert not any("MRN" in row.group for row in dataset.examples)


def test_load_dataset_prefers_the_table_to_the_header(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan", 1, PatientID="1", PatientSex="M", StationName="CT2")
    columns = ("path", "label", "group", "split", "sex")
    write_table(tmp_path / "labels.csv", columns, [("scan", "normal", "g", "test", "other")])
    (example,) = load_dataset(tmp_path, configure(table="")).examples
    assert (example.group, example.split, example.source) == ("g", "test", "CT2")
    assert example.facts == {"sex": "other"}


def test_load_dataset_refuses_when_a_scan_names_no_patient_and_no_study(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan.dcm", 1)
    write_table(tmp_path / "labels.csv", ("path", "label"), [("scan.dcm", "normal")])
    with pytest.raises(DataInvalid, match="neither a patient nor a study"):
        load_dataset(tmp_path, configure(table=""))


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (("path", "split"), ("a.png", "train"), "no column"),
        (FULL, ("a.png", "normal", "s", "1"), "4 columns where the header has 5"),
        (FULL, ("a.png", "normal", "s", "1", "later"), "unknown split"),
        (FULL, ("a.png", "fracture", "s", "1", "train"), "no image carries a label"),
    ],
)
def test_load_dataset_refuses_a_malformed_table(
    tmp_path: Path, columns: Sequence[str], row: Sequence[str], message: str
) -> None:
    write_table(tmp_path / CONFIG.table, columns, [row])
    with pytest.raises(DataInvalid, match=message):
        load_dataset(tmp_path, configure())


def test_load_dataset_refuses_a_table_that_names_an_image_twice(tmp_path: Path) -> None:
    row = ("a.png", "normal", "s", "1", "train")
    write_table(tmp_path / CONFIG.table, FULL, [row, row])
    with pytest.raises(DataInvalid, match="more than once"):
        load_dataset(tmp_path, configure())


def test_load_dataset_takes_path_and_label_alone_and_says_what_that_risks(tmp_path: Path) -> None:
    rows = [(f"{n}.png", "normal" if n % 2 else "pneumonia") for n in range(20)]
    write_table(tmp_path / "labels.csv", ("path", "label"), rows)
    dataset = load_dataset(tmp_path, configure(table=""))
    assert len({row.group for row in dataset.examples}) == 20
    assert {row.source for row in dataset.examples} == {tmp_path.name}
    assert all(dataset.of_split(split) for split in ("train", "val", "test"))
    (note,) = dataset.notes
    assert note.startswith("20 images of labels.csv name no patient and no group")


@pytest.mark.parametrize("column", ["patient", "Patient_ID", "patient-id", "PATIENT ID"])
def test_load_dataset_groups_by_patient_however_the_number_is_written(
    tmp_path: Path, column: str
) -> None:
    written = ["10042", " 10042 ", "010042", "P 7", "p7", ""]
    rows = [(f"{n}.png", "normal", one) for n, one in enumerate(written)]
    write_table(tmp_path / "labels.csv", ("path", "label", column), rows)
    dataset = load_dataset(tmp_path, configure(table=""))
    first, second, third, fourth, fifth, alone = (row.group for row in dataset.examples)
    assert first == second == third != fourth == fifth != alone
    assert not any("10042" in row.group or row.facts for row in dataset.examples)
    assert dataset.notes[0].startswith("1 images")


@pytest.mark.parametrize(
    "content",
    [
        b"path;label\na.png;normal\n",
        b"\xef\xbb\xbfPath;LABEL\r\na.png;normal\r\n",
        "path\tlabel\na.png\tnormal\n".encode("utf-16"),
        b"sep=;\r\nPath ; Label\r\na.png; normal \r\n",
        b'\n"path","label"\n\n"a.png","normal"\n,\n\n',
        b"path,label,,\na.png,normal,,\n",
        b"path,label\nscans\\a.png,normal\n".replace(b"scans", b"."),
    ],
    ids=["semicolons", "mark", "utf-16", "sep", "blank lines", "empty columns", "backslashes"],
)
def test_load_dataset_reads_tables_as_spreadsheets_write_them(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.png").write_bytes(b"never looked into")
    (tmp_path / "labels.csv").write_bytes(content)
    (row,) = load_dataset(tmp_path, configure(table=""), needed=("", "train")).examples
    assert (row.path.resolve(), row.label) == (tmp_path / "a.png", "normal")


def test_load_dataset_reads_paths_from_another_folder_on(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"never looked into")
    write_table(tmp_path / "labels.csv", ("path", "label"), [("a.png", "normal")])
    config = configure(table="")
    images = tmp_path / "images"
    (row,) = load_dataset(tmp_path, config, images=images, needed=("", "train")).examples
    assert row.path == images / "a.png"
    with pytest.raises(DataInvalid, match=r"line 2: there is no file"):
        load_dataset(tmp_path, config, needed=("", "train"))


def test_load_dataset_tells_all_problems_of_a_table_with_their_lines(tmp_path: Path) -> None:
    lines = ["path,label,group", "a.png,normal", ",normal,g", "b.png,,g"]
    lines += ["", *(f"{n}.png,normal,g{n}" for n in range(9)), r"C:\scans\x.png,normal,h"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(DataInvalid) as caught:
        load_dataset(tmp_path, configure(table=""), needed=("", "train"))
    told = caught.value.message.splitlines()
    assert told[0].endswith("12 lines are wrong:")
    assert told[1:3] == [
        "  line 2: 2 columns where the header has 3",
        "  line 3: no path",
    ]
    assert told[3].startswith("  line 6: there is no file ")
    assert told[11:] == ["  and 2 more"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no column path and label; it has none"),
        (b"file,label\na.png,normal\n", "no column path; it has file, label"),
        (b"path,label,Label\na.png,normal,x\n", "more than one column label"),
        (
            "path,label\na.png,normal\nb\xe4.png,normal\n".encode("latin-1"),
            "UTF-8 text from line 3",
        ),
        (b'path,label\n"a.png,normal\n', "line 2"),
        (b"path,label\na.png,Normal\n", "no image carries a label"),
    ],
)
def test_load_dataset_says_why_a_file_is_no_table(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataInvalid, match=told):
        load_dataset(tmp_path, configure(table=""))


def test_load_dataset_notes_labels_that_are_spelled_another_way(tmp_path: Path) -> None:
    rows = [("a.png", "Normal", "g"), ("b.png", "pneumonia", "h"), ("c.png", "cat", "i")]
    write_table(tmp_path / "labels.csv", ("path", "label", "group"), rows)
    dataset = load_dataset(tmp_path, configure(table=""))
    assert dataset.left_out == {"Normal": 1, "cat": 1}
    (note,) = dataset.notes
    assert "'Normal', which the task doesn't know; did you mean normal?" in note


def test_load_dataset_needs_the_files_of_the_splits_asked_for_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"never looked into")
    rows = [("a.png", "normal", "g", "train"), ("gone.png", "normal", "h", "test")]
    write_table(tmp_path / "labels.csv", ("path", "label", "group", "split"), rows)
    config = configure(table="")
    assert len(load_dataset(tmp_path, config, needed=("", "train", "val")).examples) == 2
    with pytest.raises(DataInvalid, match="line 3: there is no file"):
        load_dataset(tmp_path, config, needed=("test",))
