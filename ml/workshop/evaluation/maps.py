"""Whether a bundle's heat maps can be believed: where they peak, with masks and without.

The figures, each with its interval by group: `same_place`, the share of the peaks in the fullest
square of a sixth of the image's side (one cell where cells are larger); `normal_likeness`, the mean
correlation of a map with the mean map of normal images for the same label. With masks:
`peak_on_mask`, the share of films whose peak lies in a cell that the mask covers by half at least;
`weight_on_mask`, the share of the map on the mask; `mask_share`, the share of the image that the
mask takes. `..._on_others` are the same with the masks of the other films, which a map reaches
that knows where such a mask usually lies and nothing of the film; `peak_above_others` is the
difference.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.explanation.body import find_body
from ml.explanation.evidence import keep_on_body
from ml.images import read_frames, to_display
from ml.manifest import MapFigures, Metric
from ml.predictor import Predictor
from ml.workshop.datasets.masks import MaskedImage, read_mask
from ml.workshop.evaluation.exact import Basis
from ml.workshop.evaluation.map_rule import judge_maps
from ml.workshop.evaluation.metrics import Draws, Weights, bootstrap_weights
from ml.workshop.evaluation.scoring import Answers
from ml.workshop.task_config import TaskConfig

Floats = NDArray[np.float64]

# The side of one place, as a part of the image's: a cell of the coarsest maps that ship.
PLACE = 1 / 6
# A cell lies on a mask that covers so much of it.
COVERED = 0.5


def measure_maps(
    predictor: Predictor,
    config: TaskConfig,
    answers: Answers,
    masked: Sequence[MaskedImage],
    *,
    resamples: int,
) -> MapFigures:
    """Measure the maps of the disease answers among `answers`, which hold all maps, and of the
    masked images, and judge them by the task's rule.

    A disease answer is one that gives a disease to an image of one and isn't refused; its map is
    that of the label given. Raises DataInvalid for a mask that doesn't fit its image.
    """
    labels = predictor.bundle.labels
    normal = labels.index(predictor.bundle.manifest.normal_label)
    if answers.maps is None:
        raise ValueError("the answers hold no heat maps")
    maps = answers.maps.astype(np.float64)
    is_told = ~answers.is_refused & (answers.given != normal) & (answers.targets != normal)
    given = answers.given
    own = maps[np.arange(len(given)), given]
    rows = np.flatnonzero(is_told & (own.max(axis=(1, 2)) > 0))
    chosen, groups = own[rows], [answers.groups[row] for row in rows]
    is_normal = ~answers.is_refused & (answers.targets == normal)
    figures = _score_places(chosen, groups, resamples=resamples)
    if is_normal.any() and len(rows):
        likeness = _correlate(chosen, maps[is_normal].mean(axis=0)[given[rows]])
        figures |= _average({"normal_likeness": likeness}, groups, resamples=resamples)
    on_masks, count = _score_masked(predictor, masked, resamples=resamples)
    figures |= on_masks
    counts = np.bincount(_find_peaks(chosen), minlength=1)
    standing, reasons = judge_maps(figures, config, has_masks=bool(masked))
    return MapFigures(
        standing=standing,
        reasons=reasons,
        images=len(rows),
        grid=(int(maps.shape[2]), int(maps.shape[3])),
        cells=int((counts > 0).sum()),
        entropy=_measure_entropy(counts),
        masked=count,
        figures=figures,
        by_label=_score_labels(chosen, given[rows], groups, labels, resamples=resamples),
    )


def _find_peaks(maps: Floats) -> NDArray[np.int64]:
    """The number of each map's brightest cell (N), row by row."""
    return np.asarray(maps.reshape(len(maps), -1).argmax(axis=1) if len(maps) else [], np.int64)


def _measure_entropy(counts: NDArray[np.int64]) -> float:
    """Of the cells that peaks lie in, in bits: 0 if all lie in one."""
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def _score_labels(
    maps: Floats,
    given: NDArray[np.int64],
    groups: Sequence[str],
    labels: Sequence[str],
    *,
    resamples: int,
) -> dict[str, Metric]:
    """`same_place` of each label's maps. Some diseases do lie in one place, so none is judged."""
    found = {}
    for column, label in enumerate(labels):
        rows = np.flatnonzero(given == column)
        own = [groups[row] for row in rows.tolist()]
        scored = _score_places(maps[rows], own, resamples=resamples)
        if scored:
            found[label] = scored["same_place"]
    return found


def _score_places(maps: Floats, groups: Sequence[str], *, resamples: int) -> dict[str, Metric]:
    """The share of the peaks in the fullest place; nothing without a map (N x h x w)."""
    if not len(maps):
        return {}
    windows = list_places(maps.shape[1], maps.shape[2])
    peaks = _find_peaks(maps)
    placed = np.eye(len(windows))[peaks]

    def score(weights: Weights) -> Mapping[str, Draws]:
        inside = (weights @ placed) @ windows
        return {"same_place": inside.max(axis=1) / weights.sum(axis=1)}

    bases = {"same_place": Basis((np.ones(len(maps), bool),), has_exact=False)}
    return bootstrap_weights(score, groups, resamples=resamples, bases=bases)


def list_places(rows: int, columns: int) -> Floats:
    """How much of each cell of a map lies in each place (cells x places).

    Places are squares that slide by parts of a cell, so that maps of many small cells and of few
    large ones are asked for the same area.
    """
    return np.asarray(np.kron(_slide(rows), _slide(columns)).T, np.float64)


def _slide(cells: int) -> Floats:
    """How much of each cell along one side lies in each span of a place (spans x cells)."""
    side = max(PLACE, 1 / cells)
    count = round((1 - side) * 6 * cells) + 1
    starts = np.linspace(0, 1 - side, count)[:, np.newaxis]
    edges = np.arange(cells) / cells
    shared = np.minimum(edges + 1 / cells, starts + side) - np.maximum(edges, starts)
    return np.asarray(np.clip(shared * cells, 0, 1), np.float64)


def _correlate(maps: Floats, others: Floats) -> Floats:
    """Pearson's correlation of each map with the other at its place; 0 where one is flat."""
    flat = [stack.reshape(len(stack), -1) for stack in (maps, others)]
    first, second = (stack - stack.mean(axis=1, keepdims=True) for stack in flat)
    scale = np.sqrt(np.square(first).sum(axis=1) * np.square(second).sum(axis=1))
    products = (first * second).sum(axis=1)
    return np.asarray(np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0))


def _average(
    values: Mapping[str, Floats],
    groups: Sequence[str],
    *,
    resamples: int,
    hits: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, Metric]:
    """The mean of each figure; `hits` are the rows that count, of those that are shares."""
    everything = np.ones(len(groups), bool)

    def score(weights: Weights) -> Mapping[str, Draws]:
        total = weights.sum(axis=1)
        return {name: (weights @ value) / total for name, value in values.items()}

    bases = {
        name: Basis((everything,), hits=(hits or {}).get(name), has_exact=name in (hits or {}))
        for name in values
    }
    return bootstrap_weights(score, groups, resamples=resamples, bases=bases)


def _score_masked(
    predictor: Predictor, masked: Sequence[MaskedImage], *, resamples: int
) -> tuple[dict[str, Metric], int]:
    """The figures of the masked images that are given a disease, and how many these are."""
    found = [entry for one in masked if (entry := _map_masked(predictor, one)) is not None]
    if not found:
        return {}, 0
    maps, covers = (np.stack([entry[part] for entry in found]) for part in (0, 1))
    groups = [group for _, _, group in found]
    peaks = _find_peaks(maps)
    flat = covers.reshape(len(found), -1)
    # Row by row a film's map, column by column the films' masks.
    on_mask = (flat >= COVERED)[:, peaks].T & (maps.max(axis=(1, 2)) > 0)[:, np.newaxis]
    weights = maps.reshape(len(found), -1) @ flat.T
    totals = maps.sum(axis=(1, 2))[:, np.newaxis]
    shares = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    own = on_mask.diagonal()
    values = {
        "peak_on_mask": own.astype(np.float64),
        "weight_on_mask": shares.diagonal(),
        "mask_share": flat.mean(axis=1),
    }
    if len(found) > 1:
        others = _mean_of_others(on_mask.astype(np.float64))
        values |= {
            "peak_on_others": others,
            "peak_above_others": own - others,
            "weight_on_others": _mean_of_others(shares),
        }
    hits = {"peak_on_mask": own}
    return _average(values, groups, resamples=resamples, hits=hits), len(found)


def _mean_of_others(table: Floats) -> Floats:
    """Each row's mean without its own entry (N x N)."""
    count = len(table)
    return np.asarray((table.sum(axis=1) - table.diagonal()) / (count - 1))


def _map_masked(predictor: Predictor, masked: MaskedImage) -> tuple[Floats, Floats, str] | None:
    """Map (h x w), share of each cell on the mask, and group; None unless a disease is given."""
    frame = read_frames(masked.path, frames=[0])[0]
    shown = to_display(frame)
    mask = read_mask(masked, shape=(shown.shape[0], shown.shape[1]))
    (prediction,) = predictor.predict([frame])
    label = predictor.conclude([prediction]).label_at_thresholds
    if prediction.abstention is not None or label == predictor.bundle.manifest.normal_label:
        return None
    own = keep_on_body(prediction.activation_maps[label], find_body(shown)).astype(np.float64)
    rows, columns = own.shape
    cover = Image.fromarray(mask.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX)
    return own, np.asarray(cover, np.float64), masked.group
