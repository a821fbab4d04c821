"""Rejects from real images: photographs, what other tasks read, and the task's own turned."""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import DataInvalid
from ml.images import Frame, read_frames, to_display
from ml.inputs import InputConfig
from ml.preprocessing import show_frame
from ml.workshop.datasets import Example
from ml.workshop.orientations import TURNED_KINDS, turn
from ml.workshop.rejects.reject import Reject, encode_reject
from ml.workshop.rejects.spoilt import MAX_CELLS, OWN_KINDS, SHEET, change_own, lay_out_sheet
from ml.workshop.task_config import TaskConfig

Row = Mapping[str, str]
Meaning = str | tuple[str, ...]
Drawn = TypeVar("Drawn")

PHOTOGRAPHS = Path(__file__).parents[3] / "samples" / "rejects"
PHOTOGRAPH_KINDS = ("photograph", "grey_photograph", "close_up")
ROUTER = "body-part"
SPLIT_OF_PART = {"fit": "train", "test": "val"}


@dataclass(frozen=True, slots=True)
class Other:
    """Images that another task reads: the table, and the labels that count (none: all of them).

    `tasks` are those that read them, the router among them. Images are drawn from the splits by
    part; `count` are drawn for `fit`, half as many for `test`.
    """

    table: str
    tasks: tuple[str, ...]
    labels: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=lambda: SPLIT_OF_PART)
    count: int = 60


EXTERNAL = {"test": "external-test"}
# Its own test rows: they decide nothing about another task.
OWN_TEST = {"fit": "train", "test": "test"}
OTHERS: dict[str, Other] = {
    "chest-xr": Other("chest-xray", ("chest-xray",)),
    "head-mr": Other("brain-mri", ("brain-mri",)),
    "chest-ct": Other("lung-ct", ("lung-ct",)),
    "skin": Other("skin-lesion", ("skin-lesion",)),
    "fundus": Other("retina", ("retina",)),
    "small-chest-xr": Other(ROUTER, (ROUTER,), ("chest-xr",)),
    "small-chest-ct": Other(ROUTER, (ROUTER,), ("chest-ct",)),
    "hand-xr": Other(ROUTER, (ROUTER,), ("hand-xr",)),
    "abdomen-ct": Other(ROUTER, (ROUTER,), ("abdomen-ct",)),
    "head-ct": Other(ROUTER, (ROUTER,), ("head-ct",)),
    "breast-mr": Other(ROUTER, (ROUTER,), ("breast-mr",)),
    "breast-us": Other(ROUTER, (ROUTER,), ("breast-us",)),
    "trauma-head-ct": Other(
        "more/head-ct--ct-ich", ("head-ct", ROUTER), splits=OWN_TEST, count=400
    ),
    "web-head-ct": Other("more/head-ct--web", ("head-ct", ROUTER), splits=EXTERNAL, count=200),
    "adult-chest-xr": Other("more/chest-xray--nih", ("chest-xray", ROUTER)),
    "published-chest-xr": Other("more/chest-xray--cohen", ("chest-xray", ROUTER), splits=EXTERNAL),
    "lateral-chest-xr": Other("more/chest-xray--cohen-reject", (ROUTER,), ("lateral",), EXTERNAL),
    "published-ct": Other(
        "more/chest-xray--cohen-reject", ("lung-ct", ROUTER), ("ct-slice",), EXTERNAL
    ),
    "msk-uda-skin": Other("more/skin-lesion--isic-msk-uda", ("skin-lesion", ROUTER)),
    "ph2-skin": Other("more/skin-lesion--ph2", ("skin-lesion", ROUTER), splits=EXTERNAL),
    "web-chest-ct": Other("more/lung-ct--chest-ct-4class", ("lung-ct", ROUTER), splits=EXTERNAL),
    "web-head-mr": Other("more/brain-mri--navoneel", ("brain-mri", ROUTER), splits=EXTERNAL),
}
OTHER_KINDS = tuple(OTHERS)
# Of the task's own images: a gate is fitted on validation images too, so none of them may test it.
OWN_SPLIT_OF_PART = {"fit": "train", "test": "test"}
SEEDS = {"fit": 23, "test": 6011}
PART_OF_COUNT = {"fit": 1.0, "test": 0.5}
PER_TURN = {"fit": 250, "test": 50}
PER_OWN = {"fit": 120, "test": 40}
PER_PHOTOGRAPH = {"fit": 3, "test": 2}
# Images of 64 pixels are enlarged to this: refusing them for their size would prove nothing.
USUAL_SIDE = 224
MIN_SIDE = 120


def read_photographs(part: str, left_out: Collection[str]) -> Iterator[Reject]:
    """Everyday photographs in colour, pieces of them in grey (for `fit` also in colour), details.

    A `close_up` is a small piece in colour: petals, peel, fur may look like skin.
    """
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
        if "close_up" not in left_out:
            yield from _take_close_ups(whole, name, part)


def _take_close_ups(whole: Image.Image, name: str, part: str) -> Iterator[Reject]:
    rng = np.random.default_rng([SEEDS[part], *name.encode()])
    for number in range(PER_PHOTOGRAPH[part]):
        side = int(min(whole.size) * rng.uniform(0.25, 0.6))
        left, top = (int(rng.integers(length - side + 1)) for length in whole.size)
        piece = whole.crop((left, top, left + side, top + side))
        enlarged = piece.resize((USUAL_SIDE, USUAL_SIDE), Image.Resampling.BICUBIC)
        yield encode_reject("close_up", f"{name}/close-up-{number}", np.asarray(enlarged))


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
    config: TaskConfig, data_root: Path, part: str, left_out: Collection[str]
) -> Iterator[Reject]:
    """Images that other tasks read and this one doesn't; of a table that isn't there, none.

    Sources that are never trained on come in the part `test` alone.
    """
    folder = data_root.parent if data_root.is_file() else data_root
    own = data_root.name if data_root.is_file() else config.data.table
    for number, (kind, other) in enumerate(OTHERS.items()):
        if kind in left_out or part not in other.splits:
            continue
        if config.task in other.tasks or reads(config, own, other):
            continue
        rng = np.random.default_rng([SEEDS[part], number])
        count = int(other.count * PART_OF_COUNT[part])
        table, split = folder / f"{other.table}.csv", other.splits[part]
        for row in _draw_rows(table, split, other.labels, count, rng):
            path = table.parent / row["path"]
            yield encode_reject(kind, row["path"], _enlarge_display(to_display(_read(path))))


def reads(config: TaskConfig, table: str, other: Other) -> bool:
    """Whether a task with this table, whatever its name, has a label for another one's images."""
    data, strange = config.data, (None, "", config.scope.stranger_label)
    mappings: list[tuple[str, Mapping[str, Meaning]]] = [
        (table, {label: label for label in data.labels} | data.mapping),
        *((one.table, one.mapping) for one in data.extra),
        *((one.table, one.mapping) for one in data.external),
    ]
    for name, mapping in mappings:
        meant = [mapping.get(label, mapping.get("*")) for label in other.labels]
        is_same = Path(name).stem == Path(other.table).name
        if is_same and any(label not in strange for label in meant or mapping.values()):
            return True
    return False


def turn_examples(
    config: TaskConfig, own: Sequence[Example], part: str, left_out: Collection[str]
) -> Iterator[Reject]:
    """The task's own images, negative or turned by quarters: of the training or the test split."""
    rows = _of_part(own, part)
    for number, kind in enumerate(TURNED_KINDS):
        if kind in left_out:
            continue
        rng = np.random.default_rng([SEEDS[part], 100 + number])
        for row in _draw(rows, PER_TURN[part], rng):
            turned = turn(_read_own(row, config.input), kind)
            yield encode_reject(kind, f"{row.name}/{kind}", turned, label=row.set_label)


def spoil_examples(
    config: TaskConfig, own: Sequence[Example], part: str, left_out: Collection[str]
) -> Iterator[Reject]:
    """The task's own images in sheets, or changed: of the training or the test split.

    Where the labels are kinds of image (the task has one for strangers), as many of each.
    """
    pools = [_of_part(own, part)]
    if config.scope.stranger_label:
        found = [[row for row in pools[0] if row.label == label] for label in config.data.labels]
        pools = list(filter(None, found)) or pools
    total = PER_OWN[part] // len(pools)
    for number, kind in enumerate(OWN_KINDS):
        if kind in left_out:
            continue
        for place, pool in enumerate(pools):
            rng = np.random.default_rng([SEEDS[part], 200 + number, place])
            rows = _draw(pool, total * (MAX_CELLS if kind == SHEET else 1), rng)
            yield from _spoil(kind, rows, config.input, rng, count=total)


def _spoil(
    kind: str, rows: Sequence[Example], spec: InputConfig, rng: np.random.Generator, *, count: int
) -> Iterator[Reject]:
    """Rejects of a kind; sheets draw from few rows again and again, and have no label."""
    if kind == SHEET:
        for number in range(min(count, len(rows))):
            drawn = [rows[index] for index in rng.integers(0, len(rows), MAX_CELLS)]
            pictures = [_read_own(row, spec) for row in drawn]
            name = f"{drawn[0].name}/{kind}/{number}"
            yield encode_reject(kind, name, lay_out_sheet(pictures, rng))
        return
    for row in rows:
        spoilt = change_own(_read_own(row, spec), kind, rng)
        yield encode_reject(kind, f"{row.name}/{kind}", spoilt, label=row.set_label)


def _of_part(own: Sequence[Example], part: str) -> list[Example]:
    return [row for row in own if row.split == OWN_SPLIT_OF_PART[part]]


def _draw_rows(
    path: Path, split: str, labels: Collection[str], count: int, rng: np.random.Generator
) -> list[Row]:
    """Randomly drawn rows of a table's split, in the table's order."""
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        found = [
            row for row in rows if row["split"] == split and (not labels or row["label"] in labels)
        ]
    except KeyError as error:
        raise DataInvalid(path=path, detail=f"no column {error}") from error
    return _draw(found, count, rng)


def _draw(rows: Sequence[Drawn], count: int, rng: np.random.Generator) -> list[Drawn]:
    """Randomly drawn ones, in their order."""
    drawn = rng.choice(len(rows), min(count, len(rows)), replace=False)
    return [rows[index] for index in np.sort(drawn)]


def _read(path: Path) -> Frame:
    return read_frames(path, frames=[0])[0]


def _read_own(row: Example, spec: InputConfig) -> NDArray[np.uint8]:
    """An image as a picture that the network is shown the same way (HxW or HxWx3)."""
    return _enlarge_display(show_frame(_read(row.path), replace(spec, hu_channels=None)))


def _enlarge_display(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(_enlarge(Image.fromarray(shown)))
