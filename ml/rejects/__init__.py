"""Images that a task must refuse: a fixed set, drawn by code and gathered from what is at hand."""

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from ml.errors import DataInvalid
from ml.rejects.drawn import DRAWN_KINDS, draw_rejects
from ml.rejects.gathered import (
    OTHER_KINDS,
    PHOTOGRAPH_KINDS,
    read_other_tasks,
    read_photographs,
    turn_examples,
)
from ml.rejects.reject import Reject
from ml.rejects.scoring import REJECTS, RejectScore, score_rejects, write_rejects_score
from ml.task_config import TaskConfig
from ml.turns import TURNED_KINDS

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
    "reject_examples",
    "score_rejects",
    "write_rejects_score",
]

PARTS = ("fit", "test")
KINDS = (*DRAWN_KINDS, *PHOTOGRAPH_KINDS, *OTHER_KINDS, *TURNED_KINDS)
# Never in the part that a gate is fitted on: they show how it does on what nobody thought of.
UNSEEN_KINDS = ("breast-us", "hand-xr", "screenshot", "shapes", "salt_and_pepper")
MIN_TEST_REJECTS = 500


def reject_examples(
    task: str, data_root: Path, part: str, *, accepted: Collection[str] = ()
) -> list[Reject]:
    """The task's rejects of the part `fit` or `test`, always the same ones in the same order.

    `accepted` names the kinds that are in scope for the task: a chest radiograph for the chest
    task, any rotation for skin, which has no up. The parts share no source image: `fit` takes
    other tasks' images and those to turn from their training splits, `test` other tasks' from
    their validation splits and those to turn from the test split, and photographs, seeds and
    parameters differ. Of `test` there are at least
    500, in `fit` whole kinds are missing. Raises DataInvalid for an unknown part or kind.
    """
    if part not in PARTS:
        raise DataInvalid(path=data_root, detail=f"there is no part {part} of the rejects")
    if unknown := sorted(set(accepted) - set(KINDS)):
        raise DataInvalid(path=data_root, detail=f"there are no rejects of the kind {unknown[0]}")
    left_out = {*accepted, *(UNSEEN_KINDS if part == "fit" else ())}
    found = [
        *read_photographs(part, left_out),
        *read_other_tasks(task, data_root, part, left_out),
        *turn_examples(task, data_root, part, left_out),
    ]
    return [*found, *draw_rejects(part, left_out, at_least=MIN_TEST_REJECTS - len(found))]


def find_rejects(config: TaskConfig, data_root: Path, part: str) -> list[Reject]:
    """The rejects of a task as its file has it, without the kinds that it accepts."""
    return reject_examples(config.task, data_root, part, accepted=config.scope.accepted_kinds)


def digest_rejects(rejects: Iterable[Reject]) -> str:
    """SHA-256 over the kinds, names and files: two sets are the same when it is."""
    total = hashlib.sha256()
    for reject in rejects:
        content = hashlib.sha256(reject.content).hexdigest()
        total.update(f"{reject.kind}\t{reject.name}\t{content}\n".encode())
    return total.hexdigest()
