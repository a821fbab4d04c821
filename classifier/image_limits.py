"""How good an image must be for a model: what it refuses for how it was taken or stored."""

from dataclasses import dataclass

from classifier.choices import Abstention
from classifier.models import ModelVersion

MEASURES = {
    "coarseness": (Abstention.TOO_FEW_LEVELS, "Its grey levels are too few."),
    "blocking": (Abstention.TOO_COMPRESSED, "It was compressed until its blocks show."),
    "blur": (Abstention.TOO_BLURRED, "Fine detail is missing."),
    "noise": (Abstention.TOO_NOISY, "Grain covers the detail."),
    "glare": (Abstention.BADLY_EXPOSED, "Overexposed: too much of it is white."),
    "darkness": (Abstention.BADLY_EXPOSED, "Underexposed: even its bright parts are dark."),
    "cut": (Abstention.CROPPED, "What is shown reaches the edges."),
    "border": (Abstention.TOO_MUCH_BORDER, "Too much of it is an empty border."),
}
"""Each measure of `ml.quality`: the refusal that it leads to, and what is wrong with the image."""
SIZE = "size"
CHANGES = {
    "noise": "noise of {} grey levels",
    "blur": "blur of {} pixels",
    "relative_blur": "blur of {} % of the shorter side",
    "JPEG": "JPEG of quality {}",
    "resolution": "resolution of {} pixels",
    "levels": "{} grey levels left",
    "overexposure": "overexposure by {} stops",
    "underexposure": "underexposure by {} stops",
    "crop": "{} % of each side cut off",
    "border": "{} % of each side black",
}
"""Changes of `ml.workshop.evaluation.robustness` that a limit may guard against, with strengths."""


@dataclass(frozen=True)
class ImageLimit:
    """One reason for which images are refused.

    `limit` is the largest value of the measure that is still answered, of `size` the least pixels
    of the shorter side. `refused` is the share of good validation images that lie beyond it, None
    where that was not measured.
    """

    measure: str
    code: str
    words: str
    explanation: str
    limit: float
    refused: float | None

    @property
    def refused_percent(self) -> float | None:
        """The same in %."""
        return None if self.refused is None else 100 * self.refused


@dataclass(frozen=True)
class UnmetChange:
    """A change that still misleads the model.

    `safe` is the share of images so spoilt that is read rightly or refused: of the normal or of
    the diseased ones, whichever is less.
    """

    name: str
    words: str
    safe: float

    @property
    def safe_percent(self) -> float:
        """The same in %."""
        return 100 * self.safe


@dataclass(frozen=True)
class ImageLimits:
    """All of a version's limits, and the share of good validation images that they refuse.

    The limits are in the order in which they decide, `unmet` with the most misleading first.
    """

    limits: list[ImageLimit]
    refused: float
    unmet: list[UnmetChange]

    @property
    def refused_percent(self) -> float:
        """The same in %."""
        return 100 * self.refused


def image_limits_of(version: ModelVersion) -> ImageLimits | None:
    """What a version's manifest says; None for one that refuses nothing for its quality."""
    quality = version.manifest.get("quality")
    if not quality:
        return None
    measured = quality["limits"]
    limits = [
        _limit_of(name, measured[name]["limit"], measured[name]["validation_refusal"])
        for name in (*MEASURES, *sorted(measured.keys() - MEASURES.keys()))
        if name in measured
    ]
    least = version.manifest.get("scope", {}).get("min_side")
    if least:
        limits.append(_limit_of(SIZE, least, None))
    unmet = [
        UnmetChange(name, _change_in_words(name), safe)
        for name, safe in quality.get("unmet", {}).items()
    ]
    unmet.sort(key=lambda change: change.safe)
    return ImageLimits(limits, quality["validation_refusal"], unmet)


def _limit_of(measure: str, limit: float, refused: float | None) -> ImageLimit:
    code, explanation = MEASURES.get(measure, ("", measure))
    if measure == SIZE:
        code = Abstention.IMAGE_TOO_SMALL
        explanation = f"Its shorter side has fewer than {limit:.0f} pixels."
    words = Abstention(code).label if code else measure
    return ImageLimit(measure, str(code), str(words), explanation, limit, refused)


def _change_in_words(name: str) -> str:
    """In words what a manifest calls, for instance, `blur.2` or `relative_blur.0.5`."""
    change, _, strength = name.partition(".")
    pattern = CHANGES.get(change, change.replace("_", " ") + " {}")
    return pattern.format(strength)
