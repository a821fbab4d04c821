"""Images made for the tests: DICOM files with chosen grey levels, and a small labelled data set."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

LABELS = ("normal", "pneumonia", "tuberculosis")
SPLITS = ("train",) * 6 + ("val",) * 2 + ("test",) * 2


def make_dicom(
    stored: NDArray[Any], *, syntax: UID = ExplicitVRLittleEndian, **fields: Any
) -> bytes:
    """A DICOM file with the stored values as native pixel data, and the fields given."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    is_colour = stored.ndim == 3
    defaults = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 3 if is_colour else 1,
        "PhotometricInterpretation": "RGB" if is_colour else "MONOCHROME2",
        "BitsAllocated": 8 * stored.dtype.itemsize,
        "BitsStored": 8 * stored.dtype.itemsize,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
    }
    if is_colour:
        defaults["PlanarConfiguration"] = 0
    for name, value in (defaults | fields).items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = stored.tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def rename_syntax(content: bytes, uid: str) -> bytes:
    """The same file claiming another transfer syntax of at most the same length."""
    named = ExplicitVRLittleEndian.encode() + b"\0"
    return content.replace(named, uid.encode().ljust(len(named), b"\0"), 1)


def make_table(entries: list[int], *, first: int, bits: int, is_signed: bool = False) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if is_signed else "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return item


def encode_picture(pixels: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def draw_case(label: str, rng: np.random.Generator, side: int = 128) -> NDArray[np.uint8]:
    """A grey picture that a small network can tell apart: smooth, blotched or striped."""
    rows, columns = np.mgrid[:side, :side] / side
    levels = 70 + 60 * columns + rng.uniform(-10, 10)
    if label == "pneumonia":
        distance = np.hypot(rows - rng.uniform(0.3, 0.7), columns - rng.uniform(0.3, 0.7))
        levels = levels + 110 * (distance < 0.22)
    elif label == "tuberculosis":
        levels = levels + 60 * np.sign(np.sin(rows * rng.uniform(45, 60)))
    return np.clip(levels + rng.normal(0, 4, levels.shape), 0, 255).astype(np.uint8)


def write_dataset(root: Path, *, seed: int = 3) -> Path:
    """A data set of 30 pictures, ten of each label, in the layout of the real ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for label in LABELS:
        for number, split in enumerate(SPLITS):
            name = f"chest-xray/guangzhou/{label}/{number}.png"
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_case(label, rng)).save(path)
            rows.append((name, label, "guangzhou", f"{label}:{number}", split))
    with (root / "chest-xray.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source", "group", "split"), *rows])
    return root
