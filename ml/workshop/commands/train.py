"""`python -m ml train`: train a task's network into a run folder.

The task file says everything that shapes the network; `--set` overrides one entry of it. The run's
folder gets best.keras (the network, float32), history.csv and curves.png (every figure by epoch),
and latest.npz, from which a stopped run goes on and ends with the same weights. The test split is
never looked at.
"""

import argparse
import sys
from pathlib import Path

from ml.workshop.commands.options import (
    add_run_option,
    add_task_options,
    find_run,
    load_ready,
    load_rows,
    whole_number,
)
from ml.workshop.quiet import load_keras

SUMMARY = "train a task's network; goes on where a stopped run left off"
EPILOG = """\
examples:
  python -m ml train chest-xray --data ../shared/data
  python -m ml train chest-xray --data ../shared/data --run var/training/chest \\
      --set training.epochs=20 --set 'training.monitor="val_macro_auc"'
  python -m ml train my-task.toml --data scans/           the same, for a task file of your own
  python -m ml train chest-xray --data mine/ --set 'data.table=""'          folders of classes
  python -m ml train brain-mri --data ../shared/data --set 'model.weights="var/a/best.keras"'
  python -m ml train brain-mri --data ../shared/data --random-labels --set training.epochs=3

what --data may be:
  a folder with the task's table, or with labels.csv: columns path and label, and if you have them
  source, group (or patient_id) and split; a CSV file itself; of DICOM files the headers say them;
  folders <label>/*, or train/<label>/* and so on. Splits that are missing are drawn by group.

what model.backbone may be:
  efficientnetlite0 efficientnetlite1 efficientnetlite2 efficientnetv2b0 efficientnetv2b3
  efficientnetv2s mobilenetv2 resnet50 resnet50v2 densenet121 inceptionv3 vgg16
  residual    our own small network, to be trained from the start
  cnn4-150 cnn5-64    references with a hidden layer; they can't be exported

what model.weights may be:
  none, imagenet (fetched by Keras), a .h5 or .weights.h5 without the top, a .pth of
  EfficientNet-Lite, or the best.keras of a run of the same backbone, of any task

GPUs are found by themselves and share each batch; CUDA_VISIBLE_DEVICES= hides them. The backend
is KERAS_BACKEND=tensorflow (the default) or jax.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_task_options(parser)
    add_run_option(parser)
    parser.add_argument(
        "--workers",
        type=whole_number(1, 256),
        help="threads that prepare images; one for each core by default",
    )
    parser.add_argument(
        "--random-labels",
        action="store_true",
        help="a control: each group gets a label drawn at random; better than chance is a leak",
    )


def run(options: argparse.Namespace) -> int:
    """Train, and print the run's folder; `export` makes the bundle."""
    from ml.workshop.datasets import SPLITS, randomise_labels

    config = load_ready(options)
    folder: Path = find_run(options, config)
    dataset = load_rows(options, config)
    if options.random_labels:
        dataset = randomise_labels(dataset, seed=config.training.seed)
        folder = options.run or folder.with_name(f"{folder.name}-random-labels")
    counts = ", ".join(f"{len(dataset.of_split(split))} {split}" for split in SPLITS)
    sys.stderr.write(f"{dataset.origin}: {counts} images\n")
    load_keras()
    from ml.workshop.training.loop import train_network

    train_network(config, dataset, folder, workers=options.workers)
    sys.stdout.write(f"{folder}\n")
    return 0
