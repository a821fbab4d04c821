"""How many rejects a bundle refuses, by kind."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml.images import read_frames
from ml.manifest import Metric
from ml.predictor import Predictor
from ml.workshop.evaluation.exact import make_share
from ml.workshop.figure_names import REFUSED
from ml.workshop.figure_names import REJECTS as REJECTS_NAME
from ml.workshop.rejects.reject import Reject

REJECTS = "rejects.json"
# Files decoded at once.
CHUNK = 64


# What a gate calls these figures: `rejects.<kind>`, `rejects.<kind>.by_label.<label>`.
BY_LABEL = ".by_label."


@dataclass(frozen=True, slots=True)
class Share:
    """How many of so many images were refused."""

    refused: int
    images: int


@dataclass(frozen=True, slots=True)
class RejectScore:
    """Of how many rejects which share was refused, overall and by kind, and by which codes.

    `by_label` is by kind and, of rejects made of the task's own images, by their label: one label
    that slips through is lost in the share of its kind. `counts` are the rejects of each kind.
    """

    images: int
    refused: float
    by_kind: dict[str, float]
    codes: dict[str, int]
    by_label: dict[str, dict[str, Share]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def list_figures(self) -> dict[str, Metric]:
        """Every figure that a gate can name: of all, by kind, and by kind and label."""
        figures = {REFUSED: make_share(round(self.refused * self.images), self.images)}
        for kind, count in self.counts.items():
            figures[f"{REJECTS_NAME}{kind}"] = make_share(round(self.by_kind[kind] * count), count)
        for kind, shares in self.by_label.items():
            for label, share in shares.items():
                name = f"{REJECTS_NAME}{kind}{BY_LABEL}{label}"
                figures[name] = make_share(share.refused, share.images)
        return figures


def score_rejects(
    predictor: Predictor, rejects: Sequence[Reject], *, refusing_label: str = ""
) -> RejectScore:
    """Send every reject to the predictor as a file of a user, and count the abstentions.

    `refusing_label` is the label that refuses as well as an abstention does, if there is one (the
    body-part model's `something_else`).
    """
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    labelled: dict[str, dict[str, list[bool]]] = {}
    for start in range(0, len(rejects), CHUNK):
        chunk = rejects[start : start + CHUNK]
        frames = [read_frames(reject.content)[0] for reject in chunk]
        for reject, prediction in zip(chunk, predictor.predict(frames), strict=True):
            label = predictor.conclude([prediction]).label_at_thresholds
            code = prediction.abstention.code if prediction.abstention else ""
            code = code or (label if label == refusing_label else "")
            kinds[reject.kind] += 1
            refused[reject.kind] += bool(code)
            codes[code or "answered"] += 1
            if reject.label:
                found = labelled.setdefault(reject.kind, {})
                found.setdefault(reject.label, []).append(bool(code))
    return RejectScore(
        images=kinds.total(),
        refused=refused.total() / max(kinds.total(), 1),
        by_kind={kind: refused[kind] / count for kind, count in sorted(kinds.items())},
        codes=dict(sorted(codes.items())),
        by_label={
            kind: {
                label: Share(sum(refusals), len(refusals))
                for label, refusals in sorted(found.items())
            }
            for kind, found in sorted(labelled.items())
        },
        counts=dict(sorted(kinds.items())),
    )


def write_rejects_score(score: RejectScore, folder: Path) -> Path:
    """Write `rejects.json`; returns its path."""
    path = folder / REJECTS
    path.write_text(json.dumps(dataclasses.asdict(score), indent=2) + "\n")
    return path
