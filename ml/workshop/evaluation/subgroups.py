"""The same figures for parts of the images: by source, age, sex, site and whatever is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.manifest import Manifest, Metric
from ml.workshop.datasets import Example
from ml.workshop.datasets.population import AGE_FACTS, UNKNOWN, name_value, read_age
from ml.workshop.evaluation.exact import Basis, subtract
from ml.workshop.evaluation.metrics import (
    Draws,
    Weights,
    bootstrap_weights,
    weigh_auc,
    weigh_share,
)
from ml.workshop.evaluation.scoring import Answers
from ml.workshop.task_config import DecisionConfig

# With fewer images on either side of a question the answer would be chance.
MIN_IMAGES = 20
# More different values than this are a name or a number, not a property.
MAX_VALUES = 25
# Lower ends in years; the last one is open.
AGE_BANDS = (0, 18, 40, 60, 80)


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """A figure of one part, and its difference to all the other images; None if not judged.

    `images` are those that the figure is about: the diseased ones for a recall, the fewer of the
    two sides for an AUC.
    """

    images: int
    value: Metric | None
    gap: Metric | None


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One value of one property: how many images and groups, and the figures by name."""

    attribute: str
    value: str
    images: int
    groups: int
    figures: dict[str, GroupFigure]


@dataclass(frozen=True, slots=True)
class Question:
    """A figure that can be asked of any part: a share of `over`, or an AUC over `over`."""

    over: NDArray[np.bool_]
    is_positive: NDArray[np.bool_]
    scores: NDArray[np.float64] | None = None

    def weigh(self, weights: Weights, members: NDArray[np.bool_]) -> Draws:
        """The figure of the members for each row of image weights (B x N)."""
        rows = np.flatnonzero(members & self.over)
        if self.scores is None:
            return weigh_share(weights[:, rows], self.is_positive[rows])
        return weigh_auc(weights[:, rows], self.scores[rows], self.is_positive[rows])

    def rest_on(self, members: NDArray[np.bool_]) -> Basis:
        """The images among the members that are asked about; an AUC has two sides."""
        asked = members & self.over
        if self.scores is None:
            return Basis((asked,), self.is_positive)
        return Basis((asked & self.is_positive, asked & ~self.is_positive))

    def count(self, members: NDArray[np.bool_]) -> int:
        """Images among the members that are asked about; of an AUC's two sides the fewer."""
        return min(int(side.sum()) for side in self.rest_on(members).sides)


def score_subgroups(
    answers: Answers, manifest: Manifest, decision: DecisionConfig, *, resamples: int
) -> list[Subgroup]:
    """Every property with at least two values; cells with fewer than 20 images aren't judged."""
    questions = ask_questions(answers, manifest, decision)
    subgroups = []
    for attribute, values in read_attributes(answers.examples).items():
        order = _order_values(attribute, values)
        for value in order:
            members = np.array([found == value for found in values], bool)
            subgroups.append(_score_part(answers, attribute, value, members, questions, resamples))
    return subgroups


def ask_questions(
    answers: Answers, manifest: Manifest, decision: DecisionConfig
) -> dict[str, Question]:
    """What is asked of each part, by name.

    `disease_recall`: diseased images given their own disease. `normal_recall`: normal images
    called normal. `disease_auc`: disease against normal, by 1 - p(normal). The headline label, if
    the task has one, has its own recall and AUC against all others.
    """
    labels, shown = manifest.labels, answers.probabilities
    everything = np.ones(len(answers.targets), bool)
    is_right = answers.given == answers.targets
    questions: dict[str, Question] = {}
    if manifest.normal_label in labels:
        normal = labels.index(manifest.normal_label)
        is_diseased = answers.targets != normal
        questions = {
            "disease_recall": Question(is_diseased, is_right),
            "normal_recall": Question(~is_diseased, is_right),
            "disease_auc": Question(everything, is_diseased, 1 - shown[:, normal]),
        }
    if decision.headline_label and (len(labels) > 2 or not questions):
        headline = labels.index(decision.headline_label)
        is_headline = answers.targets == headline
        questions |= {
            f"recall.{decision.headline_label}": Question(is_headline, is_right),
            f"auc.{decision.headline_label}": Question(everything, is_headline, shown[:, headline]),
        }
    return questions


def read_attributes(examples: tuple[Example, ...]) -> dict[str, list[str]]:
    """Each property's value for each example; those with one value or very many are left out."""
    columns = {
        "source": [example.source for example in examples],
        "population": [example.population for example in examples],
    }
    for name in sorted({fact for example in examples for fact in example.facts}):
        columns[name] = [example.facts.get(name, "") for example in examples]
    found = {}
    for name, raw in columns.items():
        band: Callable[[str], str] = band_age if name in AGE_FACTS else name_value
        values = [band(value) for value in raw]
        if 2 <= len(set(values)) <= MAX_VALUES:
            found[name] = values
    return found


def band_age(text: str) -> str:
    """`40-59` for an age in years; `not stated` for anything that is no number."""
    years = read_age(text)
    if years is None:
        return UNKNOWN
    row = int(np.searchsorted(AGE_BANDS, years, side="right")) - 1
    if row == len(AGE_BANDS) - 1:
        return f"{AGE_BANDS[-1]} and over"
    return f"{AGE_BANDS[row]}-{AGE_BANDS[row + 1] - 1}"


def _order_values(attribute: str, values: list[str]) -> list[str]:
    """Ages rise, other values are sorted; the unknown comes last."""
    known = sorted(set(values) - {UNKNOWN})
    if attribute in AGE_FACTS:
        known.sort(key=lambda band: int(band.split("-")[0].split()[0]))
    return [*known, *({UNKNOWN} & set(values))]


def _bound_gap(metrics: Mapping[str, Metric], name: str) -> Metric | None:
    """The difference to all others; from both intervals where resamples are all alike."""
    gap = metrics.get(f"{name}.gap")
    if gap is None or gap.low < gap.high:
        return gap
    return subtract(metrics[name], metrics[f"{name}.rest"])


def _score_part(
    answers: Answers,
    attribute: str,
    value: str,
    members: NDArray[np.bool_],
    questions: Mapping[str, Question],
    resamples: int,
) -> Subgroup:
    figures = {}
    judged = {
        name: asked for name, asked in questions.items() if asked.count(members) >= MIN_IMAGES
    }
    compared = {name for name, asked in judged.items() if asked.count(~members) >= MIN_IMAGES}

    def score(weights: Weights) -> dict[str, Draws]:
        found = {name: asked.weigh(weights, members) for name, asked in judged.items()}
        for name in compared:
            found[f"{name}.rest"] = judged[name].weigh(weights, ~members)
            found[f"{name}.gap"] = found[name] - found[f"{name}.rest"]
        return found

    bases = {name: asked.rest_on(members) for name, asked in judged.items()}
    bases |= {f"{name}.rest": judged[name].rest_on(~members) for name in compared}
    metrics = {}
    if judged:
        metrics = bootstrap_weights(score, answers.groups, resamples=resamples, bases=bases)
    for name, asked in questions.items():
        figures[name] = GroupFigure(
            images=asked.count(members),
            value=metrics.get(name),
            gap=_bound_gap(metrics, name),
        )
    groups = {group for group, is_in in zip(answers.groups, members, strict=True) if is_in}
    return Subgroup(attribute, value, int(members.sum()), len(groups), figures)
