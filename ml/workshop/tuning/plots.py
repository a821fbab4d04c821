"""The pictures of a search: its history, the importance of each entry, parallel coordinates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import optuna
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from ml.workshop.tuning.space import Numbers, Value

DPI = 110
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "0.7"
# Behind the values of an axis, so that they can be read across the lines.
PAPER = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}


def plot_history(
    trials: Sequence[FrozenTrial], study: optuna.Study, monitor: str, path: Path
) -> None:
    """The value of each finished trial by number, pruned ones apart, and the best so far."""
    minimise = study.direction == optuna.study.StudyDirection.MINIMIZE
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    ended = [one for one in trials if one.state == optuna.trial.TrialState.COMPLETE]
    pruned = [one for one in trials if one.state == optuna.trial.TrialState.PRUNED and one.values]
    for group, colour, name in ((ended, BLUE, "complete"), (pruned, GREY, "pruned")):
        axes.scatter([one.number for one in group], _list_values(group), color=colour, label=name)
    if ended:
        best = (np.minimum if minimise else np.maximum).accumulate(_list_values(ended))
        numbers = [one.number for one in ended]
        axes.step(numbers, best, where="post", color=VERMILION, label="best so far")
    axes.set(xlabel="trial", ylabel=monitor)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    _save(figure, path)


def plot_importance(importance: Mapping[str, float], path: Path) -> None:
    """Share of the monitor's variance that each entry explains, largest on top."""
    names = list(importance)[::-1]
    figure, axes = plt.subplots(figsize=(7, 1 + 0.4 * len(names)), layout="constrained")
    axes.barh(names, [importance[name] for name in names], color=BLUE)
    axes.set(xlabel="importance (fANOVA)", xlim=(0, 1))
    _save(figure, path)


def plot_parallel(
    trials: Sequence[FrozenTrial],
    distributions: Mapping[str, BaseDistribution],
    study: optuna.Study,
    monitor: str,
    path: Path,
) -> None:
    """One line per finished trial through its values, dark for a good one; the monitor is last."""
    names = list(distributions)
    figure, axes = plt.subplots(figsize=(2.2 * (len(names) + 1) + 1, 4.4), layout="constrained")
    values = _list_values(trials)
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    heights = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    minimise = study.direction == optuna.study.StudyDirection.MINIMIZE
    merit = 1 - heights if minimise else heights
    for row in np.argsort(merit):
        points = [_place(trials[row].params[name], distributions[name]) for name in names]
        colour = mpl.colormaps["cividis_r"](0.05 + 0.9 * merit[row])
        axes.plot([*points, heights[row]], color=colour, linewidth=1.6, alpha=0.85)
    for column, name in enumerate(names):
        _draw_axis(axes, column, distributions[name])
    for height, value in ((0, low), (1, high)):
        axes.text(len(names) + 0.04, height, f"{value:.4g}", fontsize=8, va="center")
    axes.axvline(len(names), color="0.3", linewidth=1)
    axes.set_xticks(range(len(names) + 1), [*names, monitor], fontsize=8)
    axes.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.3, len(names) + 0.6))
    for spine in axes.spines.values():
        spine.set_visible(False)
    _save(figure, path)


def _list_values(trials: Sequence[FrozenTrial]) -> NDArray[np.float64]:
    return np.array([trial.value for trial in trials], float)


def _draw_axis(axes: plt.Axes, column: int, distribution: BaseDistribution) -> None:
    """A vertical line with the entry's values beside it."""
    if isinstance(distribution, CategoricalDistribution):
        shown: list[Value] = [one for one in distribution.choices if one is not None]
    else:
        numbers = cast(Numbers, distribution)
        shown = [numbers.low, numbers.high]
    axes.axvline(column, color="0.3", linewidth=1)
    for value in shown:
        text = str(value) if isinstance(value, str | bool) else f"{value:.4g}"
        height = _place(value, distribution)
        axes.text(column + 0.04, height, text, fontsize=8, va="center", bbox=PAPER)


def _place(value: Value, distribution: BaseDistribution) -> float:
    """Height 0..1 of a value on its entry's axis."""
    if isinstance(distribution, CategoricalDistribution):
        last = len(distribution.choices) - 1
        return distribution.choices.index(value) / last if last else 0.5
    numbers = cast(Numbers, distribution)
    ends = np.array([numbers.low, float(value), numbers.high], float)
    low, here, high = np.log(ends) if numbers.log else ends
    return float((here - low) / (high - low))


def _save(figure: plt.Figure, path: Path) -> None:
    # No software name or date inside, so that the same figures give the same file.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
