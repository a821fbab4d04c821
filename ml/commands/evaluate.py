"""`python -m ml evaluate`: score a bundle on a split, and what it must refuse.

Writes evaluation.html, evaluation.json, predictions.csv, baselines.json and, on the test split,
rejects.json: the share of images of other kinds that it refuses, by its own gate. Needs a purpose
for the test split, which goes on record in test_openings.csv beside the bundle; each of
--seed-runs is another network and gets a line of its own.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ml.commands.options import add_device_option, add_seed_runs_option, quieten_engines
from ml.task_config import find_task, load_task

if TYPE_CHECKING:
    from ml.predictor import Predictor
    from ml.task_config import TaskConfig

SUMMARY = "score a bundle on a split and write its report"
EPILOG = """\
examples:
  python -m ml evaluate --bundle ml/bundles/retina/1.1.0 --data ../shared/data --split val
  python -m ml evaluate --bundle ml/bundles/retina/1.1.0 --data ../shared/data \\
      --weights ../shared/weights/mobilenet_v2_1.0_224_notop.weights.h5 \\
      --purpose "the same figures again"
  python -m ml evaluate --bundle ml/bundles/retina/1.1.0 --data ours/ --no-rejects \\
      --purpose "our own photographs, before it is used"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--task-file", type=Path, help="instead of the task's file in ml/tasks")
    parser.add_argument("--out", type=Path, help="folder of the report")
    add_split_options(parser)
    parser.add_argument(
        "--weights", type=Path, help="a backbone's weights: adds the frozen baseline"
    )
    parser.add_argument("--no-robustness", action="store_true", help="leave out spoilt images")
    parser.add_argument(
        "--no-rejects", action="store_true", help="leave out the images that it must refuse"
    )
    add_seed_runs_option(parser)
    add_device_option(parser)


def add_split_options(parser: argparse.ArgumentParser, *, default: str = "test") -> None:
    """Which split is scored, and why if it is the test split: `check_purpose` reads them."""
    parser.add_argument("--split", choices=("train", "val", "test"), default=default)
    parser.add_argument("--purpose", help="why the test split is opened; goes on record")


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the figures and where the report is."""
    check_purpose(options)
    quieten_engines()
    from ml.datasets import load_dataset
    from ml.evaluation.report import PAGE, Comparisons, evaluate_bundle
    from ml.openings import record_opening, record_seed_runs
    from ml.predictor import open_predictor

    predictor = open_predictor(options.bundle, device=options.device)
    config = load_task(options.task_file or find_task(predictor.bundle.task))
    dataset = load_dataset(options.data, config.data)
    bundle = options.bundle.resolve()
    record_opening(bundle, split=options.split, purpose=options.purpose or "")
    record_seed_runs(bundle, options.seed_runs, split=options.split)
    out = options.out or Path("var/evaluations") / predictor.bundle.digest[:12]
    evaluation = evaluate_bundle(
        predictor,
        config,
        dataset,
        out,
        split=options.split,
        is_robustness_wanted=not options.no_robustness,
        comparisons=Comparisons(options.weights, options.seed_runs),
    )
    if options.split == "test" and not options.no_rejects:
        _score_rejects(predictor, config, options.data, out)
    for name, metric in evaluation.metrics.items():
        sys.stdout.write(f"{name:34} {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f})\n")
    for kind, figures in (
        ("thumbnail baseline", evaluation.baseline),
        ("frozen baseline", evaluation.frozen_baseline),
    ):
        for name, value in figures.items():
            sys.stdout.write(f"{f'{kind} {name}':34} {value:.4f}\n")
    sys.stdout.write(f"report: {out / PAGE}\n")
    return 0


def _score_rejects(predictor: "Predictor", config: "TaskConfig", data: Path, out: Path) -> None:
    """As `export` does; on the test split alone, because some rejects are images of it, turned."""
    from ml.rejects import find_rejects, score_rejects, write_rejects_score

    rejects = find_rejects(config, data, "test")
    score = score_rejects(predictor, rejects, refusing_label=config.scope.stranger_label)
    write_rejects_score(score, out)
    sys.stdout.write(f"{'rejects.refused':34} {score.refused:.4f} of {score.images} images\n")


def check_purpose(options: argparse.Namespace) -> None:
    """Whoever opens the test split must say why; ends the command otherwise."""
    if options.split == "test" and not (options.purpose or "").strip():
        raise SystemExit("--split test needs --purpose TEXT: looks at the test split are recorded")
