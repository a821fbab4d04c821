"""Fits a bundle's gate from training images and rejects; needs the training requirements."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.distance import EmbeddingSpace
from ml.gate import IN_SCOPE, Gate, score_rejection, standardise
from ml.workshop.exporting.readout import Readout
from ml.workshop.orientations import TURNED_KINDS

Floats = NDArray[np.float32]

# Strength of the squared penalty (inverse, as scikit-learn has it); chosen on chest radiographs.
INVERSE_PENALTY = 0.01
STRANGER = "stranger"
# Part of the features' mean spread added to each, so that a constant one doesn't explode.
SPREAD_FLOOR = 0.05
SCALE_QUANTILE = 0.99
FOLDS = 5


def fit_gate(
    space: EmbeddingSpace,
    training: Readout,
    validation: Readout,
    groups: Sequence[str],
    rejects: Floats,
    reject_kinds: Sequence[str],
) -> tuple[Gate, NDArray[np.float64]]:
    """The gate of an exported network, and the distances of the validation images for its limit.

    A multinomial logistic regression tells images in scope from each way of turning them and from
    all other rejects together; every class counts the same. In scope are the images that the
    network was trained on, and those of `validation` (of `groups`), on which it leans less: fitted
    on the first alone, it took new images for strange. So the distances returned are those of a
    head that was fitted without the image's fold, and both distances are brought to one scale on
    them. `rejects` (features, M x F, with their kinds) are those of the part `fit`: none of `test`
    may be seen here. Without any the distance from the training images decides alone.
    """
    kinds = [kind if kind in TURNED_KINDS else STRANGER for kind in reject_kinds]
    own = validation.features
    scores = np.zeros(len(own))
    for fitted, held in _divide(groups):
        head = _fit_head(np.concatenate([training.features, own[fitted]]), rejects, kinds)
        scores[held] = score_rejection(head.classify(own[held]), head.kinds)
    head = _fit_head(np.concatenate([training.features, own]), rejects, kinds)
    distances = space.measure(validation.embeddings)
    parts = np.stack([distances, scores])
    middles = np.median(parts, axis=1)
    widths = np.quantile(parts, SCALE_QUANTILE, axis=1) - middles
    gate = dataclasses.replace(
        head,
        middles=middles.astype(np.float32),
        widths=np.maximum(widths, 1e-6).astype(np.float32),
    )
    return gate, gate.scale_parts(distances, scores).max(axis=1)


def _divide(groups: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to fit on and rows held out, whole groups at a time; none of a single group."""
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(set(groups)))
    if folds > 1:
        yield from GroupKFold(folds).split(np.zeros(len(groups)), groups=groups)


def _fit_head(in_scope: Floats, strangers: Floats, kinds: Sequence[str]) -> Gate:
    """The head alone; its two scales are still 0 and 1."""
    offset = in_scope.mean(axis=0)
    spread = in_scope.std(axis=0)
    scale = spread + SPREAD_FLOOR * float(spread.mean()) + 1e-6
    classes = [IN_SCOPE] * len(in_scope) + list(kinds)
    names = tuple(sorted(set(classes)))
    features = standardise(np.concatenate([in_scope, strangers]), offset, scale)
    kernel, bias = _fit_linear(features, classes)
    return Gate(
        kinds=names,
        offset=offset.astype(np.float32),
        scale=scale.astype(np.float32),
        # Rounded as it is stored, so that the scales and the limit fit what ships.
        kernel=kernel.astype(np.float16).astype(np.float32),
        bias=bias.astype(np.float32),
        middles=np.zeros(2, np.float32),
        widths=np.ones(2, np.float32),
    )


def _fit_linear(
    features: Floats, classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel (F x M) and bias (M) of the classes by name; nothing is told apart of one alone."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    count = len(set(classes))
    if count == 1:
        return np.zeros((features.shape[1], 1)), np.zeros(1)
    model = LogisticRegression(C=INVERSE_PENALTY, tol=1e-3, max_iter=300, class_weight="balanced")
    # With more threads the small products of a fit wait for one another: fifty times as long
    # where another program works on the same cores.
    with threadpool_limits(1):
        model.fit(features, classes)
    if count == 2:
        # Of two classes scikit-learn keeps the second one's logit alone.
        return np.hstack([0 * model.coef_.T, model.coef_.T]), np.array([0.0, *model.intercept_])
    return model.coef_.T, model.intercept_
