"""Reads a DICOM image's Modality LUT and VOI LUT modules (PS3.3 C.11.1, C.11.2), per frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ml.images.frame import Pixels, Voi

Floats = NDArray[np.float32]
Window = tuple[float, float] | tuple[None, None]

FUNCTIONAL_GROUPS = (
    ("PixelValueTransformationSequence", ("RescaleSlope", "RescaleIntercept")),
    ("FrameVOILUTSequence", ("WindowCenter", "WindowWidth", "VOILUTFunction")),
    ("PixelMeasuresSequence", ("PixelSpacing",)),
)
LUT_KEYWORDS = ("ModalityLUTSequence", "VOILUTSequence")


def read_transform_fields(dataset: Dataset, index: int) -> dict[str, Any]:
    """The fields that decide a frame's grey levels: the image's own, then its functional groups'.

    Enhanced multi-frame objects say them once for all frames, or frame by frame.
    """
    keywords = [keyword for _, group in FUNCTIONAL_GROUPS for keyword in group]
    fields = {name: dataset.get(name) for name in (*keywords, *LUT_KEYWORDS) if name in dataset}
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for groups in [
        *(dataset.get("SharedFunctionalGroupsSequence") or []),
        *per_frame[index : index + 1],
    ]:
        for sequence, names in FUNCTIONAL_GROUPS:
            for item in groups.get(sequence) or []:
                fields |= {name: item.get(name) for name in names if name in item}
    return {name: value for name, value in fields.items() if value not in (None, "")}


def apply_modality(
    stored: NDArray[Any], fields: dict[str, Any], *, is_little_endian: bool
) -> Floats:
    """Stored values in modality units (Hounsfield units, for one)."""
    if sequence := fields.get("ModalityLUTSequence"):
        table, first, _ = _read_table(sequence[0], is_little_endian=is_little_endian)
        return table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
    slope = float(fields.get("RescaleSlope", 1)) or 1.0
    intercept = float(fields.get("RescaleIntercept", 0))
    if slope == 1 and intercept == 0:
        return stored.astype(np.float32)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def read_voi(fields: dict[str, Any], *, is_little_endian: bool) -> tuple[Voi | None, Window]:
    """The image's own VOI transform and window, or (None, (None, None)) when it has no valid one.

    A VOI LUT comes before a window, and of several windows the first one counts.
    """
    if sequence := fields.get("VOILUTSequence"):
        table, first, bits = _read_table(sequence[0], is_little_endian=is_little_endian)
        # Some devices declare the entries' storage, not their range: then the data decides.
        used = min(bits, max(1, int(table.max()).bit_length()))
        scaled = table * np.float32(255 / (2**used - 1))
        return Voi("LUT", lut=scaled, lut_first=float(first)), (None, None)
    center, width = (_first_number(fields.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None, (None, None)
    function = str(fields.get("VOILUTFunction", "LINEAR")).upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR"
    if function == "LINEAR" and width < 1:
        # LINEAR counts whole values; a narrower window can only have been meant exactly.
        function = "LINEAR_EXACT"
    return Voi(function), (center, width)


def default_voi(dataset: Dataset, pixels: Pixels, stored: NDArray[Any]) -> Voi:
    """What to show when the image says nothing.

    Up to 8 unsigned bits that nothing rescales are grey levels already, so a picture and its
    Secondary Capture look the same. Anything deeper is stretched over the values that occur,
    without the padding.
    """
    bits = int(dataset.get("BitsStored", 16))
    if bits <= 8 and not dataset.get("PixelRepresentation", 0) and _is_plain(pixels, stored):
        return Voi("NONE") if bits == 8 else Voi("RANGE", high=float(2**bits - 1))
    padding = _find_padding(dataset, stored)
    kept = pixels if padding is None or padding.all() else pixels[~padding]
    return Voi("RANGE", low=float(kept.min()), high=float(kept.max()))


def _is_plain(pixels: Pixels, stored: NDArray[Any]) -> bool:
    return bool(np.array_equal(pixels, stored))


def _find_padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Which pixels are padding; None for an image that declares no padding value."""
    value = _first_number(dataset.get("PixelPaddingValue"))
    if value is None:
        return None
    limit = _first_number(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((value, value if limit is None else limit))
    return np.asarray((stored >= low) & (stored <= high))


def _first_number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value[0] if hasattr(value, "__getitem__") else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


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
