"""From images that lie there to a task file, and from a task file to its network's layers."""

import csv
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.workshop.cli import main
from ml.workshop.task_config import load_task
from tests.ml.pictures import make_dicom


def write_folders(root: Path, *, is_colour: bool = False, labels: tuple[str, ...] = ()) -> Path:
    rng = np.random.default_rng(7)
    shape = (170, 200, 3) if is_colour else (170, 200)
    for label in labels or ("gout", "no_gout"):
        folder = root / label
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def draft(tmp_path: Path, data: Path, *words: str) -> Path:
    path = tmp_path / "gout.toml"
    assert main(["new-task", "gout", "--data", str(data), "--out", str(path), *words]) == 0
    return path


@pytest.mark.parametrize(("is_colour", "colour"), [(False, "grey"), (True, "rgb")])
def test_new_task_writes_a_short_file_that_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_colour: bool, colour: str
) -> None:
    data = write_folders(tmp_path / "scans", is_colour=is_colour)
    path = draft(tmp_path, data)
    config = load_task(path)
    assert (config.task, config.data.labels) == ("gout", ("no_gout", "gout"))
    assert (config.input.colour, config.input.size) == (colour, 160)
    assert "# gout: 10 images" in path.read_text()
    assert len(path.read_text().splitlines()) <= 22
    told = capsys.readouterr().out
    assert f"python -m ml train {path} --data {data}" in told
    assert main(["check", str(path), "--data", str(data), "--set", 'model.weights="none"']) == 0
    counted = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [(row[0], sum(map(int, row[1:]))) for row in counted] == [("no_gout", 10), ("gout", 10)]


def test_new_task_reads_a_table_and_the_modality_of_its_scans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("path", "label", "patient_id")]
    for number in range(8):
        name, label = f"{number}.dcm", ("clear", "gout")[number % 2]
        levels = np.random.default_rng(number).integers(0, 255, (64, 64)).astype(np.uint8)
        (tmp_path / name).write_bytes(make_dicom(levels, Modality="MR", PatientID=f"{number}"))
        rows.append((name, label, f"P{number}"))
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(rows)
    path = draft(tmp_path, table, "--normal", "clear")
    config = load_task(path)
    assert config.data.normal_label == "clear"
    assert config.scope.modalities == ("MR",)
    assert "warning" not in capsys.readouterr().err


def test_new_task_takes_the_choices_of_another_task(tmp_path: Path) -> None:
    path = draft(tmp_path, write_folders(tmp_path / "scans"), "--like", "retina")
    written, retina = tomllib.loads(path.read_text()), load_task(Path("ml/tasks/retina.toml"))
    assert load_task(path).augmentation == retina.augmentation
    assert load_task(path).data.labels == ("no_gout", "gout")
    assert "scope" not in written
    assert all(written.values())


@pytest.mark.parametrize(
    ("labels", "words", "told"),
    [
        (("gout", "clear"), [], "name it with --normal: clear, gout"),
        (("gout", "clear"), ["--normal", "clea"], "no image is labelled clea; did you mean clear?"),
        (("gout", "normal"), ["--like", "retna"], "there is no task retna; did you mean retina?"),
        (("gout",), [], "it has one label alone, gout"),
    ],
)
def test_new_task_says_what_it_lacks(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    labels: tuple[str, ...],
    words: list[str],
    told: str,
) -> None:
    data, path = write_folders(tmp_path / "scans", labels=labels), tmp_path / "gout.toml"
    assert main(["new-task", "gout", "--data", str(data), "--out", str(path), *words]) == 2
    assert told in capsys.readouterr().err
    assert not path.exists()


def test_new_task_overwrites_nothing(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "scans")
    path = draft(tmp_path, data)
    path.write_text("mine")
    with pytest.raises(SystemExit, match="exists"):
        main(["new-task", "gout", "--data", str(data), "--out", str(path)])
    assert path.read_text() == "mine"


def test_summary_counts_what_keras_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ml.workshop.training.network import build_unfilled

    path = draft(tmp_path, write_folders(tmp_path / "scans"))
    chosen = {"model.backbone": "residual", "model.weights": "none", "input.size": 32}
    network = build_unfilled(load_task(path, overrides=chosen))
    words = [pair for name, value in chosen.items() for pair in ("--set", f"{name}={value!r}")]
    capsys.readouterr()
    assert main(["summary", str(path), *words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert f"parameters: {network.count_params():,} (" in told[-2]
    assert "input: 32 x 32 x 1" in told
    assert "output: 2" in told
    assert [line.split()[0] for line in told[1 : len(network.layers) + 1]] == [
        layer.name for layer in network.layers
    ] or len(told) > len(network.layers)


def test_summary_multiplies_a_known_convolution() -> None:
    import keras

    from ml.workshop.training.summary import list_layers

    images = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(5, 3, padding="same")(images)
    maps = keras.layers.DepthwiseConv2D(3, padding="same")(maps)
    network = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(maps)))
    counts = {row.kind: row.multiplications for row in list_layers(network)}
    assert counts["Conv2D"] == 8 * 8 * 5 * 3 * 3 * 3
    assert counts["DepthwiseConv2D"] == 8 * 8 * 5 * 3 * 3
    assert counts["Dense"] == 8 * 8 * 5 * 2
