"""How many rejects a bundle refuses, by kind."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.images import read_frames
from ml.predictor import Predictor
from ml.rejects.reject import Reject

REJECTS = "rejects.json"
# Files decoded at once.
CHUNK = 64


@dataclass(frozen=True, slots=True)
class RejectScore:
    """Of how many rejects which share was refused, overall and by kind, and by which codes."""

    images: int
    refused: float
    by_kind: dict[str, float]
    codes: dict[str, int]


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
    return RejectScore(
        images=kinds.total(),
        refused=refused.total() / max(kinds.total(), 1),
        by_kind={kind: refused[kind] / count for kind, count in sorted(kinds.items())},
        codes=dict(sorted(codes.items())),
    )


def write_rejects_score(score: RejectScore, folder: Path) -> Path:
    """Write `rejects.json`; returns its path."""
    path = folder / REJECTS
    path.write_text(json.dumps(dataclasses.asdict(score), indent=2) + "\n")
    return path
