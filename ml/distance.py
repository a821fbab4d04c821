"""How far an image is from what the network was trained on, measured on its embedding."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_COMPONENTS = 64
# Share of the training variance added to every direction, so that none counts without limit.
RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Training embeddings in short: main directions, the spread within classes, and the rest.

    `center` (C), `basis` (C x d orthonormal directions), `spread` (d) within the classes along
    each, `class_means` (K x d), `residual_scale` the root mean square outside the basis.
    """

    center: Floats
    basis: Floats
    spread: Floats
    class_means: Floats
    residual_scale: float

    def measure(self, embeddings: Floats) -> NDArray[np.float64]:
        """Distance of N embeddings: Mahalanobis to the nearest class mean, and the residual.

        Both parts are scaled to a mean square of about 1 on training images, so neither hides
        the other. An image of another kind mostly shows outside the main directions.
        """
        centered = embeddings - self.center
        projected = centered @ self.basis
        gaps = (projected[:, np.newaxis] - self.class_means) / self.spread
        inside = np.square(gaps).mean(axis=2).min(axis=1)
        left = centered - projected @ self.basis.T
        outside = np.square(left).mean(axis=1) / self.residual_scale**2
        return np.asarray(np.sqrt(inside + outside), np.float64)

    def save(self, path: Path) -> None:
        """Write the arrays as npz, the directions in half precision."""
        np.savez(
            path,
            center=self.center,
            basis=self.basis.astype(np.float16),
            spread=self.spread,
            class_means=self.class_means,
            residual_scale=np.float32(self.residual_scale),
        )


def load_space(path: Path) -> EmbeddingSpace:
    """Read what `EmbeddingSpace.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return EmbeddingSpace(
            center=arrays["center"],
            basis=arrays["basis"].astype(np.float32),
            spread=arrays["spread"],
            class_means=arrays["class_means"],
            residual_scale=float(arrays["residual_scale"]),
        )


def fit_space(embeddings: Floats, targets: NDArray[np.integer]) -> EmbeddingSpace:
    """Describe training embeddings (N x C) with their label indices (N)."""
    center = embeddings.mean(axis=0)
    centered = embeddings - center
    _, _, directions = np.linalg.svd(centered, full_matrices=False)
    basis = directions[: min(MAX_COMPONENTS, len(directions) - 1)].T
    projected = centered @ basis
    labels = np.unique(targets)
    means = np.stack([projected[targets == label].mean(axis=0) for label in labels])
    within = projected - means[np.searchsorted(labels, targets)]
    ridge = RIDGE * float(projected.var())
    spread = np.sqrt(within.var(axis=0) + ridge)
    left = centered - projected @ basis.T
    residual = max(float(np.sqrt(np.square(left).mean())), float(np.sqrt(ridge)), 1e-9)
    return EmbeddingSpace(
        center=center.astype(np.float32),
        basis=basis.astype(np.float32),
        spread=np.maximum(spread, 1e-9).astype(np.float32),
        class_means=means.astype(np.float32),
        residual_scale=residual,
    )
