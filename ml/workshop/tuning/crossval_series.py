"""Cross-validation by whole series: how well the slices of a patient together tell who is ill."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ml.manifest import Metric
from ml.series import score_window, to_log_odds
from ml.workshop.datasets.series import SeriesRows, find_series
from ml.workshop.evaluation.exact import Basis
from ml.workshop.evaluation.metrics import Rows, bootstrap, mean_known, roc_auc
from ml.workshop.figure_names import SERIES_AUC
from ml.workshop.task_config import TaskConfig
from ml.workshop.tuning.crossval import Answers, Scores

# Fixed beforehand and the same for every method; the rule that ships is fitted at export.
NEIGHBOURS = 2

Figures = dict[str, dict[str, Metric]]


def score_whole_series(
    config: TaskConfig,
    answers: Answers,
    methods: Mapping[str, Scores],
    *,
    reference: str,
    resamples: int,
) -> tuple[Figures, Figures]:
    """The AUC of whole series by method (seeds x N x K each), and `reference`'s less each other's.

    A series scores the largest probability that two neighbouring slices both reach; with several
    diseases, or seeds, it is the mean of their AUCs. Both are empty for data without series.
    """
    labels, normal = config.data.labels, config.data.normal_label
    series = find_series(answers.examples, labels, normal)
    if not series:
        return {}, {}
    diseases = [label for label in labels if label != normal]
    is_ill = np.array([[one.label == disease for disease in diseases] for one in series])
    columns = [labels.index(disease) for disease in diseases]
    scores = {name: _score(values[:, :, columns], series) for name, values in methods.items()}

    def measure(name: str, rows: Rows) -> dict[str, float]:
        areas = [
            roc_auc(one[rows, place], is_ill[rows, place])
            for one in scores[name]
            for place in range(len(diseases))
        ]
        return {SERIES_AUC: float(mean_known(np.array(areas)))}

    def measure_gain(name: str, rows: Rows) -> dict[str, float]:
        gain = measure(reference, rows)[SERIES_AUC] - measure(name, rows)[SERIES_AUC]
        return {SERIES_AUC: gain}

    groups = [one.group for one in series]
    is_healthy = np.asarray(~is_ill.any(axis=1), bool)
    bases = {SERIES_AUC: Basis((*is_ill.T, is_healthy))}
    pooled = {
        name: bootstrap(partial(measure, name), groups, resamples=resamples, bases=bases)
        for name in methods
    }
    differences = {
        name: bootstrap(partial(measure_gain, name), groups, resamples=resamples)
        for name in methods
        if name != reference
    }
    return pooled, differences


def _score(scores: Scores, series: list[SeriesRows]) -> NDArray[np.float64]:
    """Each series' log odds of each disease (seeds x S x D) from its slices' (seeds x N x D)."""
    return np.array(
        [
            [
                [score_window([disease], NEIGHBOURS) for disease in seed[list(one.rows)].T]
                for one in series
            ]
            for seed in to_log_odds(scores)
        ]
    )
