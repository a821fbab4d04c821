"""Reads a DICOM image's Modality LUT and VOI LUT modules (PS3.3 C.11.1, C.11.2), per frame."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
)

from ml.images.frame import Floats, Voi
from ml.images.image_pixel import ImagePixel
from ml.images.numbers import as_numbers, first_number

Window = tuple[float, float] | tuple[None, None]

WINDOW = ("WindowCenter", "WindowWidth")
CT_CLASSES = frozenset(
    {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
)
FUNCTIONAL_GROUPS = (
    ("PixelValueTransformationSequence", ("RescaleSlope", "RescaleIntercept", "RescaleType")),
    ("FrameVOILUTSequence", (*WINDOW, "VOILUTFunction", "VOILUTSequence")),
    ("PixelMeasuresSequence", ("PixelSpacing",)),
    ("PlanePositionSequence", ("ImagePositionPatient",)),
    ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
)
# A marker or a dead cell is fewer than a thousandth of the pixels at an end; they are left out of
# the default range when all the others would share less than half of it.
OUTLIERS = 0.001
MIN_SHARE = 0.5
# Pixels that are looked at for it: every so many of a larger image.
LOOKED_AT = 16384
# A lookup table's entries lie in words.
STORAGE_BITS = 16
PADDING_KEYWORDS = (
    "PixelPaddingValue",
    "FloatPixelPaddingValue",
    "DoubleFloatPixelPaddingValue",
)
LIMIT_KEYWORDS = (
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingRangeLimit",
)


def read_transform_fields(dataset: Dataset, index: int) -> dict[str, Any]:
    """The fields that decide a frame's grey levels: the image's own, then its functional groups'.

    Enhanced multi-frame objects say them once for all frames, or frame by frame.
    """
    keywords = [keyword for _, group in FUNCTIONAL_GROUPS for keyword in group]
    keywords.append("ModalityLUTSequence")
    fields = {name: dataset.get(name) for name in keywords if name in dataset}
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for groups in [
        *(dataset.get("SharedFunctionalGroupsSequence") or []),
        *per_frame[index : index + 1],
    ]:
        for sequence, names in FUNCTIONAL_GROUPS:
            for item in groups.get(sequence) or []:
                fields |= _stated(item, names)
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _stated(item: Dataset, names: tuple[str, ...]) -> dict[str, Any]:
    """What an item says of them; half a window, or one of words, replaces no other."""
    found = {name: item.get(name) for name in names if name in item}
    if not any(read_windows(found)):
        found = {name: value for name, value in found.items() if name not in WINDOW}
    return found


def apply_modality(
    stored: NDArray[Any], fields: dict[str, Any], *, is_little_endian: bool
) -> Floats:
    """Stored values in modality units (Hounsfield units, for one).

    Values of more than 16 bits need the precision of float64 for narrow windows.
    """
    if sequence := fields.get("ModalityLUTSequence"):
        table, first, _ = _read_table(sequence[0], is_little_endian=is_little_endian)
        if stored.dtype.kind == "i" and first >= 0x8000:
            first -= 0x10000
        return table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
    slope = first_number(fields.get("RescaleSlope")) or 1.0
    intercept = first_number(fields.get("RescaleIntercept")) or 0.0
    kind = np.float64 if stored.dtype.itemsize > 2 else np.float32
    if slope == 1 and intercept == 0:
        return stored.astype(kind)
    if slope == 1 and intercept.is_integer() and abs(intercept) < 2**23 and kind is np.float32:
        # Whole numbers of up to 24 bits: float32 holds every one of them.
        return stored.astype(np.float32) + np.float32(intercept)
    return (stored.astype(np.float64) * slope + intercept).astype(kind)


def is_ct(dataset: Dataset) -> bool:
    """Whether a CT made the image: by its SOP class, or its modality where that is no picture's.

    A Secondary Capture is a picture, whatever it was taken of.
    """
    uid = str(dataset.get("SOPClassUID", "")).strip()
    is_picture = uid.startswith(SecondaryCaptureImageStorage)
    return uid in CT_CLASSES or (_states_ct(dataset) and not is_picture)


def is_hounsfield(dataset: Dataset, image: ImagePixel, fields: dict[str, Any]) -> bool:
    """Whether the modality values are Hounsfield units: a CT's, with a rescale that says so.

    Rescale Type may be left out where it is HU (PS3.3 C.11.1.1.2). Values that can't fall below
    zero, where air lies, are grey levels somebody saved with an idle rescale.
    """
    if not (_states_ct(dataset) or is_ct(dataset)) or "RescaleIntercept" not in fields:
        return False
    if str(fields.get("RescaleType", "HU")).strip().upper() != "HU":
        return False
    lowest = (first_number(fields["RescaleIntercept"]) or 0.0) < 0
    return "ModalityLUTSequence" not in fields and (image.is_signed or lowest)


def _states_ct(dataset: Dataset) -> bool:
    """Whether the header's modality is CT, as that of a picture of one may be too."""
    return str(dataset.get("Modality", "")).strip().upper() == "CT"


def read_voi(
    fields: dict[str, Any], pixels: Floats, *, is_little_endian: bool
) -> tuple[Voi | None, Window]:
    """The image's own VOI transform and window, or (None, (None, None)) when it has no valid one.

    A VOI LUT comes before a window, and of several windows the first valid one counts.
    """
    if sequence := fields.get("VOILUTSequence"):
        table, first, bits = _read_table(sequence[0], is_little_endian=is_little_endian)
        if first >= 0x8000 and np.nanmin(pixels) < 0:
            # C.11.2.1.1: signed where the Modality LUT's output is, whatever type was written.
            first -= 0x10000
        scaled = table * np.float32(255 / (2 ** _find_output_bits(table, bits) - 1))
        return Voi("LUT", lut=scaled.astype(np.float32), lut_first=float(first)), (None, None)
    function = str(fields.get("VOILUTFunction", "LINEAR")).upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR"
    for center, width in read_windows(fields):
        # LINEAR counts whole values; a narrower window can only have been meant exactly.
        is_narrow = function == "LINEAR" and width < 1
        return Voi("LINEAR_EXACT" if is_narrow else function), (center, width)
    return None, (None, None)


def _find_output_bits(table: Floats, declared: int) -> int:
    """Bits of a VOI LUT's entries: the declared ones, or where these can't be meant, the used ones.

    Entries may not need all of them. But some devices declare the words that entries are stored in,
    and would be shown at less than a quarter of the brightness.
    """
    used = max(1, int(table.max()).bit_length())
    is_storage = declared == STORAGE_BITS and used <= STORAGE_BITS - 2
    return declared if used <= declared <= STORAGE_BITS and not is_storage else used


def read_windows(fields: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The windows whose centre is a number and whose width is positive, in their order."""
    centers, widths = (as_numbers(fields.get(name)) for name in WINDOW)
    pairs = zip(centers, widths, strict=False)
    return [
        (center, width)
        for center, width in pairs
        if center is not None and width is not None and width > 0
    ]


def default_voi(dataset: Dataset, image: ImagePixel, pixels: Floats, stored: NDArray[Any]) -> Voi:
    """What to show when the image says nothing.

    Up to 8 unsigned bits that nothing rescales are grey levels already, so a picture and its
    Secondary Capture look the same. Anything deeper is stretched over the values that occur,
    without the padding and without outliers.
    """
    high = find_picture_high(image, pixels, stored)
    if high is not None:
        return Voi("NONE") if image.bits_stored == 8 else Voi("RANGE", high=high)
    kept = _leave_out_padding(dataset, pixels, stored)
    ends = _find_ends(kept)
    # Not-a-number and infinity show in the ends: a mask of every pixel is made for them alone.
    if not np.isfinite(ends).all():
        kept = kept[np.isfinite(kept)]
        ends = _find_ends(kept)
    low, high = _find_range(kept, ends) if kept.size else (0.0, 0.0)
    return Voi("RANGE", low=low, high=high)


def _find_ends(values: Floats) -> tuple[float, float]:
    """The lowest and the highest value; zeros where there is none."""
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def find_picture_high(image: ImagePixel, pixels: Floats, stored: NDArray[Any]) -> float | None:
    """The highest level of up to 8 unsigned bits that nothing rescales; None of anything deeper."""
    bits = image.bits_stored
    if bits > 8 or image.is_signed or not np.array_equal(pixels, stored):
        return None
    return float(2**bits - 1)


def find_padding(
    dataset: Dataset, fields: Mapping[str, Any], stored: NDArray[Any]
) -> tuple[float, float] | None:
    """The modality values that the image declares as padding, both ends included."""
    ends = _find_padding(dataset, stored)
    if ends is None or "ModalityLUTSequence" in fields:
        return None
    slope = first_number(fields.get("RescaleSlope")) or 1.0
    intercept = first_number(fields.get("RescaleIntercept")) or 0.0
    low, high = sorted(end * slope + intercept for end in ends)
    return low, high


def _find_padding(dataset: Dataset, stored: NDArray[Any]) -> tuple[float, float] | None:
    value, limit = (_first_of(dataset, names) for names in (PADDING_KEYWORDS, LIMIT_KEYWORDS))
    if value is None:
        return None
    ends = [_as_stored(end, stored.dtype) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _leave_out_padding(dataset: Dataset, pixels: Floats, stored: NDArray[Any]) -> Floats:
    """The pixels without those that the image declares as padding; all where it is nothing else."""
    ends = _find_padding(dataset, stored)
    if ends is None:
        return pixels
    is_padding = _lie_between(stored, *ends)
    return pixels[~is_padding] if is_padding.any() and not is_padding.all() else pixels


def _lie_between(stored: NDArray[Any], low: float, high: float) -> NDArray[np.bool_]:
    """Which values lie there, compared as what they are: as float64 it takes ten times as long."""
    if stored.dtype.kind not in "iu":
        return np.asarray((stored >= low) & (stored <= high))
    least, most = np.iinfo(stored.dtype).min, np.iinfo(stored.dtype).max
    if high < least or low > most:
        return np.zeros(stored.shape, bool)
    return np.asarray(
        (stored >= max(math.ceil(low), least)) & (stored <= min(math.floor(high), most))
    )


def _find_range(values: Floats, ends: tuple[float, float]) -> tuple[float, float]:
    """All values that occur, or the percentiles where a few outliers would take most grey levels.

    Symmetric, so that an inverted image gets the inverted range.
    """
    lowest, highest = ends
    seen = values.ravel()[:: max(1, values.size // LOOKED_AT)]
    left_out = int(OUTLIERS * (seen.size - 1))
    places = (left_out, seen.size - 1 - left_out)
    low, high = (float(value) for value in np.partition(seen, places)[list(places)])
    is_spoilt = 0 < high - low < MIN_SHARE * (highest - lowest)
    return (low, high) if is_spoilt else (lowest, highest)


def _first_of(dataset: Dataset, keywords: tuple[str, ...]) -> float | None:
    numbers = (first_number(dataset.get(keyword)) for keyword in keywords)
    return next((number for number in numbers if number is not None), None)


def _as_stored(value: float, kind: np.dtype[Any]) -> float:
    """A padding value written with the wrong sign, as the stored values have it."""
    if kind.kind == "i" and value > np.iinfo(kind).max:
        return value - 2.0 ** (8 * kind.itemsize)
    if kind.kind == "u" and value < 0:
        return value + 2.0 ** (8 * kind.itemsize)
    return value


def _read_table(item: Dataset, *, is_little_endian: bool) -> tuple[Floats, int, int]:
    """Entries, first input value mapped and declared bits of a LUT item."""
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if is_little_endian else ">"
        is_packed = bits <= 8 and len(data) < 2 * (count or 65536)
        table = np.frombuffer(data, np.uint8 if is_packed else f"{order}u2")
    else:
        table = np.atleast_1d(np.asarray(data))
    entries = table[: count or 65536]
    if not entries.size:
        raise ValueError("an empty lookup table")
    return entries.astype(np.float32), first, bits
