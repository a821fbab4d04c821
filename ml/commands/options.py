"""Options that several commands share, and how they are read."""

import argparse
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.task_config import TaskConfig, find_task, load_task

BUNDLES_DIR = Path(__file__).parents[1] / "bundles"
RUNS_DIR = Path("var/training")
DEVICES = ("auto", "cpu", "gpu")


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """The task file, its overrides, and the data's folder: `load_config` reads them."""
    parser.add_argument("task", help="name of a file in ml/tasks, or a path to one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.ENTRY=VALUE",
        help="override an entry of the task file, for one run",
    )


def add_run_option(parser: argparse.ArgumentParser) -> None:
    """The folder of a run: `find_run` reads it."""
    parser.add_argument("--run", type=Path, help="folder of the checkpoints, to go on from")


def add_seed_runs_option(parser: argparse.ArgumentParser) -> None:
    """The runs of a recipe with several seeds, whose spread stands in the report."""
    parser.add_argument(
        "--seed-runs",
        nargs="+",
        type=Path,
        default=[],
        metavar="RUN",
        help="runs of the same recipe with several seeds: their spread goes into the report",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Where a bundle's network runs."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where the network runs; auto takes a GPU where there is one",
    )


def load_config(options: argparse.Namespace) -> TaskConfig:
    """The task file that the options name, with their overrides."""
    return load_task(find_task_path(options), overrides=parse_overrides(options.set))


def find_task_path(options: argparse.Namespace) -> Path:
    """Path of the task file that the options name."""
    return Path(options.task) if options.task.endswith(".toml") else find_task(options.task)


def parse_overrides(pairs: Sequence[str]) -> Mapping[str, Any]:
    """`section.entry=value`, the value written as in TOML."""
    overrides: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            overrides[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise SystemExit(f"--set {pair}: {error}") from error
    return overrides


def find_run(options: argparse.Namespace, config: TaskConfig) -> Path:
    """The checkpoints' folder; other choices get another one, so they never mix."""
    return options.run or RUNS_DIR / f"{config.task}-{config.digest[:12]}"


def quieten_engines() -> None:
    """Choose Keras' backend where nothing else did, and keep its start-up notes to itself."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
