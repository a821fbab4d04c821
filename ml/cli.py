"""The command line: `python -m ml train|export|evaluate|predict`."""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.bundles import find_task_bundle
from ml.errors import MLError
from ml.task_config import TaskConfig, find_task, load_task

BUNDLES_DIR = Path(__file__).parent / "bundles"
RUNS_DIR = Path("var/training")

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Known errors are printed, not raised."""
    options = _make_parser().parse_args(arguments)
    command: Command = options.run_command
    try:
        return command(options)
    except MLError as error:
        sys.stderr.write(f"{error.code}: {error.message} {error.action}\n")
        return 2


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    train = _add_command(commands, "train", _train, "train a task, then export its bundle")
    _add_training_options(train)
    export = _add_command(commands, "export", _export, "export the bundle of a finished run")
    _add_training_options(export)
    evaluate = _add_command(commands, "evaluate", _evaluate, "score a bundle on a split")
    evaluate.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    evaluate.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    evaluate.add_argument("--out", type=Path, help="folder of the report")
    evaluate.add_argument("--split", choices=("train", "val", "test"), default="test")
    evaluate.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    predict = _add_command(commands, "predict", _predict, "classify images")
    predict.add_argument("files", type=Path, nargs="+", metavar="FILE")
    predict.add_argument("--task", required=True)
    predict.add_argument("--bundle", type=Path, help="instead of the task's newest bundle")
    predict.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    predict.add_argument("--json", action="store_true", help="one JSON object per file")
    return parser


def _add_command(commands: Any, name: str, run: Command, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run_command=run)
    return parser


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="name of a file in ml/tasks, or a path to one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--run", type=Path, help="folder of the checkpoints, to go on from")
    parser.add_argument("--out", type=Path, default=BUNDLES_DIR, help="root of the bundles")
    parser.add_argument("--replace", action="store_true", help="replace the bundle's version")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.ENTRY=VALUE",
        help="override an entry of the task file, for one run",
    )


def _load_config(options: argparse.Namespace) -> TaskConfig:
    path = Path(options.task) if options.task.endswith(".toml") else find_task(options.task)
    return load_task(path, overrides=parse_overrides(options.set))


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


def _train(options: argparse.Namespace) -> int:
    _quieten_engines()
    from ml.datasets import load_dataset
    from ml.training.loop import train_network

    config = _load_config(options)
    train_network(config, load_dataset(options.data, config.data), _find_run(options, config))
    return _export(options)


def _export(options: argparse.Namespace) -> int:
    _quieten_engines()
    from ml.datasets import load_dataset
    from ml.exporting.bundle import export_bundle

    config = _load_config(options)
    dataset = load_dataset(options.data, config.data)
    run = _find_run(options, config)
    path = export_bundle(config, dataset, run, options.out, replace=options.replace)
    sys.stdout.write(f"{path}\n")
    return 0


def _find_run(options: argparse.Namespace, config: TaskConfig) -> Path:
    """The checkpoints' folder; other choices get another one, so they never mix."""
    return options.run or RUNS_DIR / f"{config.task}-{config.digest[:12]}"


def _evaluate(options: argparse.Namespace) -> int:
    _quieten_engines()
    from ml.datasets import load_dataset
    from ml.evaluation.report import evaluate_bundle
    from ml.predictor import open_predictor

    predictor = open_predictor(options.bundle, device=options.device)
    config = load_task(find_task(predictor.bundle.task))
    out = options.out or Path("var/evaluations") / predictor.bundle.digest[:12]
    dataset = load_dataset(options.data, config.data)
    evaluation = evaluate_bundle(predictor, config, dataset, out, split=options.split)
    for name, metric in evaluation.metrics.items():
        sys.stdout.write(f"{name:34} {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f})\n")
    for name, value in evaluation.baseline.items():
        sys.stdout.write(f"{'thumbnail baseline ' + name:34} {value:.4f}\n")
    sys.stdout.write(f"report: {out}\n")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from ml.prediction_output import describe_file, format_line
    from ml.predictor import open_predictor

    bundle = options.bundle or find_task_bundle(BUNDLES_DIR, options.task)
    predictor = open_predictor(bundle, device=options.device)
    is_failed = False
    for path in options.files:
        answer = describe_file(predictor, path)
        is_failed |= "error" in answer
        sys.stdout.write((json.dumps(answer) if options.json else format_line(answer)) + "\n")
        sys.stdout.flush()
    return int(is_failed)


def _quieten_engines() -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
