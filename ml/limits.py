"""What a manifest states beside its thresholds: how good an image must be, what stays open."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QualityLimit:
    """Largest value of a measure of `ml.quality` that is still answered.

    `validation_refusal` is the share of the unspoilt validation images above it.
    """

    limit: float
    validation_refusal: float


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """From which blur, noise, compression, exposure or cropping on an image is refused.

    `limits` are by measure; one without a limit spoils no answer, as far as was tried.
    `validation_refusal` is the share of the unspoilt validation images that all of them refuse
    together, held below `target_refusal`. `unmet` are the spoilt validation images, by change and
    strength, of which too few of a class are right or refused even so, with that share.
    """

    limits: dict[str, QualityLimit]
    validation_refusal: float
    target_refusal: float
    unmet: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clearance:
    """The least probability at which the normal label is given; None for no such one.

    From it on the negative predictive value on the validation images of each source, by the lower
    95 % bound of the recall, is `min_npv` at that `prevalence` of disease. `cleared` is the share
    of the normal validation images that get the label.
    """

    lowest: float | None
    prevalence: float
    min_npv: float
    validation_npv: dict[str, float]
    cleared: float


@dataclass(frozen=True, slots=True)
class Conformal:
    """Which diseases can't be ruled out: those at least as probable as `lowest` says, by label.

    So each is left open on `coverage` of its own validation images; `validation_coverage` is what
    came of it. Where a disease is open, the normal label isn't given.
    """

    coverage: float
    lowest: dict[str, float]
    validation_coverage: dict[str, float]
    clearance: Clearance | None = None
