"""Figures by whole series, patient by patient, where the data has any."""

from ml.aggregation import Outcome
from ml.manifest import Manifest, Metric
from ml.series import NONE
from ml.study import check_series, conclude_study, rule_of
from ml.workshop.datasets.series import SeriesRows, find_series
from ml.workshop.evaluation.exact import make_share
from ml.workshop.evaluation.scoring import Answers

SENSITIVITY, SPECIFICITY, REFUSED = "sensitivity", "specificity", "refused"


def score_series_answers(answers: Answers, manifest: Manifest) -> dict[str, Metric]:
    """Sensitivity, specificity and share refused of whole series, answered as the product does.

    A disease is found where the series is given it, and a normal series is right without a finding;
    both are of the series that are answered. `images` of a figure are series. Empty for a bundle
    that answers no series, and for data without any.
    """
    rule = rule_of(manifest)
    series = find_series(answers.examples, manifest.labels, manifest.normal_label)
    if rule is None or rule.kind == NONE or not series:
        return {}
    found: dict[str, list[bool]] = {SENSITIVITY: [], SPECIFICITY: [], REFUSED: []}
    for one in series:
        said = _answer(answers, manifest, one)
        found[REFUSED].append(said is None)
        if said is not None:
            is_normal = one.label == manifest.normal_label
            found[SPECIFICITY if is_normal else SENSITIVITY].append(
                said == "" if is_normal else said == one.label
            )
    return {name: make_share(sum(values), len(values)) for name, values in found.items() if values}


def _answer(answers: Answers, manifest: Manifest, series: SeriesRows) -> str | None:
    """The disease that a series is given, "" for none; None where it isn't answered."""
    rows = [
        None
        if answers.refusals[row]
        else dict(zip(manifest.labels, map(float, answers.probabilities[row]), strict=True))
        for row in series.rows
    ]
    if check_series(manifest, [rows]) is not None:
        return None
    said = conclude_study(manifest, [rows])
    return said.label if said.outcome == Outcome.FINDING else ""
