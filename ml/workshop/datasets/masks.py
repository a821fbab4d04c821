"""Images with masks of where disease can lie, such as the lungs: they judge heat maps alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.errors import DataInvalid, MLError
from ml.images import read_frames, to_display
from ml.workshop.datasets.cells import read_lines

TABLE = "masks.csv"
COLUMNS = ("path", "mask")
# Brighter than this is on the mask: JPEG frays its edges.
INSIDE = 127
# A mask of another shape is of another image, or of a part of it.
SHAPE_TOLERANCE = 0.03
# Masks are compared to cells of a map: more pixels tell nothing.
SIDE = 192

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MaskedImage:
    """An image and where its mask lies; `group` is the patient, or the image's own name."""

    path: Path
    mask: Path
    group: str


def load_masks(folder: Path, data_root: Path) -> list[MaskedImage]:
    """The rows of the folder's `masks.csv` (`path,mask` and, if known, `group`).

    Masks lie in the folder; images there, or else under the data's root. Raises DataInvalid, which
    lists what is wrong line by line: files that aren't there, an image named twice.
    """
    table = folder / TABLE
    try:
        content = table.read_bytes()
    except OSError as error:
        raise DataInvalid(path=table, detail=error.strerror or "it can't be opened") from error
    columns, lines, problems = read_lines(table, content)
    if absent := [name for name in COLUMNS if name not in columns]:
        raise DataInvalid(path=table, detail=f"no column {' and '.join(absent)}")
    roots = (folder, data_root if data_root.is_dir() else data_root.parent)
    found: dict[Path, MaskedImage] = {}
    for line in lines:
        name, mask = line.cells["path"], folder / line.cells["mask"]
        path = next((root / name for root in roots if name and (root / name).is_file()), None)
        if path is None or not mask.is_file():
            missing = mask if path else roots[1] / name
            problems[line.number] = f"there is no file {missing}"
        elif path in found:
            problems[line.number] = f"{name} was named before"
        else:
            found[path] = MaskedImage(path, mask, line.cells.get("group") or name)
    if problems:
        told = [f"line {number}: {text}" for number, text in sorted(problems.items())]
        raise DataInvalid.of_lines(table, told)
    if not found:
        raise DataInvalid(path=table, detail="it names no image")
    return list(found.values())


def read_mask(masked: MaskedImage, *, shape: tuple[int, int]) -> Mask:
    """A mask (H x W, at most SIDE a side) of an image of that shape (rows, columns).

    Raises DataInvalid for one that is empty, full, of another shape, or can't be read.
    """
    try:
        shown = to_display(read_frames(masked.mask, frames=[0])[0])
    except MLError as error:
        raise DataInvalid(path=masked.mask, detail=error.message) from error
    levels = shown if shown.ndim == 2 else shown.max(axis=2)
    rows, columns = levels.shape
    if abs(rows * shape[1] / (columns * shape[0]) - 1) > SHAPE_TOLERANCE:
        detail = f"{columns} x {rows} isn't the shape of {masked.path.name}"
        raise DataInvalid(path=masked.mask, detail=f"{detail}, {shape[1]} x {shape[0]}")
    step = max(1, max(rows, columns) // SIDE)
    mask: Mask = levels[::step, ::step] > INSIDE
    if mask.all() or not mask.any():
        raise DataInvalid(path=masked.mask, detail="nothing, or everything, lies on the mask")
    return mask
