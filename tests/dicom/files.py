"""Files for tests, made by libraries other than the code under test."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

SAMPLES = Path(__file__).parents[2] / "samples"


def make_dicom(*, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A CT slice of 16 x 16 pixels; an element given as None is left out."""
    uid = elements.get("SOPInstanceUID") or generate_uid()
    defaults = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "PatientID": "P-1",
        "PatientName": "Muster^Erika",
        "PatientBirthDate": "19800229",
        "PatientSex": "F",
        "Modality": "CT",
        "BodyPartExamined": "CHEST",
        "InstanceNumber": 1,
        "Rows": 16,
        "Columns": 16,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": np.arange(256, dtype="<u2").tobytes(),
    }
    return write_dicom({**defaults, **elements}, syntax=syntax)


def make_report(**elements: Any) -> bytes:
    """A structured report: a DICOM object without pixels."""
    without = dict.fromkeys(
        ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelData"), None
    )
    return make_dicom(SOPClassUID=BasicTextSRStorage, Modality="SR", **without, **elements)


def make_item(**elements: Any) -> Dataset:
    """An item of a sequence."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def write_dicom(elements: dict[str, Any], *, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Encode elements as a DICOM file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID") or CTImageStorage
    meta.MediaStorageSOPInstanceUID = elements.get("SOPInstanceUID") or generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = elements.get("SpecificCharacterSet", "ISO_IR 192")
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def make_deflated_bomb(side: int) -> bytes:
    """A deflated image of `side` x `side` zeros: a few kilobytes that unpack to megabytes."""
    return make_dicom(
        syntax=DeflatedExplicitVRLittleEndian,
        Rows=side,
        Columns=side,
        PixelData=bytes(2 * side * side),
    )


def make_png(*, shape: tuple[int, ...] = (24, 32), deep: bool = False, seed: int = 1) -> bytes:
    """A PNG of noise: grey for two dimensions, colour for three."""
    random = np.random.default_rng(seed)
    if deep:
        pixels = random.integers(0, 65536, shape, dtype=np.uint16)
    else:
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
    return _encode(pixels, "PNG")


def make_jpeg(*, seed: int = 1) -> bytes:
    """A colour JPEG of a gradient."""
    row = np.linspace(0, 255, 64, dtype=np.uint8)
    pixels = np.stack(
        [
            np.tile(row, (48, 1)),
            np.full((48, 64), seed * 40 % 256),
            255 - row[None, :].repeat(48, 0),
        ],
        2,
    )
    return _encode(pixels.astype(np.uint8), "JPEG")


def _encode(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_zip(entries: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of the given entries, with their names as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


def make_huge_png_header() -> bytes:
    """A PNG whose header announces 100,000 x 100,000 pixels and that holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
