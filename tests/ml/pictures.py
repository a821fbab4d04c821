"""Images made for the tests: DICOM files with chosen grey levels, and a small labelled data set."""

import csv
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

# As long as a syntax's name may be, so that any other can take its place.
PLACEHOLDER_SYNTAX = "1.2.840.10008.1.2.4.201"
LABELS = ("normal", "pneumonia", "tuberculosis")
SPLITS = ("train",) * 6 + ("val",) * 2 + ("test",) * 2


def make_dicom(
    stored: NDArray[Any],
    *,
    syntax: UID = ExplicitVRLittleEndian,
    keyword: str = "PixelData",
    vr: str = "",
    groups: Sequence[dict[str, float]] = (),
    **fields: Any,
) -> bytes:
    """A DICOM file with the stored values as native pixel data, and the fields given.

    `groups` are the slope, intercept, center and width of each frame of an enhanced image.
    """
    dataset = _make_header(stored, syntax=syntax, fields=fields)
    if groups:
        dataset.PerFrameFunctionalGroupsSequence = [_make_group(group) for group in groups]
    setattr(dataset, keyword, stored.tobytes())
    if vr:
        dataset[keyword].VR = vr
    return save(dataset)


def make_encapsulated(
    fragments: Sequence[bytes],
    like: NDArray[Any],
    *,
    syntax: str,
    table: Sequence[int] = (),
    **fields: Any,
) -> bytes:
    """A DICOM file with these fragments as its pixel data, announced as the array `like`."""
    header = _make_header(like, syntax=UID(PLACEHOLDER_SYNTAX), fields=fields)
    named = save(header).replace(
        PLACEHOLDER_SYNTAX.encode() + b"\0", syntax.encode().ljust(24, b"\0"), 1
    )
    items = [struct.pack(f"<{len(table)}L", *table), *(_pad(data) for data in fragments)]
    packed = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(one)) + one for one in items)
    start = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
    return named + start + packed + b"\xfe\xff\xdd\xe0\0\0\0\0"


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _make_header(stored: NDArray[Any], *, syntax: UID, fields: dict[str, Any]) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    order = {"is_implicit_VR": False, "is_little_endian": syntax.is_little_endian}
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128, **order)
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
    if "HighBit" not in fields:
        dataset.HighBit = dataset.BitsStored - 1
    return dataset


def _make_group(group: dict[str, float]) -> Dataset:
    values, window, item = Dataset(), Dataset(), Dataset()
    values.RescaleSlope, values.RescaleIntercept = group["slope"], group["intercept"]
    window.WindowCenter, window.WindowWidth = group["center"], group["width"]
    item.PixelValueTransformationSequence = [values]
    item.FrameVOILUTSequence = [window]
    return item


def save(dataset: FileDataset) -> bytes:
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


def draw_noise(side: int = 160) -> NDArray[np.uint8]:
    """A grey picture of nothing but noise."""
    return np.random.default_rng(0).integers(0, 256, (side, side)).astype(np.uint8)


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
