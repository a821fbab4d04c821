"""Where a slice lies in the patient (DICOM PS3.3 C.7.6.2.1.1)."""

import math
from collections.abc import Sequence


def find_slice_position(position: Sequence[float], cosines: Sequence[float]) -> float | None:
    """Where a slice lies along the normal of its plane, in mm; None where that isn't said.

    `position` is Image Position (Patient), `cosines` Image Orientation (Patient): the normal is
    the cross product of its two directions.
    """
    if len(position) != 3 or len(cosines) != 6:
        return None
    row, column = cosines[:3], cosines[3:]
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    along = math.fsum(a * b for a, b in zip(normal, position, strict=True))
    return along if math.isfinite(along) else None
