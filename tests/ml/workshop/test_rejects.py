"""Images that must be refused: the fixed set of them, and the gate that knows them."""

import csv
import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundles import hash_file
from ml.distance import EmbeddingSpace, fit_space
from ml.errors import DataInvalid
from ml.gate import GATE, IN_SCOPE, Gate, join_features, load_gate, score_rejection
from ml.images import read_frames, to_display
from ml.manifest import read_manifest, write_manifest
from ml.predictor import Predictor, open_predictor
from ml.preprocessing import prepare_files
from ml.runtimes import RuntimeOutputs
from ml.workshop.cli import main
from ml.workshop.commands.options import parse_overrides
from ml.workshop.datasets import Example, load_dataset
from ml.workshop.datasets.tables import read_table
from ml.workshop.exporting.gate_fitting import fit_gate
from ml.workshop.exporting.readout import Readout, read_out
from ml.workshop.orientations import TURNED_KINDS
from ml.workshop.rejects import (
    KINDS,
    MIN_TEST_REJECTS,
    REJECTS,
    UNSEEN_KINDS,
    Reject,
    digest_rejects,
    find_rejects,
    leave_out_strangers,
    score_rejects,
)
from ml.workshop.rejects.drawn import DRAWN_KINDS, draw_rejects
from ml.workshop.rejects.files import write_rejects
from ml.workshop.rejects.gathered import OTHER_KINDS, OTHERS, PHOTOGRAPHS
from ml.workshop.rejects.reject import encode_reject
from ml.workshop.rejects.scoring import Share
from ml.workshop.rejects.spoilt import CHANGED_KINDS, OWN_KINDS
from ml.workshop.task_config import TaskConfig, find_task, load_task
from tests.ml.conftest import ALONE, ALONE_SET, load_chest
from tests.ml.pictures import draw_case, encode_picture

# A chest radiograph is in scope for the chest task, whichever collection it comes from.
CHEST = ("small-chest-xr",)


def make_rejects(
    task: str, root: Path, part: str, *, accepted: tuple[str, ...] = ()
) -> list[Reject]:
    """The rejects of a task that ships, with these kinds accepted and no other."""
    own = parse_overrides(ALONE) if task == "chest-xray" else {}
    config = load_task(find_task(task), overrides={**own, "scope.accepted_kinds": accepted})
    own = load_dataset(root, leave_out_strangers(config).data).examples
    return find_rejects(config, own, root, part)


@pytest.fixture(scope="module")
def test_part(tiny_data: Path) -> list[Reject]:
    """The part `test` beside a data set that has no other task's images."""
    return make_rejects("chest-xray", tiny_data, "test")


def test_find_rejects_are_enough_and_the_same_again(
    test_part: list[Reject], tiny_data: Path
) -> None:
    assert len(test_part) >= MIN_TEST_REJECTS
    again = make_rejects("chest-xray", tiny_data, "test")
    assert digest_rejects(again) == digest_rejects(test_part)
    assert digest_rejects(again[1:]) != digest_rejects(test_part)
    for reject in test_part[::25]:
        assert read_frames(reject.content)


def test_find_rejects_shares_no_source_between_the_parts(
    test_part: list[Reject], tiny_data: Path
) -> None:
    fit = make_rejects("chest-xray", tiny_data, "fit")
    assert not {reject.name for reject in fit} & {reject.name for reject in test_part}
    assert not {reject.content for reject in fit} & {reject.content for reject in test_part}
    with (tiny_data / "chest-xray.csv").open(newline="") as stream:
        split_of = {row["path"]: row["split"] for row in csv.DictReader(stream)}
    for part, split in ((fit, "train"), (test_part, "test")):
        of_own = [one for one in part if one.kind in (*TURNED_KINDS, *CHANGED_KINDS)]
        assert {split_of[one.name.rpartition("/")[0]] for one in of_own} == {split}
        assert all(one.label for one in of_own)
        sheets = [one.name.rsplit("/", 2)[0] for one in part if one.kind == "contact_sheet"]
        assert {split_of[name] for name in sheets} == {split}
        assert not any(one.label for one in part if one not in of_own)


def test_find_rejects_never_fits_on_sources_kept_for_tests(shared: Path) -> None:
    root = shared / "data"
    names = {"fit": set[str](), "test": set[str]()}
    for part, found in names.items():
        rejects = make_rejects("brain-mri", root, part, accepted=DRAWN_KINDS)
        found |= {one.name for one in rejects if "--" in one.name}
    splits: dict[str, str] = {}
    for table in (root / "more").glob("*.csv"):
        with table.open(newline="") as stream:
            splits |= {row["path"]: row["split"] for row in csv.DictReader(stream)}
    assert {splits[name] for name in names["fit"]} == {"train"}
    assert "external-test" in {splits[name] for name in names["test"]}
    assert "train" not in {splits[name] for name in names["test"]}
    assert any(name.startswith("head-ct--ct-ich") for name in names["fit"])
    assert any(name.startswith("head-ct--web") for name in names["test"])


def test_find_rejects_makes_sheets_of_every_task_for_the_router(shared: Path) -> None:
    found = make_rejects("body-part", shared / "data", "fit", accepted=OTHER_KINDS)
    places = {one.name.partition("/")[0] for one in found if one.kind == "two_level"}
    assert {"body-part", "retina", "chest-xray"} <= places


def test_find_rejects_leaves_out_what_is_accepted_or_unseen(tiny_data: Path) -> None:
    accepted = ("rotated_90", "rotated_270", "photograph")
    kinds = {one.kind for one in make_rejects("chest-xray", tiny_data, "test", accepted=accepted)}
    assert not kinds & set(accepted)
    assert set(DRAWN_KINDS) <= kinds
    fitted = {one.kind for one in make_rejects("chest-xray", tiny_data, "fit")}
    assert not fitted & set(UNSEEN_KINDS)
    assert set(TURNED_KINDS) <= fitted


def test_find_rejects_refuses_when_a_part_or_kind_is_unknown(tiny_data: Path) -> None:
    with pytest.raises(DataInvalid):
        make_rejects("chest-xray", tiny_data, "train")
    with pytest.raises(DataInvalid):
        make_rejects("chest-xray", tiny_data, "fit", accepted=("unicorn",))


def test_find_rejects_has_every_kind_when_all_data_is_there(shared: Path) -> None:
    root = shared / "data"
    chest = Counter(one.kind for one in make_rejects("chest-xray", root, "test", accepted=CHEST))
    own = {kind for kind, other in OTHERS.items() if "chest-xray" in other.tasks}
    assert set(KINDS) - set(chest) == {*own, *CHEST}
    others = (*OTHER_KINDS, *TURNED_KINDS, *OWN_KINDS)
    body_part = make_rejects("body-part", root, "test", accepted=others)
    assert len(body_part) >= MIN_TEST_REJECTS
    assert not {one.kind for one in body_part} & set(others)


OWN = ("rotated_90", "two_level", "contact_sheet")


def write_own(root: Path, table: str, columns: tuple[str, ...], splits: Iterable[str]) -> None:
    """Grey pictures beside a table of a task of somebody's own, two of each label and split."""
    place = root / table
    place.parent.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(5), []
    for split in splits:
        for label in ("clear", "ill", "ill", "clear"):
            name = f"{place.stem}-{len(rows)}.png"
            levels = rng.integers(0, 255, (130, 140)).astype(np.uint8)
            Image.fromarray(levels).save(place.parent / name)
            rows.append({"path": name, "label": label, "split": split, "group": name})
    with place.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def find_own(root: Path, part: str, **data: object) -> list[Reject]:
    """Rejects of those kinds for a task that no other code has heard of."""
    overrides = {
        "task": "gout",
        "data.table": "",
        "data.labels": ["healthy", "gout"],
        "data.normal_label": "healthy",
        "data.mapping": {"clear": "healthy", "ill": "gout"},
        "data.codes": {},
        "data.external": [],
        "decision.recall_labels": ["gout"],
        "decision.headline_label": "gout",
        "scope.accepted_kinds": sorted({*KINDS} - {*OWN, "trauma-head-ct"}),
        "gate": {},
    }
    named = {f"data.{name}": value for name, value in data.items()}
    config = load_chest(overrides | named)
    own = load_dataset(root, config.data).examples
    return find_rejects(config, own, root, part)


@pytest.mark.parametrize(("part", "split"), [("fit", "train"), ("test", "test")])
def test_find_rejects_turns_images_of_the_table_that_the_task_names(
    tmp_path: Path, part: str, split: str
) -> None:
    columns = ("path", "label", "split", "group")
    write_own(tmp_path, "more/toes.csv", columns, ("train", "val", "test"))
    write_own(tmp_path, "more/fingers.csv", columns, ("train", "test"))
    joined = {"table": "fingers.csv", "mapping": {"ill": "gout"}}
    listed = tmp_path / "excluded.csv"
    places = {"train": ("toes-0", "fingers-2"), "test": ("toes-8", "fingers-6")}[split]
    listed.write_text("path\n" + "".join(f"{name}.png\n" for name in places))
    found = find_own(
        tmp_path, part, table="more/toes.csv", extra=[joined], excluded=str(listed.resolve())
    )
    by_kind = {kind: [one for one in found if one.kind == kind] for kind in OWN}
    first = {"train": 0, "test": 8}[split]
    expected = {f"toes-{number}.png" for number in range(first, first + 4)}
    expected |= {f"fingers-{number}.png" for number in ((1, 2) if split == "train" else (5, 6))}
    for kind in ("rotated_90", "two_level"):
        names = {one.name.partition("/")[0] for one in by_kind[kind]}
        assert names == expected - {f"{name}.png" for name in places}
        assert {one.label for one in by_kind[kind]} == {"clear", "ill"}
    assert {one.name.partition("/")[0] for one in by_kind["contact_sheet"]} <= expected


def test_find_rejects_turns_images_of_a_table_without_splits_and_of_folders(
    tmp_path: Path,
) -> None:
    write_own(tmp_path / "a", "toes.csv", ("path", "label"), [""] * 8)
    of_table = find_own(tmp_path / "a" / "toes.csv", "fit")
    for path in sorted((tmp_path / "a").glob("*.png")):
        place = tmp_path / "b" / ("clear" if int(path.stem[5:]) % 4 in (0, 3) else "ill")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / path.name)
    of_folders = find_own(tmp_path / "b", "fit")
    for found in (of_table, of_folders):
        assert Counter(one.kind for one in found if one.label).keys() == {"rotated_90", "two_level"}


@pytest.mark.parametrize(
    ("data", "is_foreign"),
    [
        ({"table": "more/head-ct--ct-ich.csv"}, False),
        ({"extra": [{"table": "more/head-ct--ct-ich.csv", "mapping": {"*": "gout"}}]}, False),
        ({"external": [{"table": "more/head-ct--ct-ich.csv", "mapping": {"ill": "gout"}}]}, False),
        ({"external": [{"table": "more/head-ct--ct-ich.csv", "mapping": {"ill": ""}}]}, True),
        ({}, True),
    ],
    ids=["its table", "joined", "external", "external and strange", "another's"],
)
def test_find_rejects_takes_no_image_that_the_task_reads_for_a_foreign_one(
    tmp_path: Path, data: dict[str, object], is_foreign: bool
) -> None:
    columns = ("path", "label", "split", "group")
    write_own(tmp_path, "more/head-ct--ct-ich.csv", columns, ("train", "val", "test"))
    write_own(tmp_path, "toes.csv", columns, ("train", "val", "test"))
    found = find_own(tmp_path, "test", **{"table": "toes.csv"} | data)
    assert any(one.kind == "trauma-head-ct" for one in found) == is_foreign


def test_find_rejects_makes_head_ct_s_of_its_own_table(shared: Path) -> None:
    found = make_rejects("head-ct", shared / "data", "fit", accepted=OTHER_KINDS)
    own = [one for one in found if one.kind in (*TURNED_KINDS, *CHANGED_KINDS)]
    assert {one.kind for one in own} == {*TURNED_KINDS, *CHANGED_KINDS}
    assert {one.name.partition("/")[0] for one in own} == {"head-ct--ct-ich"}
    assert {one.label for one in own} == {"no_hemorrhage", "hemorrhage"}


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
    found = make_rejects("chest-xray", tiny_data, "fit")
    table = write_rejects(found, tmp_path / "rejects")
    rows = read_table(table, lambda kind: kind).examples
    assert Counter(row.label for row in rows) == Counter(reject.kind for reject in found)
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.group, set()).add(row.split)
        assert read_frames(row.path)
    assert {len(names) for names in splits.values()} == {1}
    of_own = (*TURNED_KINDS, *OWN_KINDS)
    assert {row.split for row in rows if row.label not in of_own} == {"train", "val"}
    # They are made of training images, and must not judge a network that saw those.
    assert {row.split for row in rows if row.label in of_own} == {"train"}


def test_rejects_command_leaves_out_what_the_task_accepts(tiny_data: Path, tmp_path: Path) -> None:
    accepted = 'scope.accepted_kinds=["inverted", "white_noise"]'
    places = ["--data", str(tiny_data), "--out", str(tmp_path)]
    assert main(["rejects", "chest-xray", *ALONE_SET, *places, "--set", accepted]) == 0
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


def test_score_rejects_counts_by_label_what_a_kind_would_hide(predictor: Predictor) -> None:
    blank = encode_picture(np.zeros((120, 120), np.uint8))
    chest = encode_picture(draw_case("normal", np.random.default_rng(3), 160))
    rejects = [
        *[Reject("turned", str(number), blank, label="ill") for number in range(3)],
        Reject("turned", "3", chest, label="healthy"),
        Reject("other", "4", blank),
    ]
    score = score_rejects(predictor, rejects)
    is_refused = predictor.predict(read_frames(chest))[0].abstention is not None
    assert score.counts == {"other": 1, "turned": 4}
    assert set(score.by_label) == {"turned"}
    assert score.by_label["turned"]["ill"] == Share(3, 3)
    assert score.by_label["turned"]["healthy"] == Share(int(is_refused), 1)
    figures = score.list_figures()
    assert figures["rejects.turned.by_label.ill"].value == 1
    assert figures["rejects.turned.by_label.ill"].low == pytest.approx(0.292, abs=1e-3)
    assert figures["rejects.turned"].value == score.by_kind["turned"]


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
    config = load_chest({"data.table": "chest-xray.csv"})
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
    # Kinds that came after its gate was fitted are none that it was held to.
    known = json.loads((predictor.bundle.path / REJECTS).read_text())["by_kind"]
    accepted = (*CHEST, *(set(KINDS) - set(known)))
    rejects = make_rejects("chest-xray", shared / "data", "test", accepted=accepted)[::4]
    score = score_rejects(predictor, rejects)
    assert score.refused >= 0.95
    assert predictor.bundle.manifest.distance.validation_refusal <= 0.05
