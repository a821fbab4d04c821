"""The audit of a data set: planted leaks are refused, a clean set passes, nothing is dropped."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.images import read_frames
from ml.workshop.audit.audit import Audit, audit_dataset
from ml.workshop.audit.confounding import cramers_v
from ml.workshop.audit.leaks import choose_excluded
from ml.workshop.audit.likeness import find_near, perceptual_hashes
from ml.workshop.audit.pictures import make_thumbnail
from ml.workshop.audit.summary import format_audit
from ml.workshop.cli import main
from ml.workshop.datasets import load_dataset
from ml.workshop.evaluation.baselines import frozen_scores, score_baseline, thumbnail_scores
from tests.ml.conftest import ALONE_SET, load_chest
from tests.ml.pictures import LABELS, draw_case

FIRST = "chest-xray/guangzhou/normal/0.png"


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy of the generated set, to plant faults in."""
    return shutil.copytree(tiny_data, tmp_path / "data")


def add_row(data: Path, name: str, *, label: str = "normal", split: str, group: str = "x") -> Path:
    """A new row of the table; returns the path where its image belongs."""
    with (data / "chest-xray.csv").open("a", newline="") as stream:
        csv.writer(stream).writerow((name, label, "guangzhou", group, split))
    return data / name


def run_audit(data: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status of the command and the report that it wrote."""
    out = data.parent / "audit"
    status = main(
        ["audit-data", "chest-xray", "--data", str(data), "--out", str(out), *ALONE_SET, *options]
    )
    report: dict[str, Any] = json.loads((out / "audit.json").read_text())
    return status, report


def look(data: Path) -> Audit:
    """The audit without its report."""
    return audit_dataset(load_chest(), data)


def codes(audit: Audit) -> list[str]:
    return [error.code for error in audit.errors]


def draw_texture(seed: int) -> Image.Image:
    """A picture of blotches of several sizes: what survives compression, as organs do."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((160, 160))
    for side, strength in ((6, 60), (24, 30), (80, 8)):
        blotches = Image.fromarray(rng.uniform(-1, 1, (side, side)).astype(np.float32))
        levels += strength * np.asarray(blotches.resize((160, 160), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(128 + levels, 0, 255).astype(np.uint8))


def test_audit_data_passes_when_the_set_is_clean(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = run_audit(data)
    printed = capsys.readouterr().out
    assert status == 0
    assert "clean: no group, copy or near-duplicate of 30 images crosses splits" in printed
    assert report["errors"] == []
    assert report["balance"]["pneumonia"] == {"train": 6, "val": 2, "test": 2}
    assert report["shapes"]["size"] == {"128 x 128": 30}
    assert report["sources"]["guangzhou"] == dict.fromkeys(LABELS, 10)
    figures = report["baselines"]["16 x 16 thumbnails, logistic regression"]["test"]
    assert 0 <= figures["balanced_accuracy"] <= 1
    out = data.parent / "audit"
    page = (out / "audit.html").read_text()
    # One drawing and three montages, all of it inside.
    assert page.count("<svg") == 1
    assert page.count('src="data:image/webp;base64,') == page.count("src=") == 3
    assert not re.search(r"<script|<link|@import|url\((?!#)", page)
    for name in ("class_frequency", *(f"montage-{label}" for label in LABELS)):
        assert not read_frames(out / f"{name}.png")[0].is_constant


def test_audit_data_refuses_and_reports_every_fault_at_once(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_row(data, "gone.png", split="train", group="normal:9")
    shutil.copyfile(data / FIRST, add_row(data, "copy.png", split="test"))
    status, report = run_audit(data)
    expected = ["group_crosses_splits", "copy_crosses_splits", "images_unreadable"]
    assert status == 2
    assert [error["code"] for error in report["errors"]] == expected
    assert re.findall(r"^(\w+): ", capsys.readouterr().err, re.MULTILINE) == expected
    out = data.parent / "audit"
    page = (out / "audit.html").read_text()
    assert all(name in page for name in ("normal:9", "copy.png", "gone.png"))
    with (out / "near_duplicates.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["first"], row["second"]) == (FIRST, "copy.png")
    assert (row["crosses_splits"], row["labels_differ"]) == ("True", "False")


def test_audit_dataset_refuses_when_a_group_crosses_splits(data: Path) -> None:
    table = data / "chest-xray.csv"
    table.write_text(table.read_text().replace("normal:9,test", "normal:0,test"))
    audit = look(data)
    assert codes(audit) == ["group_crosses_splits"]
    (found,) = audit.crossing_groups
    assert (found.group, found.images) == ("normal:0", {"train": 1, "test": 1})


def test_audit_dataset_refuses_when_a_copy_crosses_splits(data: Path) -> None:
    shutil.copyfile(data / FIRST, add_row(data, "copy.png", split="test"))
    Image.open(data / FIRST).save(add_row(data, "copy.webp", split="test"), lossless=True)
    audit = look(data)
    assert codes(audit) == ["copy_crosses_splits"]
    pairs = [(pair.first.name, pair.second.name, pair.kind) for pair in audit.crossing_pairs]
    assert pairs == [(FIRST, "copy.png", "same file"), (FIRST, "copy.webp", "same pixels")]


@pytest.mark.parametrize("later", ["copy", "near-duplicate"])
def test_audit_data_passes_without_the_excluded_images_when_copies_lie_in_three_splits(
    data: Path, later: str
) -> None:
    original = draw_texture(1)
    original.save(add_row(data, "a.png", split="train", group="a"))
    shutil.copyfile(data / "a.png", add_row(data, "b.png", split="val", group="b"))
    original.save(add_row(data, "b.webp", split="val", group="b"), lossless=True)
    if later == "copy":
        shutil.copyfile(data / "a.png", add_row(data, "c.png", split="test", group="c"))
    else:
        original.save(add_row(data, "c.jpg", split="test", group="c"), quality=70)
    status, _ = run_audit(data)
    assert status == 2
    listed = data.parent / "audit" / "excluded.csv"
    with listed.open(newline="") as stream:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(stream)}
    assert set(reasons) == {"a.png", "b.png", "b.webp"}
    assert all("of c." in reason for name, reason in reasons.items() if name != "a.png")
    kept = listed.rename(data.parent / "kept.csv")
    status, report = run_audit(data, "--set", f'data.excluded="{kept}"')
    assert (status, report["errors"]) == (0, [])
    assert report["images"] == 31


def test_audit_dataset_refuses_when_a_changed_copy_crosses_splits(data: Path) -> None:
    original = draw_texture(1)
    copies = {
        "again.jpg": original,
        "halved.jpg": original.resize((80, 80), Image.Resampling.BICUBIC),
        "enlarged.jpg": original.resize((240, 200), Image.Resampling.LANCZOS),
        "lighter.jpg": original.point([round(255 * (n / 255) ** 0.8) for n in range(256)]),
    }
    original.save(add_row(data, "original.png", split="train"))
    for name, copy in copies.items():
        copy.save(add_row(data, name, split="val", group=name), quality=70)
    audit = look(data)
    assert codes(audit) == ["near_duplicate_crosses_splits"]
    assert {pair.second.name for pair in audit.crossing_pairs} == set(copies)


def test_audit_dataset_lists_near_duplicates_when_they_stay_within_a_split(data: Path) -> None:
    draw_texture(1).save(add_row(data, "original.png", split="train"))
    draw_texture(1).save(add_row(data, "again.jpg", split="train"), quality=70)
    draw_texture(2).save(add_row(data, "other.png", split="test", group="y"))
    audit = look(data)
    assert codes(audit) == []
    assert [pair.second.name for pair in audit.pairs] == ["again.jpg"]


def test_audit_dataset_names_label_conflicts(data: Path) -> None:
    shutil.copyfile(data / FIRST, add_row(data, "twin.png", label="tuberculosis", split="train"))
    audit = look(data)
    assert codes(audit) == []
    (conflict,) = audit.conflicts
    assert (conflict.first.label, conflict.second.label) == ("normal", "tuberculosis")
    assert f"label conflict: {FIRST} is normal, twin.png is tuberculosis (same file)" in set(
        format_audit(audit)
    )


def test_audit_dataset_names_each_unreadable_file(data: Path) -> None:
    add_row(data, "gone.png", split="train")
    add_row(data, "text.png", split="train").write_bytes(b"no image")
    content = (data / FIRST).read_bytes()
    add_row(data, "cut.png", split="train").write_bytes(content[: len(content) // 2])
    audit = look(data)
    assert codes(audit) == ["images_unreadable"]
    assert {one.name: one.code for one in audit.unreadable} == {
        "gone.png": "image_unreadable",
        "text.png": "image_unreadable",
        "cut.png": "image_truncated",
    }


def test_audit_dataset_counts_the_rows_that_the_task_leaves_out(data: Path) -> None:
    add_row(data, "other.png", label="fracture", split="train")
    assert look(data).left_out == {"fracture": 1}


def test_audit_dataset_measures_how_the_label_follows_from_the_source(data: Path) -> None:
    table = data / "chest-xray.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    for row in rows[1:]:
        row[2] = "clinic" if row[1] == "tuberculosis" else "school"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    audit = look(data)
    (found,) = audit.confounding
    assert found.factor == "source"
    assert found.cramers_v > 0.9
    assert found.guessed == pytest.approx(2 / 3)
    assert found.most_frequent == pytest.approx(1 / 3)
    assert audit.source_guess is not None
    assert audit.source_guess.most_frequent == pytest.approx(2 / 3)


def test_cramers_v_is_one_for_a_function_and_near_zero_for_chance() -> None:
    rng = np.random.default_rng(5)
    first = [str(value) for value in rng.integers(0, 4, 600)]
    assert cramers_v(first, [f"label {value}" for value in first]) == pytest.approx(1, abs=0.01)
    assert cramers_v(first, [str(value) for value in rng.integers(0, 3, 600)]) < 0.1
    assert cramers_v(first, ["same"] * 600) == 0


def test_find_near_finds_a_resized_copy_among_many_pictures() -> None:
    pictures = [draw_texture(seed) for seed in range(300)]
    copy = pictures[7].resize((90, 110), Image.Resampling.LANCZOS)
    thumbnails = np.stack([make_thumbnail(np.asarray(one)) for one in (*pictures, copy)])
    assert [(first, second) for first, second, _, _ in find_near(thumbnails)] == [(7, 300)]


def test_perceptual_hashes_differ_between_pictures_and_not_with_exposure() -> None:
    picture = draw_case("pneumonia", np.random.default_rng(2))
    darker = (picture * 0.8).astype(np.uint8)
    other = draw_case("tuberculosis", np.random.default_rng(3))
    hashes = perceptual_hashes(np.stack([make_thumbnail(one) for one in (picture, darker, other)]))
    assert np.bitwise_count(hashes[0] ^ hashes[1]) <= 4
    assert np.bitwise_count(hashes[0] ^ hashes[2]) > 10


def test_frozen_scores_keeps_its_embeddings_for_the_next_time(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "backbone.weights.h5"
    shape = (32, 32, 3)
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=shape)
    backbone.save_weights(weights)
    config = load_chest({"input.size": 32})
    dataset = load_dataset(data, config.data)
    training, testing = dataset.of_split("train"), dataset.of_split("test")
    first = frozen_scores(training, testing, config, weights)
    (cache,) = Path("var/embeddings").iterdir()
    with np.load(cache) as kept:
        assert kept["embeddings"].shape == (24, 1280)
    written = cache.stat().st_mtime_ns
    np.testing.assert_array_equal(first, frozen_scores(training, testing, config, weights))
    assert cache.stat().st_mtime_ns == written
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)


def test_thumbnail_scores_tell_pictures_apart_that_differ_in_brightness(data: Path) -> None:
    config = load_chest()
    dataset = load_dataset(data, config.data)
    testing = dataset.of_split("test")
    scores = thumbnail_scores(dataset.of_split("train"), testing, config)
    figures = score_baseline(scores, testing, config)
    assert figures["recall.tuberculosis"] == 1
    assert figures["accuracy"] > 0.5


def move_picture(image: Image.Image, how: str) -> Image.Image:
    """The same picture as somebody else's copy shows it."""
    wide, high = image.size
    fill = int(np.median(np.asarray(image)))
    if how == "cropped":
        return image.crop((int(0.04 * wide), int(0.02 * high), int(0.98 * wide), int(0.96 * high)))
    if how == "turned":
        return image.rotate(5, Image.Resampling.BILINEAR, fillcolor=fill)
    if how == "shifted":
        moved = Image.new("L", image.size)
        moved.paste(image, (12, -12))
        return moved
    if how == "mirrored":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    raise ValueError(how)


@pytest.mark.parametrize("how", ["cropped", "turned", "shifted", "mirrored"])
@pytest.mark.parametrize("split", ["train", "external-test"])
def test_audit_dataset_refuses_when_a_moved_copy_crosses_splits(
    data: Path, how: str, split: str
) -> None:
    original = draw_texture(1).resize((256, 256), Image.Resampling.BICUBIC)
    original.save(add_row(data, "a.png", split="test", group="a"))
    for seed in range(2, 8):
        draw_texture(seed).save(add_row(data, f"o{seed}.png", split="train", group=f"o{seed}"))
    options = {}
    if split == "train":
        copy = add_row(data, "b.jpg", split="train", group="b")
    else:
        copy = data / "more" / "b.jpg"
        copy.parent.mkdir()
        table = "path,label,source,group,split\nb.jpg,well,porto,porto:1,external-test\n"
        (copy.parent / "porto.csv").write_text(table)
        options = {"data.external": [{"table": "more/porto.csv", "mapping": {"well": "normal"}}]}
    move_picture(original, how).save(copy, quality=90)
    audit = audit_dataset(load_chest(options), data)
    assert codes(audit) == ["near_duplicate_crosses_splits"]
    (pair,) = audit.crossing_pairs
    assert {pair.first.name, pair.second.name} == {"a.png", "b.jpg"}
    assert pair.kind == ("mirrored copy" if how == "mirrored" else "moved copy")
    # The image of the place that decides nothing goes; the test split stays whole.
    assert list(choose_excluded(audit.pairs)) == ["b.jpg"]


def test_audit_dataset_passes_other_pictures_of_the_same_kind(data: Path) -> None:
    for seed in range(1, 40):
        name = f"o{seed}.png"
        split = ("train", "test")[seed % 2]
        draw_texture(seed).save(add_row(data, name, split=split, group=name))
    assert codes(look(data)) == []


@pytest.mark.parametrize("spelled", [" normal:0 ", "normal:00", "normal:000"])
def test_audit_dataset_refuses_a_patient_spelled_in_two_ways(data: Path, spelled: str) -> None:
    draw_texture(3).save(add_row(data, "x.png", split="test", group=spelled))
    audit = look(data)
    assert codes(audit) == ["group_crosses_splits"]
    assert audit.crossing_groups[0].images == {"train": 1, "test": 1}
