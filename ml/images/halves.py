"""Colours of 16 bits through Pillow, which has room for 8: the upper and the lower half apart.

Pillow's unpackers of big and of little endian samples keep the first and the second byte. A file
read with the one that it needs, and once more with the other, gives both.
"""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

OTHER_HALF = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
# Grey with alpha, two bytes each, lies like four colours of one byte, filters included.
GREY_ALPHA, AS_COLOURS = "LA;16B", "RGBA"

Reopen = Callable[[], ImageFile.ImageFile]


def is_halved(image: Image.Image) -> bool:
    """Whether Pillow would drop the lower half of this picture's samples; it isn't loaded yet."""
    modes = {_raw_mode(tile) for tile in getattr(image, "tile", [])}
    return bool(modes) and modes <= {*OTHER_HALF, GREY_ALPHA}


def read_both_halves(reopen: Reopen) -> NDArray[np.uint16]:
    """HxWxC samples: RGB, RGBA, or grey and alpha; `reopen` gives the picture, not loaded."""
    first = reopen()
    if GREY_ALPHA in {_raw_mode(tile) for tile in getattr(first, "tile", [])}:
        return _read_grey_alpha(first)
    upper = _load(first)
    second = reopen()
    second.tile = [_with_raw_mode(tile, OTHER_HALF[_raw_mode(tile)]) for tile in second.tile]
    return _joined(upper, _load(second))


def _read_grey_alpha(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    image.tile = [_with_raw_mode(tile, AS_COLOURS) for tile in image.tile]
    image._mode = AS_COLOURS
    parts = _load(image)
    return _joined(parts[..., 0::2], parts[..., 1::2])


def _joined(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.asarray(np.left_shift(upper, 8, dtype=np.uint16) | lower, np.uint16)


def _load(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    return np.asarray(ImageOps.exif_transpose(image))


def _raw_mode(tile: ImageFile._Tile) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _with_raw_mode(tile: ImageFile._Tile, mode: str) -> ImageFile._Tile:
    return tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
