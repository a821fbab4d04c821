"""What operating points give on other sources of images than the one they were chosen on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a source's validation images, with its one-sided 95 % bounds, groups counted."""

    value: float
    low: float
    high: float
    images: int
    groups: int


@dataclass(frozen=True, slots=True)
class SourcePoint:
    """What an operating point gives on one source; None where that has no image to tell by."""

    recall: Share | None
    specificity: Share | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the operating points give on each source of the validation split, by source and disease.

    `asked_recall` is the least lower bound of the recall, `asked_specificity` the least
    specificity. `unproven` are the diseases for which no second source showed both. With any of
    those the bundle is for its own source only: of an image whose source nobody has validated it
    gives no label.
    """

    sources: dict[str, dict[str, SourcePoint]]
    asked_recall: float
    asked_specificity: float
    unproven: tuple[str, ...]
    is_own_source_only: bool
