"""Images that must be refused: the fixed set of them, and the gate that knows them."""

import csv
import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundles import hash_file
from ml.cli import main
from ml.datasets import Example, load_dataset
from ml.datasets.tables import read_table
from ml.distance import EmbeddingSpace, fit_space
from ml.errors import DataInvalid
from ml.exporting.gate_fitting import fit_gate
from ml.exporting.readout import Readout, read_out
from ml.gate import GATE, IN_SCOPE, Gate, join_features, load_gate, score_rejection
from ml.images import read_frames, to_display
from ml.manifest import read_manifest, write_manifest
from ml.predictor import Predictor, open_predictor
from ml.preprocessing import prepare_files
from ml.rejects import (
    KINDS,
    MIN_TEST_REJECTS,
    UNSEEN_KINDS,
    Reject,
    digest_rejects,
    reject_examples,
    score_rejects,
)
from ml.rejects.drawn import DRAWN_KINDS, draw_rejects
from ml.rejects.files import write_rejects
from ml.rejects.gathered import OTHER_KINDS, PHOTOGRAPHS
from ml.rejects.reject import encode_reject
from ml.runtimes import RuntimeOutputs
from ml.task_config import TaskConfig, find_task, load_task
from ml.turns import TURNED_KINDS
from tests.ml.pictures import draw_case, encode_picture

# A chest radiograph is in scope for the chest task, whichever collection it comes from.
CHEST = ("small-chest-xr",)


@pytest.fixture(scope="module")
def test_part(tiny_data: Path) -> list[Reject]:
    """The part `test` beside a data set that has no other task's images."""
    return reject_examples("chest-xray", tiny_data, "test")


def test_reject_examples_are_enough_and_the_same_again(
    test_part: list[Reject], tiny_data: Path
) -> None:
    assert len(test_part) >= MIN_TEST_REJECTS
    again = reject_examples("chest-xray", tiny_data, "test")
    assert digest_rejects(again) == digest_rejects(test_part)
    assert digest_rejects(again[1:]) != digest_rejects(test_part)
    for reject in test_part[::25]:
        assert read_frames(reject.content)


def test_reject_examples_shares_no_source_between_the_parts(
    test_part: list[Reject], tiny_data: Path
) -> None:
    fit = reject_examples("chest-xray", tiny_data, "fit")
    assert not {reject.name for reject in fit} & {reject.name for reject in test_part}
    assert not {reject.content for reject in fit} & {reject.content for reject in test_part}
    with (tiny_data / "chest-xray.csv").open(newline="") as stream:
        split_of = {row["path"]: row["split"] for row in csv.DictReader(stream)}
    for part, split in ((fit, "train"), (test_part, "test")):
        turned = [one.name.rpartition("/")[0] for one in part if one.kind in TURNED_KINDS]
        assert {split_of[name] for name in turned} == {split}


def test_reject_examples_leaves_out_what_is_accepted_or_unseen(tiny_data: Path) -> None:
    accepted = ("rotated_90", "rotated_270", "photograph")
    kinds = {one.kind for one in reject_examples("x", tiny_data, "test", accepted=accepted)}
    assert not kinds & set(accepted)
    assert set(DRAWN_KINDS) <= kinds
    fitted = {one.kind for one in reject_examples("chest-xray", tiny_data, "fit")}
    assert not fitted & set(UNSEEN_KINDS)
    assert set(TURNED_KINDS) <= fitted


def test_reject_examples_refuses_when_a_part_or_kind_is_unknown(tiny_data: Path) -> None:
    with pytest.raises(DataInvalid):
        reject_examples("chest-xray", tiny_data, "train")
    with pytest.raises(DataInvalid):
        reject_examples("chest-xray", tiny_data, "fit", accepted=("unicorn",))


def test_reject_examples_has_every_kind_when_all_data_is_there(shared: Path) -> None:
    root = shared / "data"
    chest = Counter(one.kind for one in reject_examples("chest-xray", root, "test", accepted=CHEST))
    assert set(KINDS) - set(chest) == {"chest-xr", *CHEST}
    others = (*OTHER_KINDS, *TURNED_KINDS)
    body_part = reject_examples("body-part", root, "test", accepted=others)
    assert len(body_part) >= MIN_TEST_REJECTS
    assert not {one.kind for one in body_part} & set(others)


def test_photographs_are_small_attributed_and_all_listed() -> None:
    with (PHOTOGRAPHS / "index.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    files = {path.name: path for path in PHOTOGRAPHS.glob("*.webp")}
    assert {row["file"] for row in rows} == set(files)
    assert all(row["author"] and row["licence"] and row["package"] for row in rows)
    assert sum(path.stat().st_size for path in files.values()) < 1_200_000
    for path in files.values():
        with Image.open(path) as image:
            assert max(image.size) <= 256


def test_write_rejects_makes_a_table_whose_groups_stay_in_one_split(
    tiny_data: Path, tmp_path: Path
) -> None:
    found = reject_examples("chest-xray", tiny_data, "fit")
    table = write_rejects(found, tmp_path / "rejects")
    rows, _ = read_table(table, lambda kind: kind)
    assert Counter(row.label for row in rows) == Counter(reject.kind for reject in found)
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.group, set()).add(row.split)
        assert read_frames(row.path)
    assert {len(names) for names in splits.values()} == {1}
    assert {row.split for row in rows if row.label not in TURNED_KINDS} == {"train", "val"}
    # They are turned from training images, and must not judge a network that saw those.
    assert {row.split for row in rows if row.label in TURNED_KINDS} == {"train"}


def test_rejects_command_leaves_out_what_the_task_accepts(tiny_data: Path, tmp_path: Path) -> None:
    accepted = 'scope.accepted_kinds=["inverted", "white_noise"]'
    places = ["--data", str(tiny_data), "--out", str(tmp_path)]
    assert main(["rejects", "chest-xray", *places, "--set", accepted]) == 0
    kinds = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert "rotated_90" in kinds
    assert not kinds & {"inverted", "white_noise"}


def test_score_rejects_counts_refusals_by_kind(predictor: Predictor) -> None:
    colours = np.random.default_rng(1).integers(0, 255, (120, 120, 3)).astype(np.uint8)
    chest = draw_case("normal", np.random.default_rng(3), 160)
    rejects = [
        Reject("colour", "1", encode_picture(colours)),
        Reject("blank", "1", encode_picture(np.zeros((120, 120), np.uint8))),
        Reject("case", "1", encode_picture(chest)),
    ]
    score = score_rejects(predictor, rejects)
    assert score.images == 3
    assert (score.by_kind["colour"], score.by_kind["blank"]) == (1, 1)
    assert score.codes["colour_image"] == score.codes["constant_image"] == 1
    assert score.refused == pytest.approx(sum(score.by_kind.values()) / 3)
    conclusion = predictor.conclude(predictor.predict(read_frames(rejects[2].content)))
    label = conclusion.label_at_thresholds
    assert score_rejects(predictor, rejects, refusing_label=label).by_kind["case"] == 1


def test_join_features_tells_above_from_below_and_shrinks_the_input_to_sixteen() -> None:
    inputs = np.zeros((1, 40, 40, 1), np.float32)
    inputs[:, :, 20:] = 64
    maps = np.zeros((1, 3, 2, 2), np.float32)
    maps[0, :2, :, 1] = 4
    outputs = RuntimeOutputs(np.zeros((1, 1)), maps, np.full((1, 2), 7, np.float32))
    features = join_features(inputs, outputs)
    assert features.shape == (1, 2 + 2 + 256)
    cells = features[0, 4:].reshape(16, 16)
    assert features[0, :4].tolist() == [7, 7, 0, 2]
    np.testing.assert_allclose(cells[:, :8], 0)
    np.testing.assert_allclose(cells[:, 8:], 1)


def test_score_rejection_is_the_log_odds_of_any_other_class() -> None:
    kinds = ("inverted", IN_SCOPE, "stranger")
    shares = np.array([[0.2, 0.5, 0.3], [0.1, 0.9, 0.0]])
    found = score_rejection(np.log(shares + 1e-300), kinds)
    np.testing.assert_allclose(found, np.log([1.0, 1 / 9]), atol=1e-6)


@pytest.fixture(scope="module")
def fitting(
    predictor: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Gate, EmbeddingSpace, list[Example], TaskConfig]:
    """A gate of the shipped network for drawn pictures, fitted as the export does."""
    folder = tmp_path_factory.mktemp("gate")
    rng = np.random.default_rng(12)
    rows = []
    for number in range(90):
        name = f"{number}.png"
        Image.fromarray(draw_upright(rng)).save(folder / name)
        split = "train" if number < 60 else "val"
        rows.append((name, "normal", "drawn", str(number), split))
    with (folder / "chest-xray.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source", "group", "split"), *rows])
    config = load_task(find_task("chest-xray"), overrides={"data.table": "chest-xray.csv"})
    config = dataclasses.replace(config, input=predictor.bundle.manifest.input)
    dataset = load_dataset(folder, config.data)
    training, validation = dataset.of_split("train"), dataset.of_split("val")

    def read(sources: Iterable[Path | bytes]) -> Readout:
        return read_out(predictor.runtime, prepare_files(sources, config.input))

    rejects = [
        *draw_rejects("fit", UNSEEN_KINDS, at_least=0)[::4],
        *[turn(kind, row.path) for row in training[::2] for kind in TURNED_KINDS],
    ]
    seen, unseen = (read(row.path for row in rows) for rows in (training, validation))
    space = fit_space(seen.embeddings, np.zeros(len(training), np.int64))
    strangers = read(reject.content for reject in rejects)
    groups = [row.group for row in validation]
    kinds = [reject.kind for reject in rejects]
    gate, _ = fit_gate(space, seen, unseen, groups, strangers.features, kinds)
    return gate, space, validation, config


def draw_upright(rng: np.random.Generator) -> np.ndarray:
    """A grey picture with an up, a left and a right: darker below, a bright and a dark disc."""
    rows, columns = np.mgrid[:128, :128] / 128
    levels = 150 - 70 * rows + rng.uniform(-10, 10)
    for place, level in (((0.3, 0.3), 230), ((0.7, 0.6), 20)):
        center = rng.normal(place, 0.02)
        levels[np.hypot(rows - center[0], columns - center[1]) < 0.15] = level
    return np.clip(levels + rng.normal(0, 4, levels.shape), 0, 255).astype(np.uint8)


def turn(kind: str, path: Path) -> Reject:
    shown = to_display(read_frames(path)[0])
    turned = 255 - shown if kind == "inverted" else np.rot90(shown, int(kind[8:]) // 90)
    return encode_reject(kind, f"{path}/{kind}", np.ascontiguousarray(turned))


def test_fit_gate_measures_turned_and_strange_images_as_farther(
    predictor: Predictor, fitting: tuple[Gate, EmbeddingSpace, list[Example], TaskConfig]
) -> None:
    gate, space, validation, config = fitting

    def measure(sources: list[Path | bytes]) -> tuple[np.ndarray, tuple[str, ...]]:
        found = read_out(predictor.runtime, prepare_files(sources, config.input))
        readings = gate.measure(space, found.features, found.embeddings)
        return readings.distances, readings.hints

    known, _ = measure([row.path for row in validation])
    assert np.median(known) == pytest.approx(0, abs=0.5)
    limit = np.quantile(known, 0.95)
    for kind in TURNED_KINDS:
        distances, hints = measure([turn(kind, row.path).content for row in validation])
        assert (distances > limit).mean() > 0.9, kind
        if kind == "inverted":
            assert sum("negative" in hint for hint in hints) > len(hints) / 2
    drawn, _ = measure([one.content for one in draw_rejects("test", (), at_least=0)[::8]])
    assert (drawn > limit).mean() > 0.9


@pytest.fixture
def scattered() -> tuple[EmbeddingSpace, Readout, Readout, list[str]]:
    """Features without a pattern: 80 training images, and 30 for validation in groups of three."""
    rng = np.random.default_rng(8)
    readouts = []
    for count in (80, 30):
        features = rng.normal(size=(count, 12)).astype(np.float32)
        readouts.append(Readout(features[:, :2], features[:, :6].copy(), features))
    seen, unseen = readouts
    space = fit_space(seen.embeddings, np.zeros(80, np.int64))
    return space, seen, unseen, [str(number // 3) for number in range(30)]


def test_fit_gate_leaves_it_to_the_distance_when_there_are_no_rejects(
    scattered: tuple[EmbeddingSpace, Readout, Readout, list[str]],
) -> None:
    space, seen, unseen, groups = scattered
    gate, distances = fit_gate(space, seen, unseen, groups, seen.features[:0], [])
    assert gate.kinds == (IN_SCOPE,)
    measured = space.measure(unseen.embeddings)
    # Below the median both say the same: nothing strange.
    farther = np.argsort(measured)[15:]
    assert np.argsort(distances, kind="stable")[15:].tolist() == farther.tolist()
    strange = gate.measure(space, 9 * unseen.features, 9 * unseen.embeddings)
    assert (strange.distances > distances.max()).all()
    assert set(strange.hints) == {""}


def test_load_gate_measures_as_the_one_that_was_saved(
    fitting: tuple[Gate, EmbeddingSpace, list[Example], TaskConfig], tmp_path: Path
) -> None:
    gate, space, _, _ = fitting
    gate.save(tmp_path / GATE)
    features = np.random.default_rng(3).normal(size=(4, len(gate.offset))).astype(np.float32)
    embeddings = features[:, : len(space.center)]
    expected = gate.measure(space, features, embeddings)
    found = load_gate(tmp_path / GATE).measure(space, features, embeddings)
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert found.hints == expected.hints


def test_predictor_judges_by_the_gate_when_the_bundle_has_one(
    released_path: Path,
    tmp_path: Path,
    fitting: tuple[Gate, EmbeddingSpace, list[Example], TaskConfig],
) -> None:
    gate, space, validation, _ = fitting
    copy = shutil.copytree(released_path, tmp_path / "copy")
    gate.save(copy / GATE)
    space.save(copy / "embeddings.npz")
    manifest, _ = read_manifest(copy)
    changed = {name: hash_file(copy / name) for name in (GATE, "embeddings.npz")}
    limit = dataclasses.replace(manifest.distance, limit=1.5)
    write_manifest(
        dataclasses.replace(manifest, files=manifest.files | changed, distance=limit), copy
    )
    gated = open_predictor(copy, device="cpu")
    upright = read_frames(validation[0].path)[0]
    (negative,) = read_frames(turn("inverted", validation[0].path).content)
    accepted, refused = gated.predict([upright, negative])
    assert accepted.abstention is None
    assert refused.abstention is not None
    assert refused.abstention.code == "unlike_training"
    assert "negative" in refused.abstention.reason


def test_released_bundle_refuses_what_it_was_not_made_for(
    predictor: Predictor, shared: Path
) -> None:
    rejects = reject_examples("chest-xray", shared / "data", "test", accepted=CHEST)[::4]
    score = score_rejects(predictor, rejects)
    assert score.refused >= 0.95
    assert predictor.bundle.manifest.distance.validation_refusal <= 0.05
