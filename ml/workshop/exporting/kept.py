"""What a bundle keeps of its evaluation, read again for its card and page."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ml.errors import BundleInvalid
from ml.typed_tables import build_typed
from ml.workshop.datasets import Dataset
from ml.workshop.datasets.population import Population, describe_population
from ml.workshop.evaluation.beside import read_baselines
from ml.workshop.evaluation.crossval_record import CrossvalRecord, find_record
from ml.workshop.evaluation.report import REPORT
from ml.workshop.evaluation.results import Evaluation
from ml.workshop.openings import Opening, read_openings
from ml.workshop.rejects import REJECTS, RejectScore

POPULATION = "population.json"

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Record:
    """What a card and a page are made of, beside the manifest and the task file's sentences."""

    evaluation: Evaluation
    baselines: dict[str, dict[str, float]]
    strangers: RejectScore
    population: Population
    openings: Sequence[Opening]
    crossval: CrossvalRecord | None


def read_kept(folder: Path, task_folder: Path, *, recipe: str) -> Record:
    """What a bundle's folder keeps, and the ledger and cross-validation beside it."""
    evaluation = _read_json(folder / REPORT, Evaluation)
    return Record(
        evaluation=evaluation,
        baselines=read_baselines(folder, evaluation),
        strangers=_read_json(folder / REJECTS, RejectScore),
        population=_read_json(folder / POPULATION, Population),
        openings=read_openings(task_folder),
        crossval=find_record(task_folder, recipe),
    )


def _read_json(path: Path, kind: type[Kept]) -> Kept:
    try:
        return build_typed(kind, json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise BundleInvalid(path=path.parent, detail=f"{path.name}: {error}") from error


def write_population(dataset: Dataset, folder: Path) -> None:
    """Write `population.json`: labels and what the tables state, no image."""
    population = dataclasses.asdict(describe_population(dataset.examples))
    (folder / POPULATION).write_text(json.dumps(population, indent=2) + "\n")
