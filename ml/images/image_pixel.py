"""The Image Pixel module (PS3.3 C.7.6.3): how pixels lie in the data, checked first of all."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from ml.errors import ImageUnreadable
from ml.images.frame import check_size
from ml.images.numbers import first_whole

FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
WHOLE_BITS = (1, 8, 12, 16, 24, 32)
# Two pixels share one pair of colour differences; the data is a third smaller.
HALVED_COLOUR = ("YBR_FULL_422", "YBR_PARTIAL_422")
COLOURS = ("RGB", "YBR_FULL", "YBR_ICT", "YBR_RCT", *HALVED_COLOUR)
GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """The elements of the module in the standard's words; `is_float` means (double) float data.

    `keeps_depth` asks for colours of more than 8 bits as they are stored. `has_full_colours` says
    that there is a colour for each pixel after all, where the photometric interpretation halves
    them.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_planar: bool
    photometric: str
    is_float: bool
    keeps_depth: bool = False
    has_full_colours: bool = False

    @property
    def is_halved(self) -> bool:
        """Whether two neighbours share their colour, uncompressed."""
        return self.photometric in HALVED_COLOUR and not self.has_full_colours

    @property
    def frame_samples(self) -> int:
        """Values that one frame holds when it is not compressed."""
        count = self.rows * self.columns * self.samples
        return count * 2 // 3 if self.is_halved else count

    @property
    def native_bytes(self) -> int:
        """Bytes of all frames when not compressed; frames of single bits are not padded."""
        return (self.frame_samples * self.frames * self.bits_allocated + 7) // 8


def read_image_pixel(dataset: Dataset, keyword: str, *, wanted: int | None) -> ImagePixel:
    """Read and check the module for the element `keyword`; `wanted` frames are to be decoded.

    Raises ImageUnreadable for an impossible description and ImageTooLarge for too large an image.
    """
    allocated = _read_integer(dataset, "BitsAllocated", FLOAT_BITS.get(keyword))
    stored = _read_integer(dataset, "BitsStored", allocated)
    high_bit = _read_integer(dataset, "HighBit", stored - 1)
    image = ImagePixel(
        rows=_read_integer(dataset, "Rows"),
        columns=_read_integer(dataset, "Columns"),
        frames=_read_integer(dataset, "NumberOfFrames", 1) or 1,
        samples=(samples := _read_integer(dataset, "SamplesPerPixel", 1)),
        bits_allocated=allocated,
        bits_stored=stored,
        # Readers have long ignored this element, so a wrong one is common and harmless.
        high_bit=high_bit if stored - 1 <= high_bit < allocated else stored - 1,
        # Signed colours don't exist: some writers copy the element from the grey image.
        is_signed=samples == 1 and _read_integer(dataset, "PixelRepresentation", 0) == 1,
        is_planar=_read_integer(dataset, "PlanarConfiguration", 0) == 1,
        photometric=_read_photometric(dataset, samples),
        is_float=keyword in FLOAT_BITS,
    )
    _check(image, keyword)
    check_size(
        rows=image.rows,
        columns=image.columns,
        frames=image.frames if wanted is None else wanted,
        pixel_bytes=samples * -(-allocated // 8),
    )
    return image


def _read_integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    try:
        number = first_whole(dataset.get(keyword))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ImageUnreadable(detail=f"its header gives no valid {keyword}") from error
    number = default if number is None else number
    if number is None:
        raise ImageUnreadable(detail=f"its header gives no valid {keyword}")
    return number


def _read_photometric(dataset: Dataset, samples: int) -> str:
    stated = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if samples == 1:
        # One sample is a grey level, whatever a broken header calls it.
        return stated if stated in GREYS else "MONOCHROME2"
    return "RGB" if stated in (*GREYS, "") else stated


def _check(image: ImagePixel, keyword: str) -> None:
    size = (image.rows, image.columns, image.frames)
    if min(size) < 1:
        detail = f"its header announces {size[0]} x {size[1]} x {size[2]} pixels"
        raise ImageUnreadable(detail=detail)
    if max(size[:2]) > 0xFFFF:
        raise ImageUnreadable(detail="its header gives no valid Rows and Columns")
    if image.samples not in (1, 3):
        raise ImageUnreadable(detail=f"its header announces {image.samples} samples per pixel")
    allowed = (FLOAT_BITS[keyword],) if image.is_float else WHOLE_BITS
    if image.bits_allocated not in allowed or not 1 <= image.bits_stored <= image.bits_allocated:
        detail = f"its header announces {image.bits_stored} of {image.bits_allocated} bits"
        raise ImageUnreadable(detail=detail)
    if image.samples == 3 and image.photometric not in COLOURS:
        raise ImageUnreadable(detail=f"its colours are given as {image.photometric[:16]}")
    if image.samples == 3 and (image.is_float or image.bits_allocated not in (8, 16, 32)):
        raise ImageUnreadable(detail=f"its colours have {image.bits_allocated} bits a sample")
