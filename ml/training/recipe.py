"""What a run was begun with: a folder goes on only with the same choices and the same images."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ml.datasets import Dataset, Example
from ml.errors import RunMismatch
from ml.task_config import TaskConfig
from ml.training.checkpoints import AtomicFile

RECIPE = "recipe.json"


def claim_run(config: TaskConfig, dataset: Dataset, run: Path) -> None:
    """Record in a new run what it is begun with; test rows don't count, training never sees them.

    A run that failed before it wrote anything else is new as well. Raises RunMismatch for one that
    was begun with other choices, or other rows in its splits.
    """
    rows = [example for example in dataset.examples if example.split != "test"]
    recipe = {"config": config.digest, "rows": digest_rows(rows)}
    path = run / RECIPE
    run.mkdir(parents=True, exist_ok=True)
    if not path.exists() or [entry.name for entry in run.iterdir()] == [RECIPE]:
        with AtomicFile(path) as stream:
            stream.write((json.dumps(recipe, indent=2) + "\n").encode())
        return
    known = json.loads(path.read_text())
    if differing := [name for name, value in recipe.items() if known.get(name) != value]:
        raise RunMismatch(path=run, detail=f"its {' and '.join(differing)} differ")


def digest_rows(examples: Sequence[Example]) -> str:
    """SHA-256 of which rows are in which split with which label, whatever their order."""
    lines = sorted(f"{row.name}\t{row.label}\t{row.group}\t{row.split}" for row in examples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
