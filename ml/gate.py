"""Whether an image is of the kind a task reads: its distance, and a head that knows strangers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.calibration import softmax
from ml.distance import EmbeddingSpace
from ml.runtimes import RuntimeOutputs

Floats = NDArray[np.float32]

GATE = "gate.npz"
# The class of images in scope; any other class of the head is a kind of reject.
IN_SCOPE = "in_scope"
THUMBNAIL_SIDE = 16
# Grey levels that count as much as 1 in an embedding: about the spread of a radiograph.
THUMBNAIL_UNIT = 64
# Standardised features are clipped here, so that no strange value speaks alone.
MAX_DEVIATION = 5.0
# The head's probability from which it is told what is wrong: four times that of all else together,
# the images in scope and other strangers. Of 235 head CTs shown to the brain model 34 were called
# turned when the likeliest class was told, 16 at this.
CLEARLY = 0.8
# What staff read in addition, when the head says clearly what is wrong.
REASONS = {
    "inverted": "It looks like a negative: bright and dark are exchanged.",
    "rotated_90": "It looks turned onto its side.",
    "rotated_270": "It looks turned onto its side.",
    "rotated_180": "It looks upside down.",
}


@dataclass(frozen=True, slots=True)
class Readings:
    """Of N images: the distance, and what is likely wrong with each ('' when nobody can say)."""

    distances: NDArray[np.float64]
    hints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """A linear head on embedding, lean and thumbnail, and how it is joined with the distance.

    `kinds` (M) are the head's classes, `in_scope` among them; `offset` and `scale` (F) standardise
    the features, `kernel` (F x M) and `bias` (M) give the classes' logits. `middles` and `widths`
    (2) bring the distance from the training images and the head's score to one scale.
    """

    kinds: tuple[str, ...]
    offset: Floats
    scale: Floats
    kernel: Floats
    bias: Floats
    middles: Floats
    widths: Floats

    def measure(self, space: EmbeddingSpace, features: Floats, embeddings: Floats) -> Readings:
        """Readings of N images from their joined features (N x F) and their embeddings (N x C).

        The distance is the larger of two, each 0 at the median of the images it was scaled on
        and 1 at their 99th percentile: how far the embedding is from the training images, and
        how much rather the head takes the image for a reject. Each sees what the other misses:
        the first an image like nothing known, the second one that is only turned or inverted.
        """
        logits = self.classify(features)
        scaled = self.scale_parts(space.measure(embeddings), score_rejection(logits, self.kinds))
        hints = [
            self._find_hint(row) if by_head > 1 else ""
            for row, by_head in zip(softmax(logits), scaled[:, 1], strict=True)
        ]
        return Readings(distances=scaled.max(axis=1), hints=tuple(hints))

    def _find_hint(self, probabilities: NDArray[np.float64]) -> str:
        """What is clearly wrong with an image by the head's probabilities (M); "" for nothing."""
        shares = dict.fromkeys(REASONS.values(), 0.0)
        for kind, probability in zip(self.kinds, probabilities, strict=True):
            if kind in REASONS:
                shares[REASONS[kind]] += float(probability)
        return next((reason for reason, share in shares.items() if share >= CLEARLY), "")

    def scale_parts(
        self, from_training: NDArray[np.float64], by_head: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Both distances of N images (N x 2), brought to one scale."""
        return (np.stack([from_training, by_head], axis=1) - self.middles) / self.widths

    def classify(self, features: Floats) -> NDArray[np.float64]:
        """Logits (N x M) of the head for joined features (N x F)."""
        standard = standardise(features, self.offset, self.scale)
        return np.asarray(standard @ self.kernel + self.bias, np.float64)

    def save(self, path: Path) -> None:
        """Write the arrays as npz, the kernel in half precision."""
        np.savez(
            path,
            kinds=np.array(self.kinds),
            offset=self.offset,
            scale=self.scale,
            kernel=self.kernel.astype(np.float16),
            bias=self.bias,
            middles=self.middles,
            widths=self.widths,
        )


def load_gate(path: Path) -> Gate:
    """Read what `Gate.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Gate(
            kinds=tuple(arrays["kinds"].tolist()),
            kernel=arrays["kernel"].astype(np.float32),
            **{name: arrays[name] for name in ("offset", "scale", "bias", "middles", "widths")},
        )


def join_features(inputs: Floats, outputs: RuntimeOutputs) -> Floats:
    """What the head sees (N x F): the embedding, what is above but not below, and a thumbnail.

    The embedding is a mean over the whole image and so forgets how the image lies: its upper half
    less its lower half, and sixteen by sixteen grey levels of the network's input, remember.
    """
    maps = outputs.feature_maps
    rows = maps.shape[1]
    upper, lower = maps[:, : (rows + 1) // 2], maps[:, rows // 2 :]
    lean = upper.mean(axis=(1, 2)) - lower.mean(axis=(1, 2))
    images, side, _, channels = inputs.shape
    edges = np.linspace(0, side, THUMBNAIL_SIDE + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(inputs, edges, axis=1), edges, axis=2)
    heights = np.diff([*edges, side])
    areas = (heights[:, np.newaxis] * heights)[np.newaxis, ..., np.newaxis]
    means = sums / (areas * THUMBNAIL_UNIT)
    thumbnails = means.reshape(images, THUMBNAIL_SIDE**2 * channels)
    return np.concatenate([outputs.embeddings, lean, thumbnails], axis=1).astype(np.float32)


def standardise(features: Floats, offset: Floats, scale: Floats) -> Floats:
    """Features (N x F) as deviations from those of images in scope, clipped."""
    deviations = (features - offset) / scale
    return np.asarray(np.clip(deviations, -MAX_DEVIATION, MAX_DEVIATION), np.float32)


def score_rejection(logits: NDArray[np.floating], kinds: tuple[str, ...]) -> NDArray[np.float64]:
    """Log odds (N) that an image is of any class but the one in scope, from logits (N x M)."""
    if len(kinds) == 1:
        return np.zeros(len(logits))
    own = kinds.index(IN_SCOPE)
    others = np.delete(np.asarray(logits, np.float64), own, axis=1)
    peaks = others.max(axis=1)
    summed = peaks + np.log(np.exp(others - peaks[:, np.newaxis]).sum(axis=1))
    return np.asarray(summed - logits[:, own], np.float64)
