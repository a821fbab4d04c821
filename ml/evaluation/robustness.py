"""How the answers hold when the same images come noisier, softer, flatter, turned or smaller."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from tqdm import tqdm

from ml.evaluation.scoring import CHUNK, Answers
from ml.images import Frame, Voi, read_frames, to_display
from ml.predictor import Predictor

MAX_IMAGES = 300
SEED = 17

Picture = NDArray[np.uint8]
Spoil = Callable[[Picture, float, np.random.Generator], Picture]


@dataclass(frozen=True, slots=True)
class Change:
    """A way to spoil an image: its name, the strength's unit, three strengths, and how."""

    name: str
    unit: str
    strengths: tuple[float, float, float]
    apply: Spoil


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """Figures on the sample at one strength of one change; None where no image is asked.

    `disease_recall`: diseased images given their own disease; `normal_recall`: normal ones called
    normal. Strength 0 is the sample as it is.
    """

    change: str
    unit: str
    strength: float
    images: int
    accuracy: float
    disease_recall: float | None
    normal_recall: float | None
    refused: float


def measure_robustness(
    predictor: Predictor, answers: Answers, *, max_images: int = MAX_IMAGES
) -> list[RobustnessRow]:
    """Three strengths of each change on a seeded sample of the scored images."""
    order = np.random.default_rng(SEED).permutation(len(answers.examples))
    sample = np.sort(order[:max_images])
    pictures = [to_display(read_frames(answers.examples[row].path)[0]) for row in sample]
    targets = answers.targets[sample]
    rows = []
    runs = [(change, strength) for change in CHANGES for strength in change.strengths]
    for change, strength in tqdm(runs, desc="robustness", unit="run", disable=None):
        if strength == change.strengths[0]:
            untouched = (answers.given[sample], answers.is_refused[sample])
            rows.append(_score(predictor, change, 0.0, targets, *untouched))
        given, is_refused = _predict_spoiled(predictor, pictures, change, strength)
        rows.append(_score(predictor, change, strength, targets, given, is_refused))
    return rows


def spoil_picture(picture: Picture, change: str, strength: float, *, seed: int = SEED) -> Picture:
    """The picture (HxW or HxWx3) after a change, by its name; raises KeyError for no such one."""
    spoil = {one.name: one.apply for one in CHANGES}[change]
    return spoil(picture, strength, np.random.default_rng(seed))


def _predict_spoiled(
    predictor: Predictor, pictures: list[Picture], change: Change, strength: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    labels, rng = predictor.bundle.labels, np.random.default_rng(SEED)
    given, refused = [], []
    for start in range(0, len(pictures), CHUNK):
        part = [change.apply(one, strength, rng) for one in pictures[start : start + CHUNK]]
        for prediction in predictor.predict([_as_frame(one) for one in part]):
            given.append(labels.index(predictor.conclude([prediction]).label_at_thresholds))
            refused.append(prediction.abstention is not None)
    return np.array(given), np.array(refused)


def _as_frame(picture: Picture) -> Frame:
    is_colour = picture.ndim == 3
    return Frame(
        pixels=picture,
        is_colour=is_colour,
        photometric_interpretation="RGB" if is_colour else "MONOCHROME2",
        rows=picture.shape[0],
        columns=picture.shape[1],
        voi=Voi("NONE"),
    )


def _score(
    predictor: Predictor,
    change: Change,
    strength: float,
    targets: NDArray[np.int64],
    given: NDArray[np.int64],
    is_refused: NDArray[np.bool_],
) -> RobustnessRow:
    manifest = predictor.bundle.manifest
    is_right = given == targets
    is_normal = np.zeros(len(targets), bool)
    if manifest.normal_label in manifest.labels:
        is_normal = targets == manifest.labels.index(manifest.normal_label)
    return RobustnessRow(
        change=change.name,
        unit=change.unit,
        strength=strength,
        images=len(targets),
        accuracy=float(is_right.mean()),
        disease_recall=_mean(is_right[~is_normal]),
        normal_recall=_mean(is_right[is_normal]),
        refused=float(is_refused.mean()),
    )


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None


def _add_noise(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    noisy = picture + rng.normal(0, strength, picture.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _blur(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    radius = strength / 100 * min(picture.shape[:2])
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _flatten(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    mean = picture.mean()
    return np.asarray(np.rint(mean + (picture - mean) * (1 - strength / 100)), np.uint8)


def _rotate(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    fill = np.median(border, axis=0).astype(int)
    colour = tuple(fill.tolist()) if picture.ndim == 3 else int(fill)
    angle = strength * rng.choice((-1, 1))
    turned = Image.fromarray(picture).rotate(angle, Image.Resampling.BILINEAR, fillcolor=colour)
    return np.asarray(turned)


def _compress(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=int(strength))
    with Image.open(buffer) as image:
        return np.asarray(image)


def _shrink(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """As a coarser detector would have seen it; an image that is smaller already stays as it is."""
    image = Image.fromarray(picture)
    side = max(max(image.size) / strength, 1)
    small = image.resize(
        (max(round(image.width / side), 1), max(round(image.height / side), 1)),
        Image.Resampling.BOX,
    )
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))


CHANGES = (
    Change("noise", "standard deviation in grey levels", (5.0, 15.0, 30.0), _add_noise),
    Change("blur", "radius in % of the shorter side", (0.5, 1.0, 2.0), _blur),
    Change("contrast", "% taken away", (25.0, 50.0, 75.0), _flatten),
    Change("rotation", "degrees, to either side", (5.0, 10.0, 20.0), _rotate),
    Change("JPEG", "quality", (50.0, 25.0, 10.0), _compress),
    Change("resolution", "pixels of the longer side", (128.0, 64.0, 32.0), _shrink),
)
