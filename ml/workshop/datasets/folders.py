"""Data sets as folders: `<root>/<label>/*`, or `<root>/{train,val,test}/<label>/*`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ml.errors import DataInvalid
from ml.images.dicom import is_dicom
from ml.images.raster import is_raster
from ml.workshop.datasets.examples import SPLITS, Example
from ml.workshop.datasets.headers import Provenance, read_provenance, read_start
from ml.workshop.datasets.splits import draw_splits


def read_folders(
    root: Path, translate: Callable[[str], str | None]
) -> tuple[list[Example], str, str]:
    """Rows of a folder of classes, the SHA-256 of its files and splits, and what was found.

    A group is the patient where the files are DICOM, otherwise the files of the same bytes: who
    else belongs together no folder says. Splits without a folder are drawn from `train`, all of
    them when there is none. Raises DataInvalid when no folder carries a label.
    """
    given = [split for split in SPLITS if (root / split).is_dir()]
    found = dict(
        pair
        for split in given or [""]
        for folder in _subfolders(root / split)
        if (label := translate(folder.name)) is not None
        for pair in _read_class(root, folder, label, split)
    )
    if not found:
        names = [folder.name for split in given or [""] for folder in _subfolders(root / split)]
        detail = f"it has neither a table nor folders named after labels, only {names[:8]}"
        raise DataInvalid(path=root, detail=detail)
    examples = _complete(root, list(found), given)
    hashes = {row.path: content_hash for row, content_hash in found.items()}
    lines = [f"{row.name}\t{row.split}\t{row.group}\t{hashes[row.path]}" for row in examples]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    drawn = [split for split in SPLITS if split not in given]
    origin = f"folders of classes in {root}, {', '.join(drawn) or 'nothing'} drawn by group"
    return examples, digest, origin


def _complete(root: Path, examples: Sequence[Example], given: Sequence[str]) -> list[Example]:
    """Draw the splits that no folder gives."""
    if not given:
        return draw_splits(examples)
    if "train" not in given:
        raise DataInvalid(path=root, detail="it has folders of splits, but none named train")
    open_splits = ["train", *(split for split in SPLITS if split not in given)]
    drawn = draw_splits([row for row in examples if row.split == "train"], open_splits)
    return drawn + [row for row in examples if row.split != "train"]


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise DataInvalid(path=folder, detail=error.strerror or "no folder") from error


def _read_class(root: Path, folder: Path, label: str, split: str) -> Iterator[tuple[Example, str]]:
    """Each image of a folder with the SHA-256 of its bytes."""
    for path in sorted(folder.rglob("*")):
        # Whatever else lies about, such as a desktop's thumbnails, is no image.
        if not path.is_file() or not _is_image(path):
            continue
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        header = read_provenance(path) or Provenance(digest[:16], root.resolve().name, {})
        example = Example(
            path=path,
            name=path.relative_to(root).as_posix(),
            label=label,
            set_label=folder.name,
            source=header.source,
            group=header.group,
            split=split,
            population="",
            facts=header.facts,
        )
        yield example, digest


def _is_image(path: Path) -> bool:
    start = read_start(path)
    return is_raster(start) or is_dicom(start)
