"""What the pages and the API say of a classification, made from its rows alone."""

from dataclasses import dataclass, field
from typing import Any

from classifier.choices import Stage
from classifier.headlines import headline_of
from classifier.inference import judge_label
from classifier.meanings import meaning_in_words
from classifier.models import Classification, InstanceScore, ModelVersion
from classifier.models.classifications import CHOSEN_SENTENCE

SCHEMES = {"SCT": "SNOMED CT"}
"""Coding schemes as people know them; any other goes by its own designator."""

LIMITS_OPEN = 2
"""How many limits stand open beside an answer: more of them are not read."""


@dataclass(frozen=True)
class Score:
    """One label with its calibrated probability and, for a disease, its operating point.

    `code` is the label's code with its scheme, for people who read codes. `is_leading` is true of
    the label given, if it is the most probable one as well: a small probability never stands out.
    """

    label: str
    label_display: str
    code: str
    probability: float
    operating_point: float | None
    is_leading: bool


@dataclass(frozen=True)
class Slice:
    """One frame, with the probability there of the label given or suspected."""

    instance: str
    frame: int
    number: str
    probability: float


@dataclass(frozen=True)
class MapChoice:
    """A finding that a heat map can be asked for; `words` say whether it was found."""

    label: str
    words: str


@dataclass(frozen=True)
class Opinion:
    """The network's answer, in the shape the study page draws.

    `limits` are those to be read at once: what applies to this very study, and so many of the
    model's own that there are two. `further_limits` are the rest of the model's.
    """

    headline: str
    label: str
    label_display: str
    probability: float | None
    operating_point: float | None
    confidence: str
    confidence_meaning: str
    abstention_reason: str
    likeliest_label_display: str = ""
    likeliest_probability: float | None = None
    scores: list[Score] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    further_limits: list[str] = field(default_factory=list)
    slice_scores: list[Slice] = field(default_factory=list)
    deciding: Slice | None = None
    has_overlay: bool = False
    overlay_label: str = ""
    maps: list[MapChoice] = field(default_factory=list)
    slice_label_display: str = ""


def opinion_on(classification: Classification) -> Opinion | None:
    """The opinion, or None while there is none."""
    if classification.finished_at is None:
        return None
    version = classification.model_version
    scores = _scores(classification, version)
    label = classification.named_label or (scores[0].label if scores else "")
    slices = _slices(classification, label)
    limits = _limits(classification, version)
    general = list(version.manifest["limits"]) if version and scores else []
    open_places = max(0, LIMITS_OPEN - len(limits))
    return Opinion(
        headline=headline_of(classification),
        label=classification.label,
        label_display=classification.label_display,
        probability=classification.probability,
        operating_point=classification.operating_point,
        confidence=classification.confidence,
        confidence_meaning=meaning_in_words(version, classification.confidence) if version else "",
        likeliest_label_display=classification.likeliest_label_display,
        likeliest_probability=classification.probabilities.get(classification.likeliest_label),
        abstention_reason=classification.abstention_reason,
        scores=scores,
        limits=limits + general[:open_places],
        further_limits=general[open_places:],
        slice_scores=[entry for entry, _ in slices],
        deciding=next((entry for entry, is_deciding in slices if is_deciding), None),
        has_overlay=bool(label) and classification.explanations.exists(),
        overlay_label=first_mapped(classification),
        maps=_maps(classification, scores),
        slice_label_display=classification.words_for(label) if label else "",
    )


def first_mapped(classification: Classification) -> str:
    """The finding whose heat map is offered first: the one given, or else the most probable."""
    version, probabilities = classification.model_version, classification.probabilities
    if version is None:
        return ""
    if version.is_finding(classification.named_label):
        return classification.named_label
    findings = [label for label in probabilities if version.is_finding(label)]
    return max(findings, key=lambda label: probabilities[label], default="")


def _maps(classification: Classification, scores: list[Score]) -> list[MapChoice]:
    """Every finding, the most probable first; none for "normal", which lies nowhere."""
    version, choices = classification.model_version, []
    for score in scores:
        if version is None or not version.is_finding(score.label):
            continue
        judgement = judge_label(classification, score.label)
        words = f"{score.label_display}: {judgement}" if judgement else score.label_display
        choices.append(MapChoice(score.label, words))
    return choices


def _scores(classification: Classification, version: ModelVersion | None) -> list[Score]:
    ranked = sorted(classification.probabilities.items(), key=lambda item: -item[1])
    return [
        Score(
            label=label,
            label_display=version.display_of(label) if version else label,
            code=_code_in_words(version, label),
            probability=probability,
            operating_point=classification.threshold_of(label),
            is_leading=label == classification.label == ranked[0][0],
        )
        for label, probability in ranked
    ]


def _code_in_words(version: ModelVersion | None, label: str) -> str:
    code = version.code_of(label) if version else None
    if code is None:
        return ""
    return f"{SCHEMES.get(code['scheme'], code['scheme'])} {code['value']}: {code['meaning']}"


def _slices(classification: Classification, label: str) -> list[tuple[Slice, bool]]:
    rows = InstanceScore.objects.filter(classification=classification).select_related("instance")
    found = []
    for position, row in enumerate(rows.order_by("id"), start=1):
        number = str(row.instance.instance_number or position)
        if row.instance.number_of_frames > 1:
            number = f"{number}.{row.frame}"
        entry = Slice(str(row.instance_id), row.frame, number, row.probabilities.get(label, 0.0))
        found.append((entry, row.is_deciding))
    return found


def _limits(classification: Classification, version: ModelVersion | None) -> list[str]:
    """The sentences of "why this may be wrong" that apply to this very study."""
    if version is None:
        return list(classification.notes)
    manifest = version.manifest
    sentences = []
    if classification.is_chosen_by_image and classification.routing["stage"] == Stage.RESEARCH:
        sentences.append("The body-part model that chose this task is a research model itself.")
    sentences += _age_limit(classification, manifest)
    if not classification.study.patient.is_identified:
        sentences.append("The patient is not identified, so age and history are unknown.")
    # Shown beside the label already.
    notes = [note for note in classification.notes if note != CHOSEN_SENTENCE]
    return sentences + notes


def _age_limit(classification: Classification, manifest: dict[str, Any]) -> list[str]:
    age = classification.study.patient_age
    low, high = manifest["scope"]["min_age_years"], manifest["scope"]["max_age_years"]
    if age is not None and not low <= age.in_years <= high:
        return [f"The patient's age is {age}; the model is for {low:g} to {high:g} years."]
    return []
