"""DICOM through pydicom and its decoders, checked before and after decoding."""

import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from ml.errors import (
    ImageHasNoPixels,
    ImageTooLarge,
    ImageTruncated,
    ImageUnreadable,
    UnsupportedTransferSyntax,
)
from ml.images.frame import (
    MAX_TOTAL_PIXELS,
    Frame,
    Voi,
    as_grey,
    check_size,
    select_frames,
)
from ml.images.transforms import (
    apply_modality,
    default_voi,
    read_transform_fields,
    read_voi,
)

# Reading is tolerant, and pydicom's warnings would put header values, names too, into a log.
config.settings.reading_validation_mode = config.IGNORE

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
HEADER_KEYWORDS = (
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "PatientOrientation",
    "SOPClassUID",
    "SeriesDescription",
    "StudyDescription",
    "PatientAge",
)
# What pydicom and its decoders raise on hostile or broken files.
DECODING_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# Marker, length (6 + 2 per component) and number of components of a JPEG scan.
SCAN_HEADER = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e]([\x01-\x04])")
MAX_INFLATED_BYTES = 4 * MAX_TOTAL_PIXELS


def is_dicom(content: bytes) -> bool:
    """Whether the content is a DICOM file, or a data set saved without its preamble."""
    return content[128:132] == b"DICM" or content[:4] in (
        b"\x02\x00\x00\x00",
        b"\x08\x00\x05\x00",
        b"\x08\x00\x08\x00",
        b"\x08\x00\x16\x00",
        b"\x08\x00\x00\x00",
    )


def read_dicom(stream: BinaryIO, *, frames: Sequence[int] | None = None) -> list[Frame]:
    """Decode a DICOM image's frames; the errors are those of `ml.images.read_frames`."""
    dataset = _read_dataset(stream)
    if not any(keyword in dataset for keyword in PIXEL_KEYWORDS):
        _raise_no_pixels(dataset)
    count = _check_geometry(dataset, frames)
    _check_syntax(dataset)
    _repair_scans(dataset)
    return [_read_frame(dataset, index, count) for index in select_frames(frames, count)]


def _raise_no_pixels(dataset: Dataset) -> NoReturn:
    """Tell an image that was cut short from an object that never was one.

    pydicom gives back an empty data set when compressed pixel data ends early.
    """
    if "Rows" in dataset or not len(dataset):
        raise ImageTruncated(detail="the file ends before its pixel data does")
    uid = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", "")
    raise ImageHasNoPixels(detail=UID(str(uid)).name or "unknown kind")


def _read_dataset(stream: BinaryIO) -> Dataset:
    try:
        _refuse_bomb(stream)
        dataset = dcmread(stream, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = _guess_syntax(dataset)
    except EOFError as error:
        raise ImageTruncated(detail="the header ends early") from error
    except DECODING_ERRORS as error:
        raise ImageUnreadable(detail=f"its DICOM header is broken ({error})") from error
    return dataset


def _refuse_bomb(stream: BinaryIO) -> None:
    """Inflate a deflated data set with a limit first: pydicom does it without one."""
    content = stream.read()
    stream.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() not in content[:1024]:
        return
    # PS3.10 7.1: the length of the file meta group is its first element, at byte 132.
    start = 144 + int(struct.unpack_from("<I", content, 140)[0])
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflater.decompress(content[start:], MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise ImageTooLarge(pixels="too many", limit=MAX_TOTAL_PIXELS)


def _guess_syntax(dataset: Dataset) -> UID:
    """The uncompressed syntax pydicom read the data set with, for a file that names none."""
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _check_geometry(dataset: Dataset, frames: Sequence[int] | None) -> int:
    """The number of frames, once the announced sizes are known to be acceptable."""
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        count = int(dataset.get("NumberOfFrames") or 1)
    except DECODING_ERRORS as error:
        raise ImageUnreadable(detail="its header doesn't say how large it is") from error
    if rows < 1 or columns < 1 or count < 1:
        raise ImageUnreadable(detail=f"its header announces {rows} x {columns} x {count} pixels")
    check_size(rows=rows, columns=columns, frames=count if frames is None else len(frames))
    return count


def _check_syntax(dataset: Dataset) -> None:
    uid = UID(str(dataset.file_meta.TransferSyntaxUID))
    try:
        is_available = get_decoder(uid).is_available
    except NotImplementedError:
        is_available = False
    if not is_available:
        raise UnsupportedTransferSyntax(uid=uid)


def _repair_scans(dataset: Dataset) -> None:
    """Correct the last coefficient that some encoders leave at 0 in a sequential JPEG's scan.

    ITU-T T.81 B.2.3 wants 63 there; libjpeg refuses such images, other readers show them.
    """
    if dataset.file_meta.TransferSyntaxUID not in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return
    content = bytearray(dataset.PixelData)
    for header in SCAN_HEADER.finditer(content):
        selection = header.end() + 2 * header[1][0]
        if content[selection : selection + 3] == b"\0\0\0":
            content[selection + 1] = 63
    dataset["PixelData"].value = bytes(content)


def _read_frame(dataset: Dataset, index: int, count: int) -> Frame:
    try:
        stored = pixel_array(dataset, index=index if count > 1 else None)
    except MemoryError as error:
        raise ImageTooLarge(pixels="too many", limit=MAX_TOTAL_PIXELS) from error
    except DECODING_ERRORS as error:
        _raise_decoding_error(error)
    try:
        return _make_frame(dataset, stored, index)
    except DECODING_ERRORS as error:
        raise ImageUnreadable(detail=f"its grey level tables are broken ({error})") from error


def _raise_decoding_error(error: Exception) -> NoReturn:
    text = (str(error).splitlines() or ["unknown"])[0]
    if any(word in text for word in ("less than expected", "insufficient", "truncated", "end of")):
        raise ImageTruncated(detail="it holds fewer bytes than announced") from error
    raise ImageUnreadable(detail=f"its pixel data can't be decoded ({text[:200]})") from error


def _make_frame(dataset: Dataset, stored: NDArray[Any], index: int) -> Frame:
    if stored.shape[:2] != (dataset.Rows, dataset.Columns):
        raise ValueError(f"decoded to {stored.shape}, not {dataset.Rows} x {dataset.Columns}")
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    fields = read_transform_fields(dataset, index)
    common: dict[str, Any] = {
        "rows": stored.shape[0],
        "columns": stored.shape[1],
        "pixel_spacing": _read_spacing(dataset, fields),
        "header": _read_header(dataset),
    }
    if photometric == "PALETTE COLOR" or stored.ndim == 3:
        colours = _to_rgb(dataset, stored, photometric)
        grey = as_grey(colours)
        return Frame(
            pixels=colours if grey is None else grey,
            is_colour=grey is None,
            photometric_interpretation="RGB" if grey is None else "MONOCHROME2",
            voi=Voi("NONE"),
            **common,
        )
    return _make_grey_frame(dataset, stored, photometric, fields, common)


def _make_grey_frame(
    dataset: Dataset,
    stored: NDArray[Any],
    photometric: str,
    fields: dict[str, Any],
    common: dict[str, Any],
) -> Frame:
    is_little_endian = bool(dataset.original_encoding[1])
    pixels = apply_modality(stored, fields, is_little_endian=is_little_endian)
    if not np.isfinite(pixels).all():
        raise ValueError("it holds values that are not numbers")
    voi, (center, width) = read_voi(fields, is_little_endian=is_little_endian)
    voi = voi or default_voi(dataset, pixels, stored)
    return Frame(
        pixels=pixels.astype(np.uint8) if voi.function == "NONE" else pixels,
        is_colour=False,
        photometric_interpretation=photometric,
        voi=voi,
        window_center=center,
        window_width=width,
        **common,
    )


def _to_rgb(dataset: Dataset, stored: NDArray[Any], photometric: str) -> NDArray[np.uint8]:
    """8-bit RGB of a palette or colour frame (pydicom has already converted YBR)."""
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)[..., :3]
        bits = 8 * colours.dtype.itemsize
    else:
        colours, bits = stored[..., :3], int(dataset.get("BitsStored", 8))
    if colours.shape[-1] != 3:
        raise ValueError(f"{stored.shape[-1]} samples per pixel")
    if bits > 8:
        colours = colours >> (bits - 8)
    return np.ascontiguousarray(colours.astype(np.uint8))


def _read_spacing(dataset: Dataset, fields: dict[str, Any]) -> tuple[float, float] | None:
    spacing = fields.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    try:
        between_rows, between_columns = (float(value) for value in spacing or ())
    except (TypeError, ValueError):
        return None
    return between_rows, between_columns


def _read_header(dataset: Dataset) -> dict[str, str]:
    found: dict[str, str] = {}
    for keyword in HEADER_KEYWORDS:
        value = dataset.get(keyword)
        if value not in (None, ""):
            is_list = not isinstance(value, str) and hasattr(value, "__iter__")
            found[keyword] = "\\".join(map(str, value)) if is_list else str(value).strip()
    return found
