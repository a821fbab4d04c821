"""Blur, noise, compression, exposure and borders: what is measured, refused, and how."""

import csv
import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ml.images import read_frames
from ml.inputs import InputConfig
from ml.limits import QualityLimit, QualityLimits
from ml.manifest import read_manifest, write_manifest
from ml.predictor import open_predictor
from ml.preprocessing import prepare_display
from ml.quality import COMPLAINTS, MEASURES, Quality, check_quality, measure_quality
from ml.workshop.evaluation.robustness import spoil_picture
from ml.workshop.task_config import find_task, load_task
from tests.ml.pictures import encode_picture

SPEC = InputConfig(size=192, colour="grey", contrast="stretched")
COLOUR = InputConfig(size=224, colour="rgb", contrast="as_shown")


def draw_texture(side: int, *, seed: int = 3) -> NDArray[np.uint8]:
    """Bones and lungs of a kind, with detail at every scale, black around as on a film."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, np.newaxis], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / (frequency + 1 / side) ** 1.4
    field = np.fft.irfft2(spectrum, (side, side))
    levels = 128 + 38 * (field - field.mean()) / field.std()
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    levels[np.hypot(rows, columns) > 0.46] = 0
    return np.asarray(np.clip(np.rint(levels), 0, 250), np.uint8)


def measure(shown: NDArray[np.uint8], spec: InputConfig = SPEC) -> Quality:
    return measure_quality(shown, prepare_display(shown, spec))


def blur(shown: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(shown).filter(ImageFilter.GaussianBlur(radius)))


def shrink(shown: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(shown).resize((side, side), Image.Resampling.LANCZOS))


def compress(shown: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(shown).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("is_colour", [False, True])
def test_measure_quality_grows_with_blur(is_colour: bool) -> None:  # noqa: FBT001 - a case
    shown = draw_texture(256)
    spec = SPEC
    if is_colour:
        shown, spec = np.stack([shown, shown // 2, shown // 3], axis=-1), COLOUR
    found = [measure(blur(shown, radius), spec)["blur"] for radius in (0, 1, 2, 4)]
    assert found == sorted(found)
    assert found[2] - found[0] > 0.5
    assert measure(blur(shown, 2), spec)["noise"] == -found[2]


def test_measure_quality_takes_a_large_image_for_as_sharp_as_its_copies() -> None:
    large = draw_texture(3000)
    sharp = measure(large)["blur"]
    blurred = measure(blur(shrink(large, 256), 2))["blur"]
    for side in (1024, 512, 256):
        assert abs(measure(shrink(large, side))["blur"] - sharp) < 0.3 * (blurred - sharp)
    # What is soft in the original alone, nobody sees in the network's input.
    assert measure(blur(large, 3))["blur"] - sharp < 0.3 * (blurred - sharp)
    # What is as soft as two pixels of the copy is refused as that is.
    assert measure(blur(large, 2 * 3000 / 256))["blur"] == pytest.approx(blurred, abs=0.2)


@pytest.mark.parametrize("offset", [0, 3])
def test_measure_quality_sees_the_blocks_of_jpeg_wherever_they_begin(offset: int) -> None:
    shown = draw_texture(256)
    found = [
        measure(compress(shown, quality)[offset:, offset:])["blocking"]
        for quality in (95, 25, 10, 5)
    ]
    assert found == sorted(found)
    assert found[-1] > 4 * found[0]


def test_measure_quality_leaves_blocks_alone_that_the_network_cannot_see() -> None:
    assert measure(compress(draw_texture(3000), 5))["blocking"] == 0


def test_measure_quality_counts_levels_light_and_borders() -> None:
    shown = draw_texture(256)
    plain = measure(shown)
    assert measure(np.where(shown > 128, 255, 0).astype(np.uint8))["coarseness"] >= 7
    assert measure(spoil_picture(shown, "overexposure", 2.0))["glare"] > plain["glare"] + 0.3
    assert measure(spoil_picture(shown, "underexposure", 3.0))["darkness"] > plain["darkness"] + 0.3
    assert measure(spoil_picture(shown, "crop", 50.0))["cut"] > plain["cut"] + 0.5
    assert measure(spoil_picture(shown, "border", 50.0))["border"] > plain["border"] + 0.5


@pytest.mark.parametrize("level", [0, 255])
def test_measure_quality_is_finite_when_nothing_is_shown(level: int) -> None:
    for shape in ((200, 160), (40, 40), (96, 96, 3)):
        shown = np.full(shape, level, np.uint8)
        found = measure(shown, SPEC if len(shape) == 2 else COLOUR)
        assert np.isfinite(list(found.values())).all()


def limits_of(**limits: float) -> QualityLimits:
    made = {name: QualityLimit(limit, 0.0) for name, limit in limits.items()}
    return QualityLimits(limits=made, validation_refusal=0.0, target_refusal=0.01)


def test_check_quality_says_what_is_wrong_and_what_to_do() -> None:
    poor: Quality = dict.fromkeys(MEASURES, 1.0)
    for measure_name, complaint in COMPLAINTS.items():
        found = check_quality(poor, limits_of(**{measure_name: 0.5}))
        assert found is not None
        assert found.code == complaint.code
        assert found.reason.count(".") == 2
        assert check_quality(poor, limits_of(**{measure_name: 1.0})) is None
    assert check_quality(poor, limits_of()) is None


def test_predictor_refuses_a_blurred_image_when_the_bundle_has_limits(
    released_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(released_path, tmp_path / "copy")
    manifest, _ = read_manifest(copy)
    assert manifest.quality is None
    picture = draw_texture(256)
    frames = [read_frames(encode_picture(one))[0] for one in (picture, blur(picture, 4))]
    before = [one.abstention for one in open_predictor(copy, device="cpu").predict(frames)]
    assert "too_blurred" not in [one.code for one in before if one]
    sharp, soft = measure(picture)["blur"], measure(blur(picture, 4))["blur"]
    limits = limits_of(blur=(sharp + soft) / 2)
    write_manifest(dataclasses.replace(manifest, quality=limits), copy)
    first, second = open_predictor(copy, device="cpu").predict(frames)
    assert first.abstention == before[0]
    assert second.abstention is not None
    assert second.abstention.code == "too_blurred"


@pytest.mark.parametrize(
    ("name", "task"),
    [("retina_3_b2.png", "retina"), ("chest-xray_3_b4.png", "chest-xray")],
)
def test_measure_quality_tells_a_blurred_case_from_the_samples(
    shared: Path, name: str, task: str
) -> None:
    spec = load_task(find_task(task)).input
    spoilt = np.asarray(Image.open(shared / "cases" / name))
    with (shared / "data" / f"{task}.csv").open(newline="") as stream:
        rows = [row["path"] for row in csv.DictReader(stream) if row["split"] == "val"][::20]
    assert len(rows) > 5
    unspoilt = []
    for path in rows:
        image = Image.open(shared / "data" / path).convert("L" if spec.colour == "grey" else "RGB")
        unspoilt.append(measure(np.asarray(image), spec)["blur"])
    assert measure(spoilt, spec)["blur"] > max(unspoilt)
