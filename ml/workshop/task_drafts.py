"""A first task file for a data set, from what lies there: labels, colour, size, modality."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ml.errors import TaskDraftImpossible
from ml.images import read_frames
from ml.typed_tables import suggest_name
from ml.workshop.datasets import SPLITS, Example
from ml.workshop.datasets.folders import read_folders
from ml.workshop.datasets.loading import DEFAULT_TABLE
from ml.workshop.datasets.tables import read_table
from ml.workshop.task_config import find_task
from ml.workshop.task_tables import RECIPE

# Images that are looked into; spread over the set.
LOOKED_AT = 48
# The network's side: the largest of these that most images have pixels for.
SIDES = (96, 128, 160, 192, 224)
NORMAL = re.compile(r"(no|not|non|without)[ _-].+|normal|healthy|negative|none|control")
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
# What another task lends: how an image is read, augmented and learned from.
LENT = ("input", "model", "augmentation", "training")


@dataclass(frozen=True, slots=True)
class Findings:
    """What lies there: images by label, whether most are in colour, their usual shorter side."""

    labels: Counter[str]
    is_colour: bool
    side: int
    modalities: tuple[str, ...]
    notes: tuple[str, ...]


def look_at(data: Path, images: Path | None = None) -> Findings:
    """Count the labels of a table or of folders of classes and look into some of the images.

    Raises DataInvalid, and the errors of `ml.images.read_frames` for an image that is broken.
    """
    table = next((one for one in (data, data / DEFAULT_TABLE) if one.is_file()), None)
    if table is None:
        examples, _, _ = read_folders(data, lambda name: name)
        notes: list[str] = []
    else:
        found = read_table(table, lambda label: label, images=images, needed=("", *SPLITS))
        examples, notes = found.examples, found.notes
    if not examples:
        raise TaskDraftImpossible(detail=f"{data} holds no labelled image")
    return _describe(examples, notes)


def _describe(examples: Sequence[Example], notes: Iterable[str]) -> Findings:
    seen = examples[:: max(1, len(examples) // LOOKED_AT)]
    frames = [read_frames(one.path, frames=[0])[0] for one in seen]
    modalities = {one.header.get("Modality", "") for one in frames} - {""}
    return Findings(
        labels=Counter(one.set_label for one in examples),
        is_colour=2 * sum(one.is_colour for one in frames) > len(frames),
        side=int(median(min(one.rows, one.columns) for one in frames)),
        modalities=tuple(sorted(modalities)),
        notes=tuple(notes),
    )


def draft_task(name: str, found: Findings, *, normal: str = "", like: str = "") -> str:
    """The text of a task file; raises TaskDraftImpossible when it can't be told what is normal."""
    if not NAME.fullmatch(name):
        detail = f"{name!r} is no name: small letters, digits and hyphens"
        raise TaskDraftImpossible(detail=detail)
    if len(found.labels) < 2:
        raise TaskDraftImpossible(detail=f"it has one label alone, {next(iter(found.labels))}")
    chosen = normal or _guess_normal(found.labels)
    if chosen not in found.labels:
        near = suggest_name(chosen, found.labels)
        raise TaskDraftImpossible(detail=f"no image is labelled {chosen}{near}")
    labels = [chosen, *(label for label, _ in found.labels.most_common() if label != chosen)]
    lines = [
        "# What this file doesn't say stands in ml/recipe.toml; ml/tasks/ holds whole ones.",
        f"task = {json.dumps(name)}",
        'stage = "research"  # the highest stage a bundle can have; `released` wants a [gate]',
        "",
        "[data]",
        *(f"# {label}: {found.labels[label]} images" for label in labels),
        f"labels = {json.dumps(labels, ensure_ascii=False)}",
        f"normal_label = {json.dumps(chosen, ensure_ascii=False)}",
        "",
    ]
    sections = _lend(like) if like else {}
    spec = {
        "size": max([side for side in SIDES if side <= found.side] or [SIDES[0]]),
        "colour": "rgb" if found.is_colour else "grey",
    }
    sections["input"] = {**sections.get("input", {}), **spec}
    if found.modalities:
        sections["scope"] = {"modalities": list(found.modalities)}
    comments = {"input": f"# The usual image here is {found.side} pixels across.\n"}
    for section, entries in sections.items():
        values = "\n".join(f"{key} = {json.dumps(value)}" for key, value in entries.items())
        lines.append(f"{comments.get(section, '')}[{section}]\n{values}\n")
    lines.append(
        "# A sentence for whoever reads a result, and what the images' owners allow.\n"
        '[card]\nintended_use = "None stated yet: for research alone."\n'
        'limits = ["Trained on one collection; never tried elsewhere."]\n'
        'licences = ["Not stated."]'
    )
    return "\n".join(lines) + "\n"


def _guess_normal(labels: Iterable[str]) -> str:
    fitting = [label for label in labels if NORMAL.fullmatch(label.casefold())]
    if len(fitting) != 1:
        listed = ", ".join(sorted(labels))
        raise TaskDraftImpossible(
            detail=f"it can't be told which label means that nothing was found; "
            f"name it with --normal: {listed}"
        )
    return fitting[0]


def _lend(task: str) -> dict[str, dict[str, Any]]:
    """What another task's file says otherwise than the recipe; raises TaskDraftImpossible."""
    path = Path(task) if task.endswith(".toml") else find_task(task)
    if not path.is_file():
        known = [one.stem for one in find_task("x").parent.glob("*.toml")]
        near = suggest_name(task, known) or f"; there are {', '.join(sorted(known))}"
        raise TaskDraftImpossible(detail=f"there is no task {task}{near}")
    given, recipe = tomllib.loads(path.read_text()), tomllib.loads(RECIPE.read_text())
    lent = {
        section: {
            key: value
            for key, value in given.get(section, {}).items()
            if recipe.get(section, {}).get(key) != value
        }
        for section in LENT
    }
    return {section: entries for section, entries in lent.items() if entries}
