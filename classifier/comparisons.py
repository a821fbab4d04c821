"""What a version would give up against the one in use, by what both bundles say of themselves."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from classifier.choices import MapStanding
from classifier.figures import OF_A_LABEL, WHOLE
from classifier.models import ModelVersion

NOISE = 0.01
"""Less than this is no difference between two test splits, or between two trainings."""
LESS_IS_BETTER = frozenset({"calibration_error", "refused"})
COMPARED_OF_A_LABEL = ("recall", "specificity", "auc")


@dataclass(frozen=True)
class ComparedFigure:
    """One figure of both; None where the new version wasn't measured by it."""

    words: str
    live: float
    new: float | None
    is_worse: bool


@dataclass(frozen=True)
class VersionComparison:
    """A version beside the one in use.

    `figures` begin with the worse ones. `lost_labels` are findings in words that nobody would be
    told of any more, `losses` what else it gives up, a clause for each. `is_same_data`
    tells whether both were made from the same tables, and so measured on the same test images.
    """

    live: ModelVersion
    version: ModelVersion
    is_same_data: bool
    lost_labels: list[str] = field(default_factory=list)
    figures: list[ComparedFigure] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    @property
    def worse(self) -> list[ComparedFigure]:
        """The figures that are worse."""
        return [figure for figure in self.figures if figure.is_worse]

    @property
    def falls_short(self) -> bool:
        """Tell whether somebody has to say why it is to take over all the same."""
        return bool(self.lost_labels or self.worse or self.losses)

    @property
    def shortfalls(self) -> str:
        """What it gives up, in one clause after another."""
        clauses = [f"it doesn't know {', '.join(self.lost_labels)}"] if self.lost_labels else []
        clauses += self.losses
        worse = [_in_figures(figure) for figure in self.worse]
        shown = worse[:3] + ([f"{len(worse) - 3} more figures"] if len(worse) > 3 else [])
        return "; ".join(clauses + ([f"worse are {', '.join(shown)}"] if shown else []))


def compare_versions(version: ModelVersion, live: ModelVersion) -> VersionComparison:
    """Set a version beside the one in use, figure by figure."""
    lost = [label for label in live.labels if label not in version.labels]
    return VersionComparison(
        live=live,
        version=version,
        is_same_data=_data_of(version) == _data_of(live),
        lost_labels=[live.display_of(label) for label in lost],
        figures=sorted(_figures(version, live), key=lambda figure: not figure.is_worse),
        losses=list(_losses(version, live)),
    )


def _figures(version: ModelVersion, live: ModelVersion) -> Iterator[ComparedFigure]:
    """Those that the one in use was measured by; of a lost label nothing is left to compare."""
    ours, theirs = version.manifest["metrics"], live.manifest["metrics"]
    named = dict(WHOLE)
    for label in live.labels:
        if label in version.labels:
            words = live.display_of(label)
            named |= {
                f"{name}.{label}": f"{OF_A_LABEL[name]} of {words}" for name in COMPARED_OF_A_LABEL
            }
    for name, words in named.items():
        if name in theirs:
            before = float(theirs[name]["value"])
            after = float(ours[name]["value"]) if name in ours else None
            yield ComparedFigure(words, before, after, _is_worse(name, before, after))


def _is_worse(name: str, before: float, after: float | None) -> bool:
    if after is None:
        return True
    lost = after - before if name in LESS_IS_BETTER else before - after
    return lost >= NOISE


def _losses(version: ModelVersion, live: ModelVersion) -> Iterator[str]:
    if version.is_research and not live.is_research:
        yield "it is a research model"
    if version.is_own_source_only and not live.is_own_source_only:
        yield "it gives no label to images of a source that nobody has validated"
    if live.map_standing == MapStanding.SUPPORTED and live.map_standing != version.map_standing:
        yield "its heat maps were not shown to point at disease"


def _data_of(version: ModelVersion) -> object:
    return version.manifest.get("training", {}).get("data_sha256")


def _in_figures(figure: ComparedFigure) -> str:
    after = "not measured" if figure.new is None else f"{figure.new:.3f}"
    return f"{figure.words} ({after}, {figure.live:.3f} in use)"
