"""Whether a map can be believed: how it must answer to other weights, images and methods."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.explanation.activation import measure_support, scale_maps
from ml.explanation.occlusion import Occlusion, occlude
from ml.runtimes import Runtime

Floats = NDArray[np.float32]

# With shuffled weights the maps must resemble the true ones less than this (rank correlation).
MAX_RANDOMISED_CORRELATION = 0.5
# The two ways to compute one map may differ by rounding alone.
MAX_GRADIENT_DIFFERENCE = 1e-4
SEED = 20


@dataclass(frozen=True, slots=True)
class SanityFigures:
    """What the tests of a bundle's maps gave on some images; `is_passed` judges the first four.

    `randomised_correlation`: mean absolute rank correlation with the maps of the shuffled network.
    `gradient_difference`: largest difference to Grad-CAM. `blank_when_supported` counts maps
    without a peak though the label has support, or with a value that is no number in 0..1.
    `black_range`: what the maps of an all-black image vary by. `occlusion_correlation`: mean rank
    correlation with occlusion for the likeliest label. That passes or fails nothing: the two answer
    different questions, and where they disagree a reader should be wary.
    """

    images: int
    randomised_correlation: float
    gradient_difference: float
    blank_when_supported: int
    black_range: float
    occlusion_correlation: float

    @property
    def is_passed(self) -> bool:
        """Whether the maps behave as maps of this network must."""
        return (
            self.randomised_correlation < MAX_RANDOMISED_CORRELATION
            and self.gradient_difference <= MAX_GRADIENT_DIFFERENCE
            and self.blank_when_supported == 0
            and self.black_range == 0
        )

    def describe(self) -> dict[str, Any]:
        """The figures in plain values, with the verdict."""
        return dataclasses.asdict(self) | {"is_passed": self.is_passed}


def explain_inputs(runtime: Runtime, kernel: Floats, inputs: Floats) -> tuple[Floats, Floats]:
    """Signed supports and maps (both N x K x h x w) of prepared inputs (N x H x W x channels).

    Where an input is blank the maps are zero: padding alone would draw its border.
    """
    supports = np.stack(
        [measure_support(maps, kernel) for maps in runtime.predict(inputs).feature_maps]
    )
    is_blank = np.ptp(inputs.reshape(len(inputs), -1), axis=1) == 0
    supports[is_blank] = 0
    return supports, np.stack([scale_maps(support) for support in supports])


def check_maps(
    runtime: Runtime,
    kernel: Floats,
    network: Any,
    inputs: Floats,
    *,
    occlusion: Occlusion | None = None,
) -> SanityFigures:
    """Test the maps of a bundle: `network` is its Keras model, needed for gradients and shuffling.

    The inputs are a few prepared images (N x H x W x channels, 0..255), none of them blank.
    """
    from ml.workshop.explanation import gradients

    supports, maps = explain_inputs(runtime, kernel, inputs)
    opened = gradients.open_layers(network, logits=gradients.LOGITS, features=gradients.FEATURES)
    by_gradient = gradients.measure_gradient_support(opened, inputs)
    shuffled = gradients.measure_gradient_support(gradients.randomise(opened, seed=SEED), inputs)
    scaled = np.stack([scale_maps(support) for support in by_gradient])
    _, black = explain_inputs(runtime, kernel, np.zeros_like(inputs[:1]))
    return SanityFigures(
        images=len(inputs),
        randomised_correlation=float(np.abs(_correlate_all(supports, shuffled)).mean()),
        gradient_difference=float(np.abs(scaled - maps).max()),
        blank_when_supported=count_faults(supports, maps),
        black_range=float(np.ptp(black)),
        occlusion_correlation=float(
            np.mean([compare_with_occlusion(runtime, kernel, one, occlusion) for one in inputs])
        ),
    )


def count_faults(supports: Floats, maps: Floats) -> int:
    """Maps (N x K x h x w) that aren't numbers of 0..1, or lack a peak their support calls for."""
    peaks, is_supported = maps.max(axis=(2, 3)), supports.max(axis=(2, 3)) > 0
    is_valid = np.isfinite(maps).all(axis=(2, 3)) & (maps.min(axis=(2, 3)) >= 0)
    return int((~is_valid | (peaks != np.where(is_supported, 1, 0))).sum())


def compare_with_occlusion(
    runtime: Runtime, kernel: Floats, image: Floats, occlusion: Occlusion | None = None
) -> float:
    """Rank correlation of the likeliest label's support with its logit's fall by occlusion."""
    outputs = runtime.predict(image[np.newaxis])
    label = int(outputs.logits[0].argmax())
    support = measure_support(outputs.feature_maps[0], kernel)[label]
    fall = Image.fromarray(occlude(runtime, image, occlusion)[label])
    pooled = fall.resize(support.shape[::-1], Image.Resampling.BOX)
    return rank_correlation(support, np.asarray(pooled))


def _correlate_all(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Rank correlation of each pair of maps in two stacks (N x K x h x w)."""
    shape = (-1, *first.shape[2:])
    pairs = zip(first.reshape(shape), second.reshape(shape), strict=True)
    return np.array([rank_correlation(one, other) for one, other in pairs])


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's correlation of two maps of one shape, ties sharing a rank; 0 if one is flat."""
    ranks = [_rank(np.asarray(values, np.float64).ravel()) for values in (first, second)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = float(np.sqrt(np.square(centred[0]).sum() * np.square(centred[1]).sum()))
    return float((centred[0] * centred[1]).sum() / scale) if scale > 0 else 0.0


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)
