"""What a map shows of a label: how much evidence, where on the body, and in which words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.explanation.body import Mask, find_body

Floats = NDArray[np.float32]

# A cell of the network counts as body from this part of it on.
BODY_PART = 0.1
# Less than this prints as 0.00, more than that as 1.00, which is never certain.
NOTHING, CERTAIN = 0.005, 0.995
NOT_FOUND = "not found"
UNPROVEN_WORDS = "such maps were not shown to point at disease"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One label's evidence on one image.

    `grid` (h x w) is on the one scale of every task and label, the probability: its brightest cell
    is the label's calibrated probability on this image. `body` (n x n over the whole image) is
    where the image shows a body; cells beside it hold 0.
    """

    grid: Floats
    body: Mask

    @property
    def peak(self) -> float:
        """The largest value of the grid."""
        return float(self.grid.max())


def measure_evidence(
    activation: NDArray[np.floating], *, probability: float, shown: NDArray[np.uint8]
) -> Evidence:
    """Bring a map that is scaled to its own maximum (h x w, 0..1) to the scale of probability.

    By itself such a map shines as brightly for a label of 0.01 as for one of 0.99. `shown` is the
    image as it is displayed (HxW or HxWx3). Raises ValueError for values outside 0..1.

    >>> shown = np.full((64, 64), 128, np.uint8)
    >>> activation = np.array([[0.0, 0.5], [0.25, 1.0]])
    >>> evidence = measure_evidence(activation, probability=0.8, shown=shown)
    >>> evidence.grid.tolist() == (activation * np.float32(0.8)).tolist()
    True
    >>> describe_evidence("glioma", evidence, judgement=judge_finding(0.8, operating_point=0.3))
    'glioma, peak 0.80'
    """
    values = np.asarray(activation, np.float32)
    if values.ndim != 2 or not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("an activation map is two-dimensional with values from 0 to 1")
    if not 0 <= probability <= 1:
        raise ValueError("a probability is from 0 to 1")
    body = find_body(shown)
    return Evidence(keep_on_body(values * np.float32(probability), body), body)


def keep_on_body(maps: Floats, body: Mask) -> Floats:
    """Maps (h x w, or a stack of them) with 0 in the cells beside the body (n x n)."""
    rows, columns = maps.shape[-2:]
    share = Image.fromarray(body.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(maps * (np.asarray(share) > BODY_PART), np.float32)


def judge_finding(
    probability: float, operating_point: float | None, *, is_indeterminate: bool = False
) -> str:
    """What a study's answer makes of one finding: "", "indeterminate" or "not found"."""
    if is_indeterminate:
        return "indeterminate"
    is_found = operating_point is None or probability >= operating_point
    return "" if is_found else NOT_FOUND


def describe_evidence(
    label: str, evidence: Evidence, *, judgement: str, is_unproven: bool = False
) -> str:
    """The words beneath a map: its label, its peak, and what `judge_finding` makes of it.

    Last that the bundle's maps were not shown to point at disease, where they weren't.
    """
    words = _describe_peak(label, evidence, judgement)
    return f"{words}; {UNPROVEN_WORDS}" if is_unproven else words


def _describe_peak(label: str, evidence: Evidence, judgement: str) -> str:
    if evidence.peak < NOTHING:
        words = f"{label}: next to nothing on this image speaks for it"
    else:
        peak = "> 0.99" if evidence.peak > CERTAIN else f"{evidence.peak:.2f}"
        words = f"{label}, peak {peak}"
    if judgement == NOT_FOUND:
        return f"{words}; not found; the map shows what little there is"
    return f"{words}; {judgement}" if judgement else words
