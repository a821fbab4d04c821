"""Whether two bundles of a task give the same answers: then one may stand in for the other."""

import dataclasses
from typing import Any

from ml.manifest import Manifest
from ml.typed_tables import build_typed

TELLING_ENTRIES = frozenset({"version", "created", "training", "metrics", "gate", "files"})
"""Entries of a manifest that tell of a network and change nothing of what it answers."""
TELLING_FILES = frozenset(
    {
        "baselines.json",
        "confusion.png",
        "curves.csv",
        "curves.png",
        "evaluation.html",
        "evaluation.json",
        "model_card.md",
        "population.json",
        "predictions.csv",
        "rejects.json",
        "roc.png",
    }
)
"""Files that do so. Any other, one that nobody has heard of included, may change an answer."""


def answers_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two manifests are of bundles that answer alike.

    All that an answer is made from, or that stands beside it, has to be equal: the network's files,
    labels and codes, input, preprocessing, temperature, thresholds, limits, stage. Entries that a
    manifest of an earlier release doesn't have count with their defaults.
    """
    try:
        return _decisive(one) == _decisive(other)
    except (TypeError, ValueError):
        return False


def _decisive(table: dict[str, Any]) -> dict[str, Any]:
    manifest = build_typed(Manifest, table)
    entries = dataclasses.asdict(manifest)
    decisive = {name: entry for name, entry in entries.items() if name not in TELLING_ENTRIES}
    files = {name: sha for name, sha in manifest.files.items() if name not in TELLING_FILES}
    return {**decisive, "files": files}
