"""Changes that take away what tells sources apart: each does what it says, and only if asked."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.errors import TaskConfigInvalid
from ml.workshop.datasets import Dataset, Example
from ml.workshop.task_config import AugmentationConfig, TaskConfig, find_task, load_task
from ml.workshop.training import appearance
from ml.workshop.training.augmentation import augment_display
from ml.workshop.training.batches import ImageBatches
from tests.ml.conftest import load_chest
from tests.ml.pictures import draw_case

NEW_SHARES = (
    "blur_share",
    "compress_share",
    "colour_share",
    "constancy_share",
    "style_share",
    "square_share",
    "frame_share",
    "mark_share",
)
AMOUNTS: dict[str, Any] = {
    "blur": 0.03,
    "min_quality": 5.0,
    "hue": 0.1,
    "saturation": 0.5,
    "white_balance": 0.3,
    "style": 1.0,
}
# What skin-lesion 1.1.0 was changed by.
FORMER: dict[str, Any] = {"aspect": 0.15, "resolution_share": 0.2, "min_resolution": 0.5}
GREY_ONLY = ("colour_share", "constancy_share")


def still(**changes: Any) -> AugmentationConfig:
    """Choices by which nothing changes but what is asked for."""
    config = load_chest().augmentation
    names = [field.name for field in dataclasses.fields(config)]
    shares = {name: 0.0 for name in names if name.endswith("_share")}
    choices = {"quarter_turns": False} | shares | AMOUNTS | changes
    return dataclasses.replace(config, **choices)


def draw_lesion(height: int = 120, width: int = 160) -> np.ndarray:
    """A reddish field with a brown disc of fine stripes."""
    rows, columns = np.mgrid[:height, :width]
    picture = np.zeros((height, width, 3), np.float64) + (200, 150, 140)
    disc = np.hypot(rows - height / 2, columns - width / 2) < 40
    picture[disc] = (120, 70, 50)
    picture += 20 * np.sign(np.sin(columns))[..., np.newaxis]
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw_grey() -> np.ndarray:
    return draw_case("pneumonia", np.random.default_rng(0))[:, 20:]


def draw_dark(rng: np.random.Generator) -> np.ndarray:
    return np.full((90, 70, 3), (10, 30, 80), np.uint8)


def sharpness(picture: Any) -> float:
    levels = np.asarray(Image.fromarray(np.asarray(picture)).convert("L"), np.float64)
    return float(np.abs(np.diff(levels, axis=1)).mean())


@pytest.mark.parametrize(
    ("task", "digest"), [("chest-xray", "7f8fa21881477c01"), ("skin-lesion", "a6e71df0b963bf40")]
)
def test_augment_display_draws_as_before_when_nothing_new_is_asked_for(
    task: str, digest: str
) -> None:
    choices = AMOUNTS | dict.fromkeys(NEW_SHARES, 0.0) | (FORMER if task == "skin-lesion" else {})
    config = dataclasses.replace(load_task(find_task(task)).augmentation, **choices)
    grey = draw_case("pneumonia", np.random.default_rng(0))
    is_grey = task == "chest-xray"
    shown = grey if is_grey else np.stack([grey, grey // 2, 255 - grey], axis=-1)
    seen = hashlib.sha256()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen.update(augment_display(shown, config, rng, draw_other=draw_dark).tobytes())
    assert seen.hexdigest()[:16] == digest


@pytest.mark.parametrize("name", NEW_SHARES)
@pytest.mark.parametrize("draw", [draw_grey, draw_lesion])
def test_augment_display_changes_an_image_of_the_same_size_by_the_seed_alone(
    name: str, draw: Callable[[], np.ndarray]
) -> None:
    shown = draw()
    kept = shown.copy()
    config = still(**{name: 1.0})

    def change(seed: int) -> np.ndarray:
        return augment_display(shown, config, np.random.default_rng(seed), draw_other=draw_dark)

    changed = [change(seed) for seed in range(12)]
    assert all(one.shape == shown.shape and one.dtype == np.uint8 for one in changed)
    np.testing.assert_array_equal(shown, kept)
    np.testing.assert_array_equal(change(3), changed[3])
    has_colour = shown.ndim == 3
    differing = sum(not np.array_equal(one, shown) for one in changed)
    assert differing >= 6 if has_colour or name not in GREY_ONLY else differing == 0


def test_blur_takes_sharpness_away_up_to_what_is_asked_for() -> None:
    image = Image.fromarray(draw_lesion())
    before = sharpness(image)
    for least, most, kept in ((0.0, 0.001, 0.8), (0.03, 0.03, 0.0)):
        config = still(blur=most)
        after = [
            sharpness(appearance.blur(image, config, np.random.default_rng(s))) for s in range(9)
        ]
        assert min(after) >= kept * before, (least, most)
    assert np.median(after) < 0.7 * before


def test_smear_moves_along_its_line_and_keeps_the_edges_light() -> None:
    stripes = np.tile(np.where(np.arange(64) % 8 < 4, 0, 200).astype(np.uint8), (64, 1))
    along = appearance._smear(Image.fromarray(stripes), 16, np.pi / 2)
    across = appearance._smear(Image.fromarray(stripes), 16, 0.0)
    assert sharpness(along) == pytest.approx(sharpness(stripes), rel=0.02)
    assert sharpness(across) < 0.4 * sharpness(stripes)
    flat = np.full((40, 30), 180, np.uint8)
    np.testing.assert_array_equal(appearance._smear(Image.fromarray(flat), 12, 0.7), flat)


def test_compress_keeps_what_shows_and_loses_what_a_low_quality_loses() -> None:
    shown = draw_lesion()
    config = still(min_quality=5.0)
    images = [
        np.asarray(appearance.compress(Image.fromarray(shown), config, np.random.default_rng(seed)))
        for seed in range(20)
    ]
    losses = [np.abs(image.astype(float) - shown).mean() for image in images]
    assert min(losses) < 6 < max(losses) < 40


def test_recolour_turns_colours_and_leaves_brightness_nearly_alone() -> None:
    shown = draw_lesion()
    config = still(white_balance=0.0, saturation=0.0, hue=0.1)
    changed = np.asarray(
        appearance.recolour(Image.fromarray(shown), config, np.random.default_rng(4))
    )
    grey = [np.asarray(Image.fromarray(one).convert("L"), float) for one in (shown, changed)]
    assert np.abs(grey[0] - grey[1]).mean() < 6
    assert np.abs(shown.astype(float) - changed).mean() > 4


def test_neutralise_takes_a_cast_away() -> None:
    white = np.random.default_rng(0).integers(120, 200, (80, 80, 1)).repeat(3, axis=2)
    cast = np.clip(white * (1.2, 1.0, 0.7), 0, 255).astype(np.uint8)

    def tint(picture: Any) -> float:
        means = np.asarray(picture, float).mean(axis=(0, 1))
        return float(means.max() - means.min())

    tints = [
        tint(appearance.neutralise(Image.fromarray(cast), np.random.default_rng(seed)))
        for seed in range(20)
    ]
    assert max(tints) <= tint(cast) + 1
    assert min(tints) < 0.2 * tint(cast)


def test_restyle_reaches_the_levels_or_the_light_of_the_other_image() -> None:
    shown = draw_lesion()
    noise = np.random.default_rng(0).integers(-20, 21, shown.shape)
    image = Image.fromarray(np.clip(shown + noise, 0, 255).astype(np.uint8))
    other = Image.fromarray(np.asarray(image) // 3)
    levels = appearance._match_levels(image, other, 1.0)
    for own, foreign in zip(levels.split(), other.split(), strict=True):
        quantiles = np.percentile(np.asarray(own), (10, 50, 90))
        assert quantiles == pytest.approx(np.percentile(np.asarray(foreign), (10, 50, 90)), abs=4)
    light = np.asarray(appearance._match_light(image, other, 1.0, 2), float)
    assert light.mean() == pytest.approx(np.asarray(other, float).mean(), abs=12)
    assert sharpness(light.astype(np.uint8)) > 0.6 * sharpness(image)
    same = appearance._match_light(image, other, 0.0, 2)
    assert np.abs(np.asarray(same, float) - np.asarray(image)).max() <= 1


def test_cut_square_shows_a_disc_of_a_wide_image_unsqueezed_on_the_square() -> None:
    shown = np.zeros((120, 200), np.uint8)
    rows, columns = np.mgrid[:120, :200]
    shown[np.hypot(rows - 60, columns - 100) < 40] = 255
    squashed = appearance.cut_square(Image.fromarray(shown)).resize((100, 100))
    bright = np.asarray(squashed) > 127
    height, width = bright.any(axis=1).sum(), bright.any(axis=0).sum()
    assert abs(int(height) - int(width)) <= 2


def test_frames_darken_the_rim_and_marks_cover_little() -> None:
    shown = np.full((120, 160, 3), 200, np.uint8)
    drawn = [appearance.frame(Image.fromarray(shown), np.random.default_rng(s)) for s in range(20)]
    framed = np.stack([np.asarray(one, float) for one in drawn])
    assert framed[:, 40:80, 50:110].mean() > 180
    assert framed[:, :6].mean() < 170
    drawn = [appearance.mark(Image.fromarray(shown), np.random.default_rng(s)) for s in range(20)]
    covered = [(np.asarray(one) != shown).any(axis=-1).mean() for one in drawn]
    assert 0 < np.mean(covered) < 0.08


def test_augment_display_makes_the_smallest_image_through() -> None:
    config = still(**dict.fromkeys(NEW_SHARES, 1.0))
    for shape in ((8, 8), (8, 21, 3), (1, 1, 3)):
        shown = np.full(shape, 90, np.uint8)
        for seed in range(8):
            rng = np.random.default_rng(seed)
            assert augment_display(shown, config, rng, draw_other=draw_dark).shape == shape


@pytest.mark.parametrize(
    ("entry", "value", "complaint"),
    [
        ("augmentation.blur_share", 1.2, "blur_share"),
        ("augmentation.blur", 0.5, "augmentation.blur"),
        ("augmentation.min_quality", 0.0, "min_quality"),
        ("augmentation.style", 2.0, "augmentation.style"),
        ("augmentation.hue", 0.7, "augmentation.hue"),
        ("training.source_power", -0.5, "source_power"),
    ],
)
def test_load_task_refuses_a_change_out_of_range(entry: str, value: float, complaint: str) -> None:
    with pytest.raises(TaskConfigInvalid, match=complaint):
        load_chest({entry: value})


@pytest.fixture
def two_sources(tmp_path: Path) -> Dataset:
    """Six dark images of one source, two bright ones of another."""
    examples = []
    for number in range(8):
        source, level = ("dark", 40) if number < 6 else ("bright", 220)
        path = tmp_path / f"{number}.png"
        noise = np.random.default_rng(number).integers(0, 20, (48, 64))
        Image.fromarray((level + noise - 10).astype(np.uint8)).save(path)
        row = (path, path.name, "normal", "normal", source, str(number), "train", "")
        examples.append(Example(*row))
    return Dataset(tuple(examples), digest="")


def open_styled(dataset: Dataset, **overrides: Any) -> ImageBatches:
    config: TaskConfig = load_task(
        find_task("chest-xray"),
        overrides={"input.size": 32, "training.batch_size": 8, "input.contrast": "as_shown"},
    )
    config = dataclasses.replace(config, augmentation=still(style_share=1.0, mix_share=0.0))
    weights = [1.0] * len(dataset.examples)
    options = {"is_augmented": True, "is_shuffled": True, "workers": 1} | overrides
    return ImageBatches(dataset.examples, config, weights=weights, **options)


def test_image_batches_take_the_style_of_another_source(two_sources: Dataset) -> None:
    batches = open_styled(two_sources)
    by_level: list[float] = []
    for epoch in range(6):
        batches.start_epoch(epoch)
        images, _, _ = batches[0]
        is_dark = batches._order < 6
        by_level += images[is_dark].mean(axis=(1, 2, 3)).tolist()
    assert np.mean(by_level) > 90
    judged = open_styled(two_sources, is_shuffled=False)
    assert judged[0][0][:6].mean() > 90


def test_image_batches_give_styles_again_whatever_is_kept(two_sources: Dataset) -> None:
    kept, unkept = open_styled(two_sources), open_styled(two_sources)
    kept.load()
    unkept.cache.limit = 0
    for epoch in (3, 1):
        kept.start_epoch(epoch)
        unkept.start_epoch(epoch)
        np.testing.assert_array_equal(kept[0][0], unkept[0][0])
