"""What dcmtk makes of a file: the second opinion on grey levels and on stored values."""

import io
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images import Frame, read_frames
from tests.prerequisites import require_program

# The one tool of its kind knows JPEG, the other JPEG-LS; both know RLE. dcmtk has no JPEG 2000.
RENDERERS = ("dcmj2pnm", "dcml2pnm")
DECOMPRESSORS = ("dcmdjpeg", "dcmdjpls", "dcmdrle")


def render_with_dcmtk(path: Path, frame: Frame, number: int = 1) -> NDArray[np.int64] | None:
    """Frame `number` of the file with the frame's own window; None for what dcmtk can't decode.

    Without overlays, which it would draw into the image.
    """
    for tool in RENDERERS:
        require_program(tool, "dcmtk")
        options = ["-q", "-O", *_name_window(frame), "--frame", str(number), "--write-png"]
        made = subprocess.run([tool, *options, path], check=False, capture_output=True)
        if made.returncode == 0 and made.stdout:
            with Image.open(io.BytesIO(made.stdout)) as image:
                shown = np.asarray(image).astype(np.int64)
            return shown if shown.ndim == 2 or frame.is_colour else shown[..., 1]
    return None


def _name_window(frame: Frame) -> list[str]:
    """The window in numbers: dcmtk's numbering leaves out those of enhanced objects."""
    voi = frame.voi
    if frame.window_center is not None and frame.window_width is not None:
        shape = {"SIGMOID": ["+Wfs"]}.get(voi.function, ["+Wfl"])
        return ["+Ww", str(frame.window_center), str(frame.window_width), *shape]
    if voi.function == "LUT":
        return ["+Wl", "1"]
    if voi.function == "RANGE":
        # C.11.2.1.2.1 turned round: the linear window whose ends these two values are.
        return ["+Ww", str((voi.low + voi.high + 1) / 2), str(voi.high - voi.low + 1)]
    return []


def decompress_with_dcmtk(path: Path, folder: Path) -> NDArray[np.float64] | None:
    """The first frame's values after dcmtk's own decompression; None where it can't."""
    target = folder / f"{path.name}.native.dcm"
    for tool in DECOMPRESSORS:
        require_program(tool, "dcmtk")
        made = subprocess.run([tool, "-q", path, target], check=False, capture_output=True)
        if made.returncode == 0:
            return read_frames(target, frames=[0])[0].pixels.astype(np.float64)
    return None
