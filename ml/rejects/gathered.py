"""Rejects from real images: photographs, what other tasks read, and the task's own turned."""

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import DataInvalid
from ml.images import read_frames, to_display
from ml.rejects.reject import Reject, encode_reject
from ml.turns import TURNED_KINDS, turn

PHOTOGRAPHS = Path(__file__).parents[2] / "samples" / "rejects"
PHOTOGRAPH_KINDS = ("photograph", "grey_photograph")
# Other tasks' kinds of image: the table, and the labels that count there (none: all of them).
OTHERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "chest-xr": ("chest-xray", ()),
    "head-mr": ("brain-mri", ()),
    "chest-ct": ("lung-ct", ()),
    "skin": ("skin-lesion", ()),
    "fundus": ("retina", ()),
    "small-chest-xr": ("body-part", ("chest-xr",)),
    "small-chest-ct": ("body-part", ("chest-ct",)),
    "hand-xr": ("body-part", ("hand-xr",)),
    "abdomen-ct": ("body-part", ("abdomen-ct",)),
    "head-ct": ("body-part", ("head-ct",)),
    "breast-mr": ("body-part", ("breast-mr",)),
    "breast-us": ("body-part", ("breast-us",)),
}
OTHER_KINDS = tuple(OTHERS)
SPLIT_OF_PART = {"fit": "train", "test": "val"}
# Of the task's own images: a gate is fitted on validation images too, so none of them may test it.
OWN_SPLIT_OF_PART = {"fit": "train", "test": "test"}
SEEDS = {"fit": 23, "test": 6011}
PER_OTHER = {"fit": 60, "test": 30}
PER_TURN = {"fit": 250, "test": 50}
PER_PHOTOGRAPH = {"fit": 3, "test": 2}
# Images of 64 pixels are enlarged to this: refusing them for their size would prove nothing.
USUAL_SIDE = 224
MIN_SIDE = 120


def read_photographs(part: str, left_out: Collection[str]) -> Iterator[Reject]:
    """Everyday photographs in colour, and pieces of them in grey; for `fit` also in colour."""
    with (PHOTOGRAPHS / "index.csv").open(newline="") as stream:
        names = [row["file"] for row in csv.DictReader(stream) if row["part"] == part]
    rng = np.random.default_rng(SEEDS[part])
    for name in names:
        content = (PHOTOGRAPHS / name).read_bytes()
        if "photograph" not in left_out:
            yield Reject("photograph", name, content)
        whole = Image.fromarray(to_display(read_frames(content)[0])).convert("RGB")
        for number in range(PER_PHOTOGRAPH[part]):
            piece = _crop(whole, rng)
            if "photograph" not in left_out and part == "fit":
                yield encode_reject("photograph", f"{name}/{number}", np.asarray(piece))
            if "grey_photograph" not in left_out:
                grey = np.asarray(piece.convert("L"))
                yield encode_reject("grey_photograph", f"{name}/{number}", grey)


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A piece of at least six tenths of either side, not longer than a radiograph may be."""
    width, height = (int(side * rng.uniform(0.6, 1)) for side in image.size)
    width, height = min(width, int(1.4 * height)), min(height, int(1.4 * width))
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return _enlarge(image.crop((left, top, left + width, top + height)))


def _enlarge(image: Image.Image) -> Image.Image:
    scale = USUAL_SIDE / max(image.size)
    if min(image.size) >= MIN_SIDE:
        return image
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def read_other_tasks(
    task: str, data_root: Path, part: str, left_out: Collection[str]
) -> Iterator[Reject]:
    """Images that other tasks read; of a table that isn't there, none."""
    for number, (kind, (table, labels)) in enumerate(OTHERS.items()):
        if table == task or kind in left_out:
            continue
        rng = np.random.default_rng([SEEDS[part], number])
        split, count = SPLIT_OF_PART[part], PER_OTHER[part]
        for path in _draw_paths(data_root / f"{table}.csv", split, labels, count, rng):
            yield encode_reject(kind, path, _read_usual_size(data_root / path))


def turn_examples(
    task: str, data_root: Path, part: str, left_out: Collection[str]
) -> Iterator[Reject]:
    """The task's own images, negative or turned by quarters: of the training or the test split."""
    for number, kind in enumerate(TURNED_KINDS):
        if kind in left_out:
            continue
        rng = np.random.default_rng([SEEDS[part], 100 + number])
        split, count = OWN_SPLIT_OF_PART[part], PER_TURN[part]
        for path in _draw_paths(data_root / f"{task}.csv", split, (), count, rng):
            turned = turn(_read_usual_size(data_root / path), kind)
            yield encode_reject(kind, f"{path}/{kind}", turned)


def _draw_paths(
    path: Path, split: str, labels: Collection[str], count: int, rng: np.random.Generator
) -> list[str]:
    """Paths of randomly drawn rows of a table's split, in the table's order."""
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        names = [
            row["path"]
            for row in rows
            if row["split"] == split and (not labels or row["label"] in labels)
        ]
    except KeyError as error:
        raise DataInvalid(path=path, detail=f"no column {error}") from error
    drawn = rng.choice(len(names), min(count, len(names)), replace=False)
    return [names[index] for index in np.sort(drawn)]


def _read_usual_size(path: Path) -> NDArray[np.uint8]:
    return np.asarray(_enlarge(Image.fromarray(to_display(read_frames(path)[0]))))
