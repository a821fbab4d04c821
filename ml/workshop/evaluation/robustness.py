"""How the answers hold when the same images come noisier, softer, flatter, turned or smaller."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ml.images import Frame, Voi, read_frames, to_display
from ml.manifest import Metric
from ml.predictor import Predictor
from ml.workshop.evaluation.exact import make_share
from ml.workshop.evaluation.scoring import CHUNK, Answers
from ml.workshop.figure_names import ROBUSTNESS
from ml.workshop.progress import track

MAX_IMAGES = 300
SEED = 17
# What a gate can name.
RECALLS = (
    "accuracy",
    "disease_recall",
    "normal_recall",
    "refused",
    "normal_recall_or_refused",
    "disease_recall_or_refused",
)
# Part of the sharp images' recall that a change may leave.
ACCEPTED_PART = 0.8

Picture = NDArray[np.uint8]
Spoil = Callable[[Picture, float, np.random.Generator], Picture]


@dataclass(frozen=True, slots=True)
class Change:
    """A way to spoil an image: its name, the strength's unit, strengths, the mildest first."""

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Spoil


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """Figures on the sample at one strength of one change; None where no image is asked.

    `disease_recall`: diseased images given their own disease; `normal_recall`: normal ones called
    normal. With `_or_refused` a refusal counts as right: it misleads nobody. `refused_by_label` is
    by the label of the image, `normals` how many are normal. Strength 0 is the sample as it is.
    """

    change: str
    unit: str
    strength: float
    images: int
    accuracy: float
    disease_recall: float | None
    normal_recall: float | None
    refused: float
    normal_recall_or_refused: float | None = None
    disease_recall_or_refused: float | None = None
    refused_by_label: dict[str, float] = field(default_factory=dict)
    normals: int | None = None


def measure_robustness(
    predictor: Predictor, answers: Answers, *, max_images: int = MAX_IMAGES
) -> list[RobustnessRow]:
    """All strengths of each change on a seeded sample of the scored images."""
    order = np.random.default_rng(SEED).permutation(len(answers.examples))
    sample = np.sort(order[:max_images])
    pictures = [to_display(read_frames(answers.examples[row].path)[0]) for row in sample]
    targets = answers.targets[sample]
    rows = []
    runs = [(change, strength) for change in CHANGES for strength in change.strengths]
    for change, strength in track(runs, len(runs), "robustness", unit="run"):
        if strength == change.strengths[0]:
            untouched = (answers.given[sample], answers.is_refused[sample])
            rows.append(_score(predictor, change, 0.0, targets, *untouched))
        given, is_refused = predict_pictures(predictor, spoil_pictures(pictures, change, strength))
        rows.append(_score(predictor, change, strength, targets, given, is_refused))
    return rows


def list_robustness_figures(rows: Iterable[RobustnessRow]) -> dict[str, Metric]:
    """Every figure that a gate can name, as `robustness.<change>.<strength>.<figure>`.

    Each image is a case of its own. Strength 0 is the sample as it is. Rows of a change as it was
    measured once, in another unit, or without the number of normal images, have no names.
    """
    units = {change.name: change.unit for change in CHANGES}
    figures: dict[str, Metric] = {}
    for row in rows:
        place = f"{ROBUSTNESS}{row.change}.{row.strength:g}"
        if units.get(row.change) != row.unit or row.normals is None:
            continue
        counts = {"normal": row.normals, "disease": row.images - row.normals}
        for name in RECALLS:
            value, count = getattr(row, name), counts.get(name.partition("_")[0], row.images)
            if value is not None and count:
                figures[f"{place}.{name}"] = make_share(round(value * count), count)
    return figures


def name_robustness_figures() -> set[str]:
    """The names of `list_robustness_figures`, as far as images ask for them."""
    return {
        f"{ROBUSTNESS}{change.name}.{strength:g}.{figure}"
        for change in CHANGES
        for strength in (0.0, *change.strengths)
        for figure in RECALLS
    }


def find_harm(
    rows: Iterable[RobustnessRow], figure: str, *, part: float = ACCEPTED_PART
) -> list[RobustnessRow]:
    """Of each change the mildest strength at which the figure is below that part of the sharp one.

    A change that does no such harm has none, and so have rows that don't know the figure.
    """
    found: dict[str, RobustnessRow] = {}
    sharp: dict[str, float] = {}
    for row in rows:
        value = getattr(row, figure)
        if value is None:
            continue
        if row.strength == 0:
            sharp[row.change] = value
        elif value < part * sharp[row.change]:
            found.setdefault(row.change, row)
    return list(found.values())


def spoil_picture(picture: Picture, change: str, strength: float, *, seed: int = SEED) -> Picture:
    """The picture (HxW or HxWx3) after a change, by its name; raises KeyError for no such one."""
    spoil = {one.name: one.apply for one in CHANGES}[change]
    return spoil(picture, strength, np.random.default_rng(seed))


def spoil_pictures(pictures: Iterable[Picture], change: Change, strength: float) -> list[Picture]:
    """The pictures after a change, the same whenever they come in this order."""
    rng = np.random.default_rng(SEED)
    return [change.apply(one, strength, rng) for one in pictures]


def predict_pictures(
    predictor: Predictor, pictures: Sequence[Picture]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labels given at the thresholds to images as shown, and which of them are refused."""
    labels = predictor.bundle.labels
    given, refused = [], []
    for start in range(0, len(pictures), CHUNK):
        frames = [_as_frame(one) for one in pictures[start : start + CHUNK]]
        for prediction in predictor.predict(frames):
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
        normal_recall_or_refused=_mean((is_right | is_refused)[is_normal]),
        disease_recall_or_refused=_mean((is_right | is_refused)[~is_normal]),
        refused_by_label={
            label: float(is_refused[targets == index].mean())
            for index, label in enumerate(manifest.labels)
            if (targets == index).any()
        },
        normals=int(is_normal.sum()),
    )


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None


def _add_noise(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    noisy = picture + rng.normal(0, strength, picture.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _blur(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(strength)))


def _blur_in_part(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    return _blur(picture, strength / 100 * min(picture.shape[:2]), rng)


def _coarsen(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Grey levels rounded to so many, black and white among them."""
    steps = strength - 1
    return np.asarray(np.rint(np.rint(picture / 255 * steps) * (255 / steps)), np.uint8)


def _expose(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    return np.asarray(np.clip(np.rint(picture * 2.0**strength), 0, 255), np.uint8)


def _underexpose(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    return _expose(picture, -strength, rng)


def _crop(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """The middle, at the size of the whole."""
    image = Image.fromarray(picture)
    left, top = (side * strength / 200 for side in image.size)
    box = (left, top, image.width - left, image.height - top)
    return np.asarray(image.resize(image.size, Image.Resampling.BICUBIC, box=box))


def _frame(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """The whole reduced, in the middle of black."""
    image = Image.fromarray(picture)
    part = 1 - strength / 100
    small = image.resize((round(image.width * part), round(image.height * part)))
    framed = Image.new(image.mode, image.size)
    framed.paste(small, ((image.width - small.width) // 2, (image.height - small.height) // 2))
    return np.asarray(framed)


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
    Change("blur", "standard deviation in pixels of the image", (1.0, 2.0, 4.0), _blur),
    Change("relative_blur", "radius in % of the shorter side", (0.5, 1.0, 2.0), _blur_in_part),
    Change("contrast", "% taken away", (25.0, 50.0, 75.0), _flatten),
    Change("rotation", "degrees, to either side", (5.0, 10.0, 20.0), _rotate),
    Change("JPEG", "quality", (50.0, 25.0, 10.0, 5.0), _compress),
    Change("resolution", "pixels of the longer side", (128.0, 64.0, 32.0), _shrink),
    Change("levels", "grey levels left", (16.0, 4.0, 2.0), _coarsen),
    Change("overexposure", "stops", (0.5, 1.0, 2.0), _expose),
    Change("underexposure", "stops", (1.0, 2.0, 3.0), _underexpose),
    Change("crop", "% of either side cut off", (10.0, 25.0, 50.0), _crop),
    Change("border", "% of either side black", (10.0, 25.0, 50.0), _frame),
)
