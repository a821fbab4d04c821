"""Pictures with writing on them, and their clean twins: fonts, sizes, places, polarities."""

import random
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread

from tests.dicom.files import SAMPLES

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral", "cmr10")
SIZES = (9, 11, 14, 18, 22)
WORDS = (
    "MUSTER ERIKA",
    "Smith^John 1956",
    "12.03.1961 F",
    "ID 4711-0815",
    "St. Mary Hospital",
    "Dr. O'Neill 14:32",
)
CORNERS = ("top left", "top right", "bottom left", "bottom right")


def clean_pictures() -> dict[str, np.ndarray]:
    """The first image of each sample, in 256 levels."""
    return {path.parent.name: _levels(path) for path in sorted(SAMPLES.glob("*/01.dcm"))}


def write_on(picture: np.ndarray, *, seed: int, size: int) -> np.ndarray:
    """The same picture with a line in a corner, in light or dark."""
    chosen = random.Random(seed)
    font = ImageFont.truetype(FONTS / f"{chosen.choice(FACES)}.ttf", size)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    words, corner = chosen.choice(WORDS), chosen.choice(CORNERS)
    left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
    x = 4 if "left" in corner else max(picture.shape[1] - (right - left) - 6, 0)
    y = 2 if "top" in corner else picture.shape[0] - (bottom - top) - 8
    under = picture[y : y + bottom, x : x + right]
    is_light = float(under.mean()) < 128
    draw.text((x, y), words, font=font, fill=255 if is_light else 0)
    return np.array(image)


def _levels(path: Path) -> np.ndarray:
    pixels = dcmread(path).pixel_array.astype(float)
    grey = pixels.max(axis=-1) if pixels.ndim == 3 else pixels
    return ((grey - grey.min()) * 255 / max(np.ptp(grey), 1)).astype(np.uint8)
