"""Whether two files hold the same object, by what they say and show: read in isolated children."""

from collections.abc import Iterable
from typing import IO

import numpy as np

from ml.errors import MLError
from records.dicom.sandbox.calls import Sandbox


def have_same_content(
    sandbox: Sandbox, one: IO[bytes], other: IO[bytes], *, batches: Iterable[list[int]]
) -> bool:
    """Tell whether two DICOM files hold the same values and, decoded, the same pixels.

    `batches` are the frames, counted from 0, some at a time. Pixels that can't be decoded are
    the same where their bytes are. What takes too much to be compared counts as different.
    """
    try:
        first, second = sandbox.state(one), sandbox.state(other)
        if not first.agrees_with(second):
            return False
        if first.pixels == second.pixels:
            return True
        if not (first.can_be_unpacked and second.can_be_unpacked):
            return False
        return all(_show_the_same(sandbox, one, other, frames) for frames in batches)
    except MLError:
        return False


def _show_the_same(sandbox: Sandbox, one: IO[bytes], other: IO[bytes], frames: list[int]) -> bool:
    ours, theirs = (sandbox.unpack(source, frames=frames) for source in (one, other))
    pairs = zip(ours, theirs, strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)
