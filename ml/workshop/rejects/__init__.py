"""Images that a task must refuse: a fixed set, drawn by code and gathered from what is at hand."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ml.errors import DataInvalid
from ml.workshop.datasets import Example
from ml.workshop.orientations import TURNED_KINDS
from ml.workshop.rejects.drawn import DRAWN_KINDS, draw_rejects
from ml.workshop.rejects.gathered import (
    OTHER_KINDS,
    PHOTOGRAPH_KINDS,
    read_other_tasks,
    read_photographs,
    spoil_examples,
    turn_examples,
)
from ml.workshop.rejects.reject import Reject
from ml.workshop.rejects.scoring import REJECTS, RejectScore, score_rejects, write_rejects_score
from ml.workshop.rejects.spoilt import OWN_KINDS
from ml.workshop.task_config import TaskConfig

__all__ = [
    "KINDS",
    "MIN_TEST_REJECTS",
    "PARTS",
    "REJECTS",
    "UNSEEN_KINDS",
    "Reject",
    "RejectScore",
    "digest_rejects",
    "find_rejects",
    "leave_out_strangers",
    "score_rejects",
    "write_rejects_score",
]

PARTS = ("fit", "test")
KINDS = (*DRAWN_KINDS, *PHOTOGRAPH_KINDS, *OTHER_KINDS, *TURNED_KINDS, *OWN_KINDS)
# Never in the part that a gate is fitted on: they show how it does on what nobody thought of.
UNSEEN_KINDS = ("breast-us", "hand-xr", "screenshot", "shapes", "salt_and_pepper")
MIN_TEST_REJECTS = 500


def find_rejects(
    config: TaskConfig, own: Sequence[Example], data_root: Path, part: str
) -> list[Reject]:
    """The task's rejects of the part `fit` or `test`, always the same ones in the same order.

    `own` are the examples of the task's data set: its table, the joined ones, or folders.
    `scope.accepted_kinds` names the kinds that are in scope for the task: a chest radiograph for
    the chest task, any rotation for skin, which has no up. The parts share no source image: `fit`
    takes other tasks' images and those to turn or spoil from their training splits, `test` other
    tasks' from their validation splits and sources that are never trained on, those to turn or
    spoil from the test split, and photographs, seeds and parameters differ. Of `test` there are at
    least 500, in `fit` whole kinds are missing. Raises DataInvalid for an unknown part or kind.
    """
    accepted = config.scope.accepted_kinds
    if part not in PARTS:
        raise DataInvalid(path=data_root, detail=f"there is no part {part} of the rejects")
    if unknown := sorted(set(accepted) - set(KINDS)):
        raise DataInvalid(path=data_root, detail=f"there are no rejects of the kind {unknown[0]}")
    left_out = {*accepted, *(UNSEEN_KINDS if part == "fit" else ())}
    # Strangers that the task has a label for are rejects already.
    known = [row for row in own if row.label != config.scope.stranger_label]
    found = [
        *read_photographs(part, left_out),
        *read_other_tasks(config, data_root, part, left_out),
        *turn_examples(config, known, part, left_out),
        *spoil_examples(config, known, part, left_out),
    ]
    return [*found, *draw_rejects(part, left_out, at_least=MIN_TEST_REJECTS - len(found))]


def leave_out_strangers(config: TaskConfig) -> TaskConfig:
    """The task without the tables of nothing but strangers, which are made of its rejects."""
    stranger = config.scope.stranger_label
    extra = tuple(one for one in config.data.extra if {*one.mapping.values()} != {stranger})
    return dataclasses.replace(config, data=dataclasses.replace(config.data, extra=extra))


def digest_rejects(rejects: Iterable[Reject]) -> str:
    """SHA-256 over the kinds, names and files: two sets are the same when it is."""
    total = hashlib.sha256()
    for reject in rejects:
        content = hashlib.sha256(reject.content).hexdigest()
        total.update(f"{reject.kind}\t{reject.name}\t{content}\n".encode())
    return total.hexdigest()
