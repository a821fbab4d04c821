"""Heat maps under test: where they peak, with masks and without, and what follows from it."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.bundles import load_bundle
from ml.errors import BundleInvalid, DataInvalid, TaskConfigInvalid
from ml.images import read_frames
from ml.manifest import SUPPORTED, UNPROVEN, Metric, read_manifest
from ml.predictor import Predictor, open_predictor
from ml.signing import SIGNATURE
from ml.workshop.cli import main
from ml.workshop.datasets import Example
from ml.workshop.datasets.masks import MaskedImage, load_masks, read_mask
from ml.workshop.evaluation.map_rule import judge_maps
from ml.workshop.evaluation.maps import list_places, measure_maps
from ml.workshop.evaluation.scoring import Answers
from ml.workshop.openings import read_openings
from ml.workshop.task_config import TaskConfig
from tests.ml.conftest import ALONE_SET, ROOT, load_chest
from tests.ml.pictures import draw_case

CHEST = ROOT / "samples" / "chest-pneumonia-child-1" / "01.dcm"
LABELS = ("normal", "pneumonia", "tuberculosis")
SIDE = 6


@pytest.fixture
def config() -> TaskConfig:
    return load_chest()


def rescaled(bundle: Path, folder: Path, size: int) -> Path:
    """A copy of the bundle whose heat maps are made at another size."""
    copy = Path(shutil.copytree(bundle, folder / bundle.name))
    (copy / SIGNATURE).unlink(missing_ok=True)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"map_size": size}))
    return copy


def answers_with(cells: Sequence[int], *, healthy: int = 25, side: int = SIDE) -> Answers:
    """Answers to ill images, each with one bright cell, and to healthy ones without."""
    maps = np.zeros((len(cells) + healthy, len(LABELS), side * side), np.float32)
    maps[np.arange(len(cells)), 1, list(cells)] = 1
    maps[len(cells) :, 1, ::5] = 1
    targets = np.array([1] * len(cells) + [0] * healthy)
    examples = [draw_example(number) for number in range(len(targets))]
    return Answers(
        examples=tuple(examples),
        probabilities=np.eye(len(LABELS))[targets],
        given=targets,
        targets=targets,
        distances=np.zeros(len(targets)),
        refusals=("",) * len(targets),
        maps=maps.reshape(len(targets), len(LABELS), side, side),
    )


def draw_example(number: int) -> Example:
    name = f"{number}.png"
    return Example(
        path=Path(name),
        name=name,
        label="normal",
        set_label="normal",
        source="here",
        group=name,
        split="test",
        population="",
        facts={},
    )


def measure(predictor: Predictor, config: TaskConfig, answers: Answers, masked=()):
    return measure_maps(predictor, config, answers, masked, resamples=200)


def test_measure_maps_finds_one_blob_whatever_the_image(predictor, config) -> None:
    found = measure(predictor, config, answers_with([14] * 40))
    assert found.figures["same_place"].value == pytest.approx(1)
    assert (found.cells, found.entropy, found.images) == (1, 0, 40)
    assert found.standing == UNPROVEN
    assert found.reasons[0].startswith("100% of their peaks lie in one place")


def test_measure_maps_lets_peaks_pass_that_follow_the_image(predictor, config) -> None:
    found = measure(predictor, config, answers_with(list(range(36)) * 2))
    assert (found.cells, found.standing, found.reasons) == (36, SUPPORTED, ())
    assert found.figures["same_place"].value == pytest.approx(1 / 36)
    assert found.entropy == pytest.approx(np.log2(36))
    assert found.by_label["pneumonia"] == found.figures["same_place"]


def test_measure_maps_leaves_out_what_is_no_disease_answer(predictor, config) -> None:
    answers = answers_with([*[3] * 30, *range(36)])
    refused = dataclasses.replace(answers, refusals=("distance",) * 30 + ("",) * 61)
    assert measure(predictor, config, refused).images == 36
    cleared = dataclasses.replace(answers, given=np.where(np.arange(91) < 30, 0, answers.given))
    assert measure(predictor, config, cleared).images == 36
    with pytest.raises(ValueError, match="no heat maps"):
        measure(predictor, config, dataclasses.replace(answers, maps=None))


def test_measure_maps_proves_nothing_by_few_images_or_by_many_of_one_patient(
    predictor, config
) -> None:
    few = measure(predictor, config, answers_with(range(10)))
    assert few.reasons == ("Only 10 disease answers were measured.",)
    answers = answers_with(range(36))
    examples = [dataclasses.replace(one, group="one") for one in answers.examples]
    alike = measure(predictor, config, dataclasses.replace(answers, examples=tuple(examples)))
    assert alike.standing == UNPROVEN
    none = measure(predictor, config, answers_with([]))
    assert (none.standing, none.images, none.figures) == (UNPROVEN, 0, {})


def test_measure_maps_knows_maps_that_healthy_images_have_too(predictor, config) -> None:
    answers = answers_with(list(range(36)) * 2)
    same = np.array(answers.maps)
    same[:, 1] = np.arange(36).reshape(6, 6) / 35
    # Peaks wander; the rest of the map is always the same.
    same[np.arange(72), 1, np.arange(72) % 36 // 6, np.arange(72) % 6] = 1.01
    found = measure(predictor, config, dataclasses.replace(answers, maps=same))
    assert found.figures["normal_likeness"].value > 0.8
    assert found.reasons == (
        f"They resemble those of normal images (correlation "
        f"{found.figures['normal_likeness'].value:.2f}).",
    )


@pytest.mark.parametrize("side", [5, 6, 7, 9, 12])
def test_list_places_holds_a_cell_whole_and_asks_for_one_area_whatever_the_grid(side: int) -> None:
    places = list_places(side, side)
    assert places.shape[0] == side * side
    # A blob in one cell is in one place, wherever that cell lies.
    assert places.max(axis=1) == pytest.approx(1)
    area = places.sum(axis=0) / side**2
    assert area == pytest.approx(max(1 / 6, 1 / side) ** 2)


def metric(value: float, low: float, high: float, asked: int = 40) -> Metric:
    return Metric(value, low, high, images=asked, asked=asked, groups=asked)


GOOD = {
    "same_place": metric(0.2, 0.1, 0.3),
    "normal_likeness": metric(0.1, 0.0, 0.2),
    "peak_on_mask": metric(0.95, 0.85, 0.99),
    "peak_above_others": metric(0.2, 0.1, 0.3),
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"same_place": metric(0.45, 0.4, 0.55)}, "one place"),
        ({"peak_on_mask": metric(0.85, 0.75, 0.9)}, "85% of their peaks lie on the lungs."),
        ({"peak_on_mask": metric(1, 0.9, 1, asked=12)}, "Only 12 images with a mask"),
        ({"peak_above_others": metric(0.1, -0.01, 0.2)}, "hardly more often"),
        ({"peak_on_mask": None}, "Only 0 images with a mask of the lungs"),
    ],
)
def test_judge_maps_goes_by_the_end_of_the_interval(config, changes, reason) -> None:
    figures = {name: one for name, one in (GOOD | changes).items() if one is not None}
    standing, reasons = judge_maps(figures, config, has_masks=True)
    assert standing == UNPROVEN
    assert reason in " ".join(reasons)
    assert judge_maps(GOOD, config, has_masks=True) == (SUPPORTED, ())
    without = {name: GOOD[name] for name in ("same_place",)}
    assert judge_maps(without, config, has_masks=False)[0] == UNPROVEN


def write_masks(folder: Path, rows: Sequence[Sequence[str]], columns=("path", "mask")) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "masks.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return folder


def draw_mask(path: Path, *, left: float = 0, right: float = 1, size=(60, 40)) -> None:
    mask = np.zeros(size[::-1], np.uint8)
    mask[:, int(left * size[0]) : int(right * size[0])] = 255
    Image.fromarray(mask).save(path)


def test_load_masks_finds_images_in_its_folder_or_in_the_data(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "masks"
    data.mkdir()
    folder.mkdir()
    for place in (data / "a.png", folder / "b.png", folder / "m.png"):
        draw_mask(place, right=0.5)
    rows = [("a.png", "m.png", "p1"), ("b.png", "m.png", "")]
    write_masks(folder, rows, ("Path", "mask", "group"))
    assert load_masks(folder, data) == [
        MaskedImage(data / "a.png", folder / "m.png", "p1"),
        MaskedImage(folder / "b.png", folder / "m.png", "b.png"),
    ]


@pytest.mark.parametrize(
    ("rows", "columns", "detail"),
    [
        ([("a.png", "m.png")], ("path", "label"), "no column mask"),
        ([("gone.png", "m.png")], ("path", "mask"), "line 2: there is no file"),
        ([("a.png", "gone.png")], ("path", "mask"), "line 2: there is no file"),
        ([("", "m.png")], ("path", "mask"), "line 2"),
        ([("a.png", "")], ("path", "mask"), "line 2"),
        ([("a.png", "m.png"), ("a.png", "m.png")], ("path", "mask"), "line 3: a.png was named"),
        ([], ("path", "mask"), "it names no image"),
    ],
)
def test_load_masks_says_what_is_wrong_in_which_line(tmp_path, rows, columns, detail) -> None:
    folder = write_masks(tmp_path / "masks", rows, columns)
    draw_mask(folder / "a.png", right=0.5)
    draw_mask(folder / "m.png", right=0.5)
    with pytest.raises(DataInvalid, match=detail):
        load_masks(folder, tmp_path)
    with pytest.raises(DataInvalid):
        load_masks(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("shape", "left", "right", "detail"),
    [
        ((40, 60), 0.0, 0.0, "nothing, or everything"),
        ((40, 60), 0.0, 1.0, "nothing, or everything"),
        ((60, 40), 0.0, 0.5, "isn't the shape"),
        ((40, 50), 0.0, 0.5, "isn't the shape"),
    ],
)
def test_read_mask_refuses_what_is_no_mask_of_the_image(
    tmp_path, shape, left, right, detail
) -> None:
    draw_mask(tmp_path / "m.png", left=left, right=right)
    one = MaskedImage(tmp_path / "a.png", tmp_path / "m.png", "a")
    with pytest.raises(DataInvalid, match=detail):
        read_mask(one, shape=shape)
    (tmp_path / "m.png").write_bytes(b"no picture")
    with pytest.raises(DataInvalid):
        read_mask(one, shape=(40, 60))


def test_measure_maps_tells_own_masks_from_those_of_others(
    predictor: Predictor, config: TaskConfig, tmp_path: Path
) -> None:
    """One film, thrice beside its mirror image: the mask of its peak's side, or of the other."""
    frame = read_frames(CHEST)[0]
    (prediction,) = predictor.predict([frame])
    grid = prediction.activation_maps["pneumonia"]
    is_left = grid.argmax() % grid.shape[1] < grid.shape[1] / 2
    size = (frame.columns, frame.rows)
    draw_mask(tmp_path / "peak.png", left=0.5 - 0.5 * is_left, right=1 - 0.5 * is_left, size=size)
    draw_mask(tmp_path / "beside.png", left=0.5 * is_left, right=0.5 + 0.5 * is_left, size=size)
    on, off = (MaskedImage(CHEST, tmp_path / name, name) for name in ("peak.png", "beside.png"))
    found = measure(predictor, config, answers_with([1]), [on, off, off, off])
    figures = {name: one.value for name, one in found.figures.items()}
    assert found.masked == 4
    assert figures["peak_on_mask"] == 0.25
    assert figures["peak_on_others"] == pytest.approx((0 + 3 * 1 / 3) / 4)
    assert figures["mask_share"] == pytest.approx(0.5, abs=0.01)
    assert figures["peak_above_others"] == pytest.approx(0)
    assert 0 < figures["weight_on_mask"] < 1


def test_predict_makes_maps_at_another_size_and_scores_as_before(
    predictor: Predictor, released_path: Path, tmp_path: Path
) -> None:
    size = predictor.bundle.manifest.input.size
    larger = open_predictor(rescaled(released_path, tmp_path, size * 3 // 2), device="cpu")
    frames = [read_frames(CHEST)[0]]
    (before,), (after,) = predictor.predict(frames), larger.predict(frames)
    assert after.probabilities == before.probabilities
    assert after.abstention == before.abstention
    for label, grid in before.activation_maps.items():
        assert after.activation_maps[label].shape == tuple(3 * side // 2 for side in grid.shape)
        assert 0 <= after.activation_maps[label].min() <= after.activation_maps[label].max() <= 1
    blank = dataclasses.replace(frames[0], pixels=np.zeros_like(frames[0].pixels))
    assert max(grid.max() for grid in larger.predict([blank])[0].activation_maps.values()) == 0


@pytest.mark.parametrize("size", [1, 191, 10_000, -192])
def test_load_bundle_refuses_maps_of_an_odd_size(released_path, tmp_path, size) -> None:
    with pytest.raises(BundleInvalid, match="map_size"):
        load_bundle(rescaled(released_path, tmp_path, size))


@pytest.mark.parametrize(
    "override", [{"maps.scale": 0.5}, {"maps.scale": 5.0}, {"maps.max_same_place": 2.0}]
)
def test_load_task_refuses_odd_rules_for_maps(override) -> None:
    with pytest.raises(TaskConfigInvalid, match=next(iter(override))):
        load_chest(override)


def test_export_and_evaluate_measure_maps_and_say_so(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, capsys
) -> None:
    bundle = next((tiny_run / "bundles" / "chest-xray").glob("*/manifest.json")).parent
    manifest, _ = read_manifest(bundle)
    assert manifest.map_size == 48
    assert manifest.maps is not None
    assert manifest.maps.standing == UNPROVEN
    assert "## Heat maps" in (bundle / "model_card.md").read_text()
    assert 'id="maps"' in (bundle / "evaluation.html").read_text()
    folder = write_masks(tmp_path / "masks", [("a.png", "m.png"), ("b.png", "m.png")])
    for name in ("a.png", "b.png"):
        Image.fromarray(draw_case("pneumonia", np.random.default_rng(3))).save(folder / name)
    with Image.open(folder / "a.png") as image:
        draw_mask(folder / "m.png", right=0.5, size=image.size)
    out = tmp_path / "report"
    arguments = ["evaluate", "--bundle", str(bundle), "--data", str(tiny_data), "--split", "val"]
    arguments += ["--out", str(out), "--no-robustness", "--masks", str(folder)]
    arguments += ALONE_SET
    with pytest.raises(SystemExit, match="--masks needs --purpose"):
        main(arguments)
    capsys.readouterr()
    assert main([*arguments, "--purpose", "whether maps point at lungs"]) == 0
    told = capsys.readouterr().out
    assert "unproven" in told
    assert json.loads((out / "evaluation.json").read_text())["maps"]["standing"] == UNPROVEN
    assert any("masked images" in one.purpose for one in read_openings(bundle.parent))


def told_supported(bundle: Path, folder: Path) -> Path:
    """A copy of the bundle whose manifest says that its maps keep the rule."""
    copy = Path(shutil.copytree(bundle, folder / bundle.name))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["maps"] |= {"standing": SUPPORTED, "reasons": []}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_explain_says_that_maps_are_unproven(tiny_run: Path, tmp_path: Path, capsys) -> None:
    bundle = next((tiny_run / "bundles" / "chest-xray").glob("*/manifest.json")).parent
    arguments = ["explain", str(CHEST), "--task", "chest-xray", "--out", str(tmp_path)]
    assert main([*arguments, "--bundle", str(bundle)]) == 0
    assert "not shown to point at disease" in capsys.readouterr().out
    supported = told_supported(bundle, tmp_path / "supported")
    assert main([*arguments, "--bundle", str(supported)]) == 0
    assert "not shown" not in capsys.readouterr().out
