"""DICOM: the header through pydicom, sizes checked before and frames described after decoding."""

import dataclasses
import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import tee
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ml.errors import ImageHasNoPixels, ImageTooLarge, ImageTruncated, ImageUnreadable
from ml.images.absence import (
    ABSENCE_IN_WORDS,
    DEFLATED_SYNTAXES,
    ends_early,
    ends_in_a_head,
    find_absence,
)
from ml.images.colour import apply_palette
from ml.images.frame import MAX_TOTAL_PIXELS, Frame, Voi, as_grey, select_frames
from ml.images.geometry import find_slice_position
from ml.images.image_pixel import ImagePixel, read_image_pixel
from ml.images.numbers import as_numbers
from ml.images.pixel_data import PixelElement, check_syntax, decode_frames, find_pixel_element
from ml.images.profiles import ProfileUse, convert_colours
from ml.images.transforms import (
    apply_modality,
    default_voi,
    find_padding,
    find_picture_high,
    is_ct,
    is_hounsfield,
    read_transform_fields,
    read_voi,
)
from ml.inflating import Fault, NotInflated, inflate

# Reading is tolerant, and pydicom's warnings would put header values, names too, into a log.
config.settings.reading_validation_mode = config.IGNORE

Stored = NDArray[Any]

HEADER_KEYWORDS = (
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "PatientOrientation",
    "SOPClassUID",
    "SeriesDescription",
    "StudyDescription",
    "PatientAge",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "InstitutionName",
    "StationName",
)
# What pydicom and its decoders raise on hostile or broken files.
DECODING_ERRORS = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
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
CELL_BYTES = (1, 2, 4)
MAX_INFLATED_BYTES = 4 * MAX_TOTAL_PIXELS
META_END = 144
"""Where the file meta group begins to count its length."""


# The first element of a data set saved without preamble and meta information, in either order.
FIRST_ELEMENTS = (0x0000, 0x0005, 0x0008, 0x0016)
BARE_STARTS = (
    b"\x02\x00\x00\x00",
    *(struct.pack(f"{order}HH", 0x0008, element) for order in "<>" for element in FIRST_ELEMENTS),
)


def is_dicom(content: bytes) -> bool:
    """Whether the content is a DICOM file, or a data set saved without its preamble."""
    return content[128:132] == b"DICM" or content.startswith(BARE_STARTS)


def read_dicom(content: bytes, *, frames: Sequence[int] | None = None) -> list[Frame]:
    """Decode a DICOM image's frames; the errors are those of `ml.images.read_frames`.

    pydicom converts a value when it is first asked for, so a broken one can show anywhere. Its
    messages quote what they stumble over, which may be a name: the kind of error has to do.
    """
    with _known_errors():
        return _read_frames(content, frames)


def iterate_dicom(content: bytes, frames: Iterable[int]) -> Iterator[Frame]:
    """A DICOM image's frames, each decoded when it is asked for; errors as in `read_dicom`."""
    with _known_errors():
        dataset, element, image, _ = _open(content, [])
        checked = (index for wanted in frames for index in select_frames([wanted], image.frames))
        yield from _make_frames(dataset, element, image, checked)


def read_stored_values(content: bytes, *, frames: Sequence[int] | None = None) -> list[Stored]:
    """A DICOM image's values before any table or window, for writing it uncompressed.

    HxW in cells of the allocated bits or the next size (single bits as bytes of 0 and 1) where
    High Bit says, or HxWx3 RGB; the errors are those of `ml.images.read_frames`.
    """
    with _known_errors():
        dataset, element, image, chosen = _open(content, frames)
        deep = dataclasses.replace(image, keeps_depth=True)
        decoded = decode_frames(dataset, element, deep, chosen)
        return [_in_cells(values, image) for values in decoded]


@contextmanager
def _known_errors() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ImageTooLarge(pixels="too many", limit=MAX_TOTAL_PIXELS) from error
    except EOFError as error:
        raise ImageTruncated(detail="the header ends early") from error
    except DECODING_ERRORS as error:
        detail = f"its DICOM header or pixels are broken ({type(error).__name__})"
        raise ImageUnreadable(detail=detail) from error


def _in_cells(values: Stored, image: ImagePixel) -> Stored:
    if values.shape[:2] != (image.rows, image.columns):
        raise ValueError(f"decoded to {values.shape}, not {image.rows} x {image.columns}")
    if values.ndim == 3 or image.is_float:
        return values
    cell = next(size for size in CELL_BYTES if 8 * size >= image.bits_allocated)
    in_cells: Stored = values.astype(np.dtype(f"{'i' if image.is_signed else 'u'}{cell}"))
    return np.left_shift(in_cells, image.high_bit + 1 - image.bits_stored)


def _read_frames(content: bytes, frames: Sequence[int] | None) -> list[Frame]:
    return list(_make_frames(*_open(content, frames)))


def _make_frames(
    dataset: Dataset, element: PixelElement, image: ImagePixel, chosen: Iterable[int]
) -> Iterator[Frame]:
    wanted, indices = tee(chosen)
    for stored in decode_frames(dataset, element, image, wanted):
        yield _make_frame(dataset, image, stored, next(indices))


def _open(
    content: bytes, frames: Sequence[int] | None
) -> tuple[Dataset, PixelElement, ImagePixel, Sequence[int]]:
    dataset, element, end = _read_dataset(content)
    if element is None:
        _raise_no_pixels(dataset, end)
    check_syntax(element, UID(str(dataset.file_meta.TransferSyntaxUID)))
    wanted = None if frames is None else len(frames)
    image = read_image_pixel(dataset, element.keyword, wanted=wanted)
    return dataset, element, image, select_frames(frames, image.frames)


def _raise_no_pixels(dataset: Dataset, end: int) -> NoReturn:
    """Tell an image that was cut short from one whose pixels are elsewhere, or that is none."""
    is_cut = ends_early(dataset, position=end, end=end) or ends_in_a_head(dataset, end=end)
    if is_cut or not len(dataset):
        raise ImageTruncated(detail="the file ends before its pixel data does")
    absence = find_absence(dataset, UID(str(dataset.file_meta.TransferSyntaxUID)))
    uid = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", "")
    kind = UID(str(uid)).name or "unknown kind"
    raise ImageHasNoPixels(detail=ABSENCE_IN_WORDS.get(absence, kind))


def _read_dataset(content: bytes) -> tuple[Dataset, PixelElement | None, int]:
    """The header, where the pixel data lies, and the file's end; the pixels are left alone."""
    content = _inflate(content)
    stream = io.BytesIO(content)
    dataset = dcmread(stream, force=True, stop_before_pixels=True)
    is_implicit, is_little_endian = map(bool, dataset.original_encoding)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guess_syntax(dataset)
    element = find_pixel_element(
        content, stream.tell(), is_implicit=is_implicit, is_little_endian=is_little_endian
    )
    return dataset, element, len(content)


def _inflate(content: bytes) -> bytes:
    """A deflated data set as an explicit one, inflated with a limit: pydicom does it without."""
    if len(content) < META_END:
        return content
    # PS3.10 7.1: the length of the file meta group is its first element, at byte 132.
    start = META_END + int(struct.unpack_from("<I", content, META_END - 4)[0])
    end = max(start, 1024) if content[128:132] == b"DICM" else 1024
    names = (uid.encode() for uid in DEFLATED_SYNTAXES)
    name = next((one for one in names if content.find(one, 0, end) >= 0), None)
    if name is None:
        return content
    try:
        inflated = inflate(memoryview(content)[start:], limit=MAX_INFLATED_BYTES)
    except NotInflated as error:
        if error.fault is Fault.TOO_LARGE:
            raise ImageTooLarge(pixels="too many", limit=MAX_TOTAL_PIXELS) from error
        if error.fault is Fault.CUT_SHORT:
            raise ImageTruncated(detail="its deflated data ends early") from error
        raise
    plain = ExplicitVRLittleEndian.encode().ljust(len(name), b"\0")
    return content[:start].replace(name, plain, 1) + inflated


def _guess_syntax(dataset: Dataset) -> UID:
    """The uncompressed syntax pydicom read the data set with, for a file that names none."""
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _make_frame(dataset: Dataset, image: ImagePixel, stored: NDArray[Any], index: int) -> Frame:
    size = (image.rows, image.columns)
    if stored.shape[:2] != size:
        raise ValueError(f"decoded to {stored.shape}, not {size[0]} x {size[1]}")
    fields = read_transform_fields(dataset, index)
    common: dict[str, Any] = {
        "rows": image.rows,
        "columns": image.columns,
        "pixel_spacing": _read_spacing(dataset, fields),
        "slice_position": _read_position(fields),
        "header": _read_header(dataset),
    }
    if image.photometric == "PALETTE COLOR":
        is_little_endian = bool(dataset.original_encoding[1])
        stored = apply_palette(stored, dataset, is_little_endian=is_little_endian)
    if stored.ndim == 2:
        return _make_grey_frame(dataset, image, stored, fields, common)
    profile_use = ProfileUse.NONE
    if profile := _find_profile(dataset):
        stored, profile_use = convert_colours(stored, profile)
    grey = as_grey(stored)
    return Frame(
        profile_use=profile_use,
        pixels=stored if grey is None else grey,
        is_colour=grey is None,
        photometric_interpretation="RGB" if grey is None else "MONOCHROME2",
        voi=Voi("NONE"),
        **common,
    )


def _find_profile(dataset: Dataset) -> bytes:
    """ICC Profile (0028,2000), of a slide's first optical path where it stands there."""
    paths = dataset.get("OpticalPathSequence") or []
    for one in (dataset, *paths[:1]):
        if isinstance(profile := one.get("ICCProfile"), bytes) and profile:
            return profile
    return b""


def _make_grey_frame(
    dataset: Dataset,
    image: ImagePixel,
    stored: NDArray[Any],
    fields: dict[str, Any],
    common: dict[str, Any],
) -> Frame:
    is_little_endian = bool(dataset.original_encoding[1])
    pixels = apply_modality(stored, fields, is_little_endian=is_little_endian)
    voi, (center, width) = read_voi(fields, pixels, is_little_endian=is_little_endian)
    voi = voi or default_voi(dataset, image, pixels, stored)
    return Frame(
        pixels=pixels.astype(np.uint8) if voi.function == "NONE" else pixels,
        is_colour=False,
        photometric_interpretation=image.photometric,
        voi=voi,
        window_center=center,
        window_width=width,
        is_ct=is_ct(dataset),
        is_hounsfield=is_hounsfield(dataset, image, fields),
        picture_high=find_picture_high(image, pixels, stored),
        padding=find_padding(dataset, fields, stored),
        **common,
    )


def _read_spacing(dataset: Dataset, fields: dict[str, Any]) -> tuple[float, float] | None:
    for stated in (fields.get("PixelSpacing"), dataset.get("ImagerPixelSpacing")):
        match as_numbers(stated):
            case [float(between_rows), float(between_columns)]:
                return between_rows, between_columns
    return None


def _read_position(fields: dict[str, Any]) -> float | None:
    stated = (as_numbers(fields.get(f"Image{name}Patient")) for name in ("Position", "Orientation"))
    position, cosines = ([one for one in numbers if one is not None] for numbers in stated)
    return find_slice_position(position, cosines)


def _read_header(dataset: Dataset) -> dict[str, str]:
    found: dict[str, str] = {}
    for keyword in HEADER_KEYWORDS:
        value = dataset.get(keyword)
        if value not in (None, ""):
            is_list = not isinstance(value, str) and hasattr(value, "__iter__")
            found[keyword] = "\\".join(map(str, value)) if is_list else str(value).strip()
    return found
