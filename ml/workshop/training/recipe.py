"""What a run was begun with: a folder goes on only with the same choices and the same images."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ml.errors import RunMismatch
from ml.workshop.datasets import Dataset, Example
from ml.workshop.task_config import TaskConfig
from ml.workshop.training.files import AtomicFile

RECIPE = "recipe.json"


def claim_run(config: TaskConfig, dataset: Dataset, run: Path) -> None:
    """Record in a new run what it is begun with; test rows don't count, training never sees them.

    A run that failed before it wrote anything else is new as well. Raises RunMismatch for one that
    was begun with other choices, or other rows in its splits.
    """
    recipe = _describe(config, dataset)
    path = run / RECIPE
    run.mkdir(parents=True, exist_ok=True)
    if not path.exists() or [entry.name for entry in run.iterdir()] == [RECIPE]:
        with AtomicFile(path) as stream:
            stream.write((json.dumps(recipe, indent=2) + "\n").encode())
        return
    _compare(run, _read(run), recipe)


def check_run(
    config: TaskConfig, dataset: Dataset, run: Path, *, seeds: Sequence[int] = ()
) -> None:
    """Raise RunMismatch unless the run is what the task file describes, or so with one of `seeds`.

    A bundle names the digest of its task file, and whoever trains anew from that must come out at
    the same network.
    """
    known, recipe = _read(run), _describe(config, dataset)
    if known.get("config") in {config.with_seed(seed).digest for seed in seeds}:
        recipe["config"] = known["config"]
    _compare(run, known, recipe)


def _describe(config: TaskConfig, dataset: Dataset) -> dict[str, str]:
    rows = [example for example in dataset.examples if example.split != "test"]
    return {"config": config.digest, "rows": digest_rows(rows)}


def _read(run: Path) -> dict[str, str]:
    path = run / RECIPE
    if not path.is_file():
        raise RunMismatch(path=run, detail=f"it has no {RECIPE}")
    known: dict[str, str] = json.loads(path.read_text())
    return known


def _compare(run: Path, known: dict[str, str], recipe: dict[str, str]) -> None:
    if differing := [name for name, value in recipe.items() if known.get(name) != value]:
        raise RunMismatch(path=run, detail=f"its {' and '.join(differing)} differ")


def digest_rows(examples: Sequence[Example]) -> str:
    """SHA-256 of which rows are in which split with which label, whatever their order."""
    lines = sorted(f"{row.name}\t{row.label}\t{row.group}\t{row.split}" for row in examples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
