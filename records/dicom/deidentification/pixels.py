"""The stored pixels of an image: unpacked, freed of hidden bits, blackened where asked.

Here are values as they are stored, not levels to look at, which is what `ml.images` makes.
"""

from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels import pixel_array
from pydicom.uid import (
    ExplicitVRLittleEndian,
    UID_dictionary,
)

from records.dicom.deidentification.cells import widen_cells
from records.dicom.errors import ExportNotAnImage, ExportUnreadable, RegionOutside
from records.dicom.reading.proof import RESULTS
from records.dicom.reading.structure import HALVED_COLOUR
from records.dicom.reading.values import PARSE_ERRORS, read_integer

FLOAT_TYPES = {"FloatPixelData": "<f4", "DoubleFloatPixelData": "<f8"}
FLOAT_VRS = {"FloatPixelData": "OF", "DoubleFloatPixelData": "OD"}
SAMPLE_TYPES = {8: "u1", 16: "<u2", 32: "<u4"}
# Black in YBR: no luminance, and the middle for both colour differences (PS3.3 C.7.6.3.1.2).
BLACK_YBR = (0, 128, 128)

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A part of every frame, in pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def is_inside(self, *, columns: int, rows: int) -> bool:
        """Tell whether it is a part of an image of that size."""
        is_across = 0 <= self.x < self.x + self.width <= columns
        return is_across and 0 <= self.y < self.y + self.height <= rows

    def as_list(self) -> list[int]:
        """As the database keeps it."""
        return [self.x, self.y, self.width, self.height]


def open_image(stream: IO[bytes]) -> Dataset:
    """Read an image in Explicit VR Little Endian, and leave nothing in it but its pixels.

    There may be bytes after the last pixel, and bits above the highest. What is compressed, where
    more can hide, is unpacked before it comes here. Raises ExportNotAnImage for what has no
    pixels, and ExportUnreadable.
    """
    try:
        image = dcmread(stream)
        if image.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
            raise ExportUnreadable
        widen_cells(image)
        _check_kind(image)
        _widen_colours(image)
        samples = read_samples(image)
        write_samples(image, _without_hidden_bits(image, samples))
    except (*PARSE_ERRORS, MemoryError, OSError, RuntimeError) as error:
        raise ExportUnreadable from error
    return image


def read_samples(image: Dataset) -> Samples:
    """The stored values: frames x rows x columns x samples, whatever the file's order was."""
    frames = max(read_integer(image, "NumberOfFrames") or 1, 1)
    rows, columns = int(image.Rows), int(image.Columns)
    samples = int(image.get("SamplesPerPixel") or 1)
    is_planar = samples > 1 and int(image.get("PlanarConfiguration") or 0) == 1
    stored = np.frombuffer(image[_pixel_keyword(image)].value, _sample_type(image))
    shape = (frames, samples, rows, columns) if is_planar else (frames, rows, columns, samples)
    cut = stored[: frames * rows * columns * samples].reshape(shape)
    return np.moveaxis(cut, 1, -1) if is_planar else cut


def write_samples(image: Dataset, samples: Samples) -> None:
    """Put stored values back, colours by pixel."""
    content = np.ascontiguousarray(samples).tobytes()
    keyword = _pixel_keyword(image)
    vr = FLOAT_VRS.get(keyword, "OB" if samples.dtype.itemsize == 1 else "OW")
    image.add_new(keyword, vr, content + b"\0" * (len(content) % 2))
    if samples.shape[-1] > 1:
        image.PlanarConfiguration = 0


def blacken(image: Dataset, rectangles: list[Rectangle]) -> None:
    """Overwrite the rectangles in every frame; raises RegionOutside."""
    samples = read_samples(image).copy()
    _, rows, columns, _ = samples.shape
    black = _black(image, samples)
    for one in rectangles:
        if not one.is_inside(columns=columns, rows=rows):
            raise RegionOutside(columns=columns, rows=rows)
        samples[:, one.y : one.y + one.height, one.x : one.x + one.width] = black
    write_samples(image, samples)


def _check_kind(image: Dataset) -> None:
    sop_class = str(image.get("SOPClassUID", ""))
    has_pixels = any(keyword in image for keyword in ("PixelData", *FLOAT_VRS))
    is_image = has_pixels and sop_class in UID_dictionary and sop_class not in RESULTS
    is_float = _pixel_keyword(image) in FLOAT_VRS
    if not is_image or not (is_float or int(image.BitsAllocated) in SAMPLE_TYPES):
        raise ExportNotAnImage


def _pixel_keyword(image: Dataset) -> str:
    return next((keyword for keyword in FLOAT_VRS if keyword in image), "PixelData")


def _widen_colours(image: Dataset) -> None:
    """Give each pixel its own colour, where two share one."""
    if str(image.PhotometricInterpretation) in HALVED_COLOUR:
        frames = max(read_integer(image, "NumberOfFrames") or 1, 1)
        if len(image.PixelData) >= 3 * int(image.Rows) * int(image.Columns) * frames:
            image.PhotometricInterpretation = "YBR_FULL"
            return
        whole = pixel_array(image, raw=True)
        image.PhotometricInterpretation = "YBR_FULL"
        write_samples(image, whole)


def _sample_type(image: Dataset) -> np.dtype[Any]:
    if (keyword := _pixel_keyword(image)) in FLOAT_TYPES:
        return np.dtype(FLOAT_TYPES[keyword])
    return np.dtype(SAMPLE_TYPES[int(image.BitsAllocated)])


def _without_hidden_bits(image: Dataset, samples: Samples) -> Samples:
    """Zero the bits outside Bits Stored, where old files keep overlays; signs are carried on."""
    if samples.dtype.kind == "f":
        return samples
    allocated, stored = int(image.BitsAllocated), int(image.BitsStored)
    low = int(image.HighBit) + 1 - stored
    if stored == allocated:
        return samples
    if not 0 <= low <= allocated - stored:
        raise ExportUnreadable
    mask = samples.dtype.type(((1 << stored) - 1) << low)
    kept = samples & mask
    if int(image.PixelRepresentation) == 1:
        sign = samples.dtype.type(1 << (low + stored - 1))
        above = samples.dtype.type((1 << allocated) - (1 << (low + stored)))
        kept = np.where(kept & sign, kept | above, kept)
    return kept


def _black(image: Dataset, samples: Samples) -> Any:
    """The darkest value of the image, as it is shown."""
    photometric = str(image.PhotometricInterpretation)
    if photometric.startswith("YBR"):
        return BLACK_YBR
    if samples.shape[-1] > 1 or photometric == "PALETTE COLOR":
        return 0
    signed = samples.dtype.kind == "u" and int(image.PixelRepresentation) == 1
    values = samples.view(samples.dtype.str.replace("u", "i")) if signed else samples
    darkest = np.nanmax(values) if photometric == "MONOCHROME1" else np.nanmin(values)
    return np.array(darkest).view(samples.dtype)
