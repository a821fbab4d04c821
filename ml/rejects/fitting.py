"""Fits a bundle's gate from training images and rejects; needs the training requirements."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.datasets import Example
from ml.distance import EmbeddingSpace
from ml.gate import IN_SCOPE, Gate, join_features, score_rejection, standardise
from ml.images import read_frames
from ml.preprocessing import prepare_frame
from ml.rejects.gathered import TURNED_KINDS
from ml.rejects.reject import Reject
from ml.runtimes import Runtime
from ml.task_config import InputConfig, TaskConfig

Floats = NDArray[np.float32]

CHUNK = 64
# Images in scope are drawn to at most these: more change nothing, and take time.
MAX_TRAINING = 2000
MAX_VALIDATION = 1000
SEED = 29
# Strength of the squared penalty (inverse, as scikit-learn has it); chosen on chest radiographs.
INVERSE_PENALTY = 0.01
STRANGER = "stranger"
# Part of the features' mean spread added to each, so that a constant one doesn't explode.
SPREAD_FLOOR = 0.05
SCALE_QUANTILE = 0.99


def fit_gate(
    engine: Runtime,
    config: TaskConfig,
    space: EmbeddingSpace,
    training: Sequence[Example],
    validation: Sequence[Example],
    rejects: Sequence[Reject],
) -> Gate:
    """The gate of an exported network, run through the engine that ships.

    A multinomial logistic regression tells images in scope (drawn from `training`) from each way
    of turning them and from all other rejects together; every class counts the same. Both
    distances are then brought to one scale on `validation`. The rejects are those of the part
    `fit`: none of `test` may be seen here.
    """
    spec = config.input
    in_scope = _read_features(engine, _draw_paths(training, MAX_TRAINING), spec)
    strangers = _read_features(engine, (reject.content for reject in rejects), spec)
    kinds = [reject.kind if reject.kind in TURNED_KINDS else STRANGER for reject in rejects]
    head = _fit_head(in_scope[0], strangers[0], kinds)
    features, embeddings = _read_features(engine, _draw_paths(validation, MAX_VALIDATION), spec)
    logits = head.classify(features)
    parts = np.stack([space.measure(embeddings), score_rejection(logits, head.kinds)], axis=1)
    middles = np.median(parts, axis=0)
    widths = np.quantile(parts, SCALE_QUANTILE, axis=0) - middles
    return dataclasses.replace(
        head,
        middles=middles.astype(np.float32),
        widths=np.maximum(widths, 1e-6).astype(np.float32),
    )


def _fit_head(in_scope: Floats, strangers: Floats, kinds: Sequence[str]) -> Gate:
    """The head alone; its two scales are still 0 and 1."""
    from sklearn.linear_model import LogisticRegression

    offset = in_scope.mean(axis=0)
    spread = in_scope.std(axis=0)
    scale = spread + SPREAD_FLOOR * float(spread.mean()) + 1e-6
    features = standardise(np.concatenate([in_scope, strangers]), offset, scale)
    classes = np.array([IN_SCOPE] * len(in_scope) + list(kinds))
    names = tuple(sorted(set(classes.tolist())))
    model = LogisticRegression(C=INVERSE_PENALTY, tol=1e-3, max_iter=300, class_weight="balanced")
    model.fit(features, classes)
    kernel, bias = model.coef_.T, model.intercept_
    if len(names) == 2:
        # Of two classes scikit-learn keeps the second one's logit alone.
        kernel, bias = np.hstack([0 * kernel, kernel]), np.array([0.0, bias[0]])
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


def _draw_paths(examples: Sequence[Example], count: int) -> list[Path]:
    rng = np.random.default_rng(SEED)
    drawn = rng.choice(len(examples), min(count, len(examples)), replace=False)
    return [examples[index].path for index in np.sort(drawn)]


def _read_features(
    engine: Runtime, sources: Iterable[Path | bytes], spec: InputConfig
) -> tuple[Floats, Floats]:
    """The head's features (N x F) and the embeddings (N x C) of files."""
    features, embeddings = [], []
    for inputs in _read_inputs(sources, spec):
        found = engine.predict(inputs).embeddings
        features.append(join_features(inputs, found))
        embeddings.append(found)
    return np.concatenate(features), np.concatenate(embeddings)


def _read_inputs(sources: Iterable[Path | bytes], spec: InputConfig) -> Iterator[Floats]:
    batch: list[Floats] = []
    for source in sources:
        batch.append(prepare_frame(read_frames(source)[0], spec))
        if len(batch) == CHUNK:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
