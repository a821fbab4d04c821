"""`predictions.csv`: the answer to every image of an evaluation, written and read."""

import csv
from pathlib import Path

import numpy as np

from ml.workshop.datasets import Example
from ml.workshop.evaluation.scoring import Answers

FIRST_COLUMNS = ("path", "group", "label", "given")
LAST_COLUMNS = ("distance", "refusal")


def write_predictions(answers: Answers, labels: tuple[str, ...], path: Path) -> None:
    """Write one line per image; probabilities to five places."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow((*FIRST_COLUMNS, *labels, *LAST_COLUMNS))
        for row, example in enumerate(answers.examples):
            writer.writerow(
                (
                    example.name,
                    example.group,
                    example.label,
                    labels[answers.given[row]],
                    *(f"{value:.5f}" for value in answers.probabilities[row]),
                    f"{answers.distances[row]:.3f}",
                    answers.refusals[row],
                )
            )


def read_answers(path: Path) -> tuple[tuple[str, ...], Answers]:
    """The labels, and the answers: of each image its name, group and label alone.

    Raises OSError, TypeError and ValueError for what is no such table.
    """
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        columns = tuple(reader.fieldnames or ())
        rows = list(reader)
    if not rows or (*columns[:4], *columns[-2:]) != (*FIRST_COLUMNS, *LAST_COLUMNS):
        raise ValueError("it is not the table of an evaluation")
    labels = columns[4:-2]
    return labels, Answers(
        examples=tuple(_name_example(row) for row in rows),
        probabilities=np.array([[float(row[label]) for label in labels] for row in rows]),
        given=np.array([labels.index(row["given"]) for row in rows]),
        targets=np.array([labels.index(row["label"]) for row in rows]),
        distances=np.array([float(row["distance"]) for row in rows]),
        refusals=tuple(row["refusal"] for row in rows),
    )


def _name_example(row: dict[str, str]) -> Example:
    return Example(
        path=Path(row["path"]),
        name=row["path"],
        label=row["label"],
        set_label=row["label"],
        source="",
        group=row["group"],
        split="",
        population="",
    )
