"""The figures of a finished cross-validation, committed beside a task's bundles."""

import dataclasses
import json
from dataclasses import dataclass, fields
from pathlib import Path

from ml.manifest import Metric
from ml.typed_tables import build_typed
from ml.workshop.figure_names import ABOVE_FROZEN, ABOVE_THUMBNAILS, CROSSVAL

NETWORK, FROZEN_BACKBONE, THUMBNAILS = "network", "frozen backbone", "thumbnails"


@dataclass(frozen=True, slots=True)
class CrossvalRecord:
    """What was divided into folds, by which recipe, and what came out.

    `recipe` is the digest of the task's choices, `choices` the overrides of its file. `pooled` has
    the figures by method, `differences` the network's less each other's.
    """

    task: str
    recipe: str
    choices: dict[str, str]
    splits: tuple[str, ...]
    folds: int
    seeds: tuple[int, ...]
    images: int
    groups: int
    pooled: dict[str, dict[str, Metric]]
    differences: dict[str, dict[str, Metric]]

    def list_figures(self) -> dict[str, Metric]:
        """The network's figures as a release gate names them, and how far above the baselines.

        Records that don't say what a figure rests on stand for all their images and groups.
        """
        found = {f"{CROSSVAL}{name}": one for name, one in self.pooled[NETWORK].items()}
        for other, suffix in ((FROZEN_BACKBONE, ABOVE_FROZEN), (THUMBNAILS, ABOVE_THUMBNAILS)):
            for name, one in self.differences.get(other, {}).items():
                found[f"{CROSSVAL}{name}{suffix}"] = one
        return {
            name: one
            if one.groups
            else dataclasses.replace(one, asked=self.images, groups=self.groups)
            for name, one in found.items()
        }


def name_record(recipe: str) -> str:
    """File name of the record of a recipe."""
    return f"crossval-{recipe[:12]}.json"


def read_record(path: Path) -> CrossvalRecord:
    """A record as `crossval` wrote it."""
    content = json.loads(path.read_text())
    names = {field.name for field in fields(CrossvalRecord)}
    content["folds"] = content["count"]
    return build_typed(CrossvalRecord, {name: content[name] for name in names})


def find_record(task_folder: Path, recipe: str) -> CrossvalRecord | None:
    """The record of exactly that recipe beside the task's bundles, if there is one."""
    path = task_folder / name_record(recipe)
    record = read_record(path) if path.is_file() else None
    return record if record and record.recipe == recipe else None
