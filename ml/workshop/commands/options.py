"""Options that several commands share, and how they are read."""

import argparse
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.workshop.task_config import TaskConfig, find_task, load_task
from ml.workshop.task_rules import find_missing_files

if TYPE_CHECKING:
    from ml.workshop.datasets import Dataset
    from ml.workshop.datasets.masks import MaskedImage

BUNDLES_DIR = Path(__file__).parents[2] / "bundles"
RUNS_DIR = Path("var/training")
DEVICES = ("auto", "cpu", "gpu")


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """The task file, its overrides, and the data's folder: `load_config`, `load_rows` read them."""
    add_config_options(parser)
    add_data_options(parser)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """The task file and its overrides: `load_config` reads them."""
    parser.add_argument("task", help="name of a file in ml/tasks, or a path to one")
    add_set_option(parser)


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """The overrides of a task file's entries: `load_config` reads them."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.ENTRY=VALUE",
        help="override an entry of the task file, for one run",
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Where the images are: `load_rows` reads them."""
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--root", type=Path, help="where the paths of the table begin; by default beside it"
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


def add_masks_option(parser: argparse.ArgumentParser) -> None:
    """Masks to judge heat maps by: `load_masked` reads them."""
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FOLDER",
        help="a folder with masks.csv (path,mask): images whose heat maps are judged by masks",
    )


def load_masked(options: argparse.Namespace) -> "list[MaskedImage]":
    """The images of --masks; none without it. Raises DataInvalid."""
    from ml.workshop.datasets.masks import load_masks

    return load_masks(options.masks, options.data) if options.masks else []


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


def add_task_file_options(parser: argparse.ArgumentParser) -> None:
    """What stands in for a bundle's task file: `load_config_of` reads it."""
    parser.add_argument("--task-file", type=Path, help="instead of the task's file in ml/tasks")
    add_set_option(parser)


def load_config_of(options: argparse.Namespace, task: str) -> TaskConfig:
    """The task file of a bundle's task, or the one named instead, with the overrides."""
    path = options.task_file or find_task(task)
    return load_task(path, overrides=parse_overrides(options.set))


def load_ready(options: argparse.Namespace) -> TaskConfig:
    """The same, for what trains: its files must lie there and its gate name known figures.

    Raises TaskConfigInvalid before any engine is loaded.
    """
    from ml.workshop.exporting.release_gate import find_unknown_changes

    return load_task(
        find_task_path(options),
        overrides=parse_overrides(options.set),
        find_more=lambda config: [*find_missing_files(config), *find_unknown_changes(config)],
    )


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A type of an option: a whole number in that range, both ends included."""

    def read(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def load_rows(
    options: argparse.Namespace, config: TaskConfig, splits: Sequence[str] = ("train", "val")
) -> "Dataset":
    """The data set that the options name; what is to be known of it is said on standard error.

    The files of the splits must be there: those of the test split aren't needed to train.
    """
    from ml.workshop.datasets import load_dataset

    dataset = load_dataset(options.data, config.data, images=options.root, needed=("", *splits))
    for note in dataset.notes:
        sys.stderr.write(f"warning: {note}\n")
    return dataset


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
