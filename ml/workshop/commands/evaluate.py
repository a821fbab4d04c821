"""`python -m ml evaluate`: score a bundle on a split, and what it must refuse.

With --external, also on images of other places: those of the tables given, or of all that the task
file names (data.external). With --masks the heat maps of further images are judged by masks
of where disease can lie. Writes evaluation.html, evaluation.json, predictions.csv,
baselines.json, external_predictions.csv and, on the test split, rejects.json: the share of images
of other kinds that it refuses, by its own gate. Needs a purpose
for the test split and for --external, which goes on record in test_openings.csv beside the bundle;
each of --seed-runs is another network and gets a line of its own, and so does each other place.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ml.workshop.commands.options import (
    add_data_options,
    add_device_option,
    add_masks_option,
    add_seed_runs_option,
    add_task_file_options,
    load_config_of,
    load_masked,
    load_rows,
)
from ml.workshop.quiet import quieten_engines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.manifest import Metric
    from ml.predictor import Predictor
    from ml.workshop.datasets import Dataset
    from ml.workshop.evaluation.report import Evaluation, External
    from ml.workshop.task_config import TaskConfig

SUMMARY = "score a bundle on a split and write its report"
EPILOG = """\
examples:
  python -m ml evaluate --bundle ml/bundles/retina/1.1.0 --data ../shared/data --split val
  python -m ml evaluate --bundle ml/bundles/retina/1.1.0 --data ../shared/data \\
      --weights ../shared/weights/mobilenet_v2_1.0_224_notop.weights.h5 \\
      --purpose "the same figures again"
  python -m ml evaluate --bundle ml/bundles/retina/1.1.0 --data ours/ --no-rejects \\
      --purpose "our own photographs, before it is used"
  python -m ml evaluate --bundle ml/bundles/skin-lesion/1.1.0 --data ../shared/data \
      --external more/skin-lesion--ph2.csv --purpose "how it does in Porto"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    add_data_options(parser)
    add_task_file_options(parser)
    parser.add_argument("--out", type=Path, help="folder of the report")
    add_split_options(parser)
    parser.add_argument(
        "--weights", type=Path, help="a backbone's weights: adds the frozen baseline"
    )
    parser.add_argument(
        "--external",
        nargs="*",
        metavar="TABLE",
        help="score tables of other places beside it; without a TABLE those of the task file",
    )
    parser.add_argument("--no-robustness", action="store_true", help="leave out spoilt images")
    parser.add_argument(
        "--no-rejects", action="store_true", help="leave out the images that it must refuse"
    )
    add_masks_option(parser)
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
    from ml.predictor import open_predictor
    from ml.workshop.evaluation.report import PAGE, Comparisons, evaluate_bundle
    from ml.workshop.openings import record_external, record_opening, record_seed_runs

    predictor = open_predictor(options.bundle, device=options.device)
    config = load_config_of(options, predictor.bundle.task)
    dataset = load_rows(options, config, [options.split, "train"])
    masked = load_masked(options)
    bundle = options.bundle.resolve()
    record_opening(bundle, split=options.split, purpose=options.purpose or "")
    record_seed_runs(bundle, options.seed_runs, split=options.split)
    external = _find_external(options, config, dataset)
    sources = [source.name for source in external.sources]
    if masked:
        sources.append("masked images")
    record_external(bundle, sources, purpose=options.purpose or "")
    out = options.out or Path("var/evaluations") / predictor.bundle.digest[:12]
    evaluation = evaluate_bundle(
        predictor,
        config,
        dataset,
        out,
        split=options.split,
        is_robustness_wanted=not options.no_robustness,
        comparisons=Comparisons(options.weights, options.seed_runs, masked),
        external=external,
    )
    if options.split == "test" and not options.no_rejects:
        _score_rejects(predictor, config, dataset, options.data, out)
    _print_evaluation(evaluation)
    sys.stdout.write(f"report: {out / PAGE}\n")
    return 0


def _print_evaluation(evaluation: "Evaluation") -> None:
    for source, found in evaluation.external.items():
        _print_metrics(found.drops, f"drop to {source}: ")
        _print_metrics(found.metrics, f"external.{source}.")
    _print_metrics(evaluation.metrics)
    if evaluation.maps:
        _print_metrics(evaluation.maps.figures, "maps.")
        told = " ".join((evaluation.maps.standing, *evaluation.maps.reasons))
        sys.stdout.write(f"{'maps':34} {told}\n")
    for kind, figures in (
        ("thumbnail baseline", evaluation.baseline),
        ("frozen baseline", evaluation.frozen_baseline),
    ):
        for name, value in figures.items():
            sys.stdout.write(f"{f'{kind} {name}':34} {value:.4f}\n")


def _print_metrics(metrics: "Mapping[str, Metric]", prefix: str = "") -> None:
    for name, metric in metrics.items():
        interval = f"({metric.low:.4f} to {metric.high:.4f})"
        sys.stdout.write(f"{prefix + name:34} {metric.value:.4f} {interval}\n")


def _find_external(
    options: argparse.Namespace, config: "TaskConfig", dataset: "Dataset"
) -> "External":
    """What --external asks for; nothing without it."""
    from ml.workshop.datasets.external import load_external, name_tables
    from ml.workshop.evaluation.report import NOWHERE, External, find_external

    if options.external is None:
        return NOWHERE
    if options.external:
        tables = name_tables(config.data, options.external)
        return External(load_external(options.data, config.data, tables))
    return find_external(dataset, options.data, config.data)


def _score_rejects(
    predictor: "Predictor", config: "TaskConfig", dataset: "Dataset", data: Path, out: Path
) -> None:
    """As `export` does; on the test split alone, because some rejects are images of it, turned."""
    from ml.workshop.rejects import find_rejects, score_rejects, write_rejects_score

    rejects = find_rejects(config, dataset.examples, data, "test")
    score = score_rejects(predictor, rejects, refusing_label=config.scope.stranger_label)
    write_rejects_score(score, out)
    sys.stdout.write(f"{'rejects.refused':34} {score.refused:.4f} of {score.images} images\n")


def check_purpose(options: argparse.Namespace) -> None:
    """Whoever opens the test split or looks at other places must say why, or the command ends."""
    if getattr(options, "external", None) is not None and not (options.purpose or "").strip():
        raise SystemExit("--external needs --purpose TEXT: looks at other places are recorded")
    if getattr(options, "masks", None) and not (options.purpose or "").strip():
        raise SystemExit("--masks needs --purpose TEXT: looks at other images are recorded")
    if options.split == "test" and not (options.purpose or "").strip():
        raise SystemExit("--split test needs --purpose TEXT: looks at the test split are recorded")
