"""How fast and how large each engine is, for every bundle: `make bench-inference`.

Prints images/s and resident memory of model.predict, tf.function (the runtime for a GPU), ONNX
Runtime and OpenVINO (what ships), each in fresh processes that take turns, of which the best is
told, with ratios to what ships; where the time of a prediction goes; how much memory twenty
thousand predictions cost; and accuracy against milliseconds, as accuracy_per_ms.png. Judges
nothing.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ml.bundles import find_bundles
from ml.commands.options import BUNDLES_DIR
from ml.manifest import Manifest, read_manifest
from tests.bench.engines import BATCHES, THREADS, read_spec
from tests.ml.pictures import draw_case, make_dicom

SHIPPED = "openvino"
ENGINES = ("model.predict", "tf.function", "onnxruntime", SHIPPED)
ROOT = Path(__file__).parents[2]
# Frames that a bundle meets: like its training images, and like a modality's.
SMALL_SIDE, LARGE_SIDE = 256, 1024
DEFAULT_SIZE = 160


@dataclass(frozen=True)
class Point:
    """A dot of the chart: a network's name, milliseconds an image, and its accuracy."""

    name: str
    milliseconds: float
    accuracy: float
    is_shipped: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything asked for, print the tables and write them as Markdown."""
    options = read_options(arguments)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    bundles = find_bundles(options.bundles)
    lines = ["# Inference", "", f"{THREADS} threads, {describe_processor()}", ""]
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as scratch:
        for bundle in bundles:
            manifest, _ = read_manifest(bundle)
            told, milliseconds = report_bundle(bundle, manifest, Path(scratch), options)
            lines += told
            accuracy = manifest.metrics["balanced_accuracy"].value
            name = f"{manifest.task} {manifest.version}"
            points.append(Point(name, milliseconds, accuracy, is_shipped=True))
    points += read_tried(options.tried, options.seconds)
    if not options.skip_backbones:
        lines += say(report_backbones(options))
    plot_accuracy(points, out / "accuracy_per_ms.png")
    lines += say(report_points(points))
    (out / "inference.md").write_text("\n".join(lines) + "\n")
    say([f"written: {out / 'inference.md'}, {out / 'accuracy_per_ms.png'}"])
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("var/bench"), help="folder to write to")
    parser.add_argument("--bundles", type=Path, default=BUNDLES_DIR)
    parser.add_argument("--seconds", type=float, default=3, help="how long each speed is measured")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each engine gets")
    parser.add_argument("--predictions", type=int, default=20_000, help="of the memory run")
    parser.add_argument(
        "--tried",
        type=Path,
        help="CSV of networks that were tried and don't ship: backbone, accuracy, weights, and "
        "if need be size and width",
    )
    parser.add_argument("--skip-backbones", action="store_true", help="time no random network")
    return parser.parse_args(arguments)


def say(lines: Sequence[str]) -> Sequence[str]:
    """Print the lines as soon as they are known, and hand them on."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return lines


def run_worker(name: str, *arguments: object) -> dict[str, Any]:
    """What a worker printed, run in a fresh process."""
    command = [sys.executable, "-m", "tests.bench.engines", name, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def describe_processor() -> str:
    """The processor's name, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "CPU")


def report_bundle(
    bundle: Path, manifest: Manifest, scratch: Path, options: argparse.Namespace
) -> tuple[list[str], float]:
    """The tables of a bundle, and how many milliseconds an image takes as it ships."""
    spec = manifest.input
    title = f"## {manifest.task} {manifest.version}: {spec.size} x {spec.size}, {spec.colour}"
    lines = list(say([title, ""]))
    found = run_engines(bundle, scratch, seconds=options.seconds, rounds=options.rounds)
    lines += say(compare_engines(found))
    files = list(write_frames(scratch, spec.channels))
    lines += say(report_split(bundle, files, options.seconds))
    growth = run_worker("memory", files[0][1], options.predictions, bundle)
    lines += say(
        [
            f"{options.predictions} predictions in one process: {growth['growth_mb']:+.1f} MB "
            f"(at most {growth['highest_mb']:+.1f} MB on the way) over {growth['start_mb']:.0f} "
            f"MB, {growth['rate']:.0f} images/s.",
            "",
        ]
    )
    return lines, 1000 / found[SHIPPED]["rates"]["1"]


def run_engines(
    bundle: Path, scratch: Path, *, seconds: float, rounds: int
) -> dict[str, dict[str, Any]]:
    """What every engine did on one bundle, the shipped one last: the best of its turns.

    A machine that others use too may give an engine half a processor in one turn.
    """
    size, channels = read_spec(str(bundle))
    exported = scratch / f"{bundle.parent.name}-{bundle.name}.onnx"
    run_worker("export-onnx", bundle, exported)
    found: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for name in ENGINES:
            network = (exported, size, channels) if name == "onnxruntime" else (bundle,)
            turn = run_worker(name, *network, seconds)
            best = found.setdefault(name, turn)
            for batch, rate in turn["rates"].items():
                best["rates"][batch] = max(best["rates"][batch], rate)
    return found


def compare_engines(found: dict[str, dict[str, Any]]) -> list[str]:
    """Speed and memory of the engines, each beside that of the shipped one."""
    shipped = found[SHIPPED]
    heads = [f"images/s, batch {batch}" for batch in BATCHES]
    lines = [
        f"| engine | {' | '.join(f'{head} | of shipped' for head in heads)} "
        "| open, s | MB open | MB after 200 | of shipped |",
        "|" + " --- |" * (2 * len(BATCHES) + 5),
    ]
    for name, row in found.items():
        speeds = [
            f"{row['rates'][str(batch)]:.0f} | "
            f"{row['rates'][str(batch)] / shipped['rates'][str(batch)]:.2f}"
            for batch in BATCHES
        ]
        memory = f"{row['loaded_mb']:.0f} | {row['after_mb']:.0f}"
        share = f"{row['after_mb'] / shipped['after_mb']:.1f}"
        label = f"{name} (ships)" if name == SHIPPED else name
        lines.append(
            f"| {label} | {' | '.join(speeds)} | {row['open_s']:.1f} | {memory} | {share} |"
        )
    return [*lines, ""]


def write_frames(scratch: Path, channels: int) -> Iterator[tuple[str, Path]]:
    """A small JPEG and a large DICOM file with generated pixels."""
    for side, kind in ((SMALL_SIDE, "JPEG"), (LARGE_SIDE, "DICOM")):
        pixels = draw_case("pneumonia", np.random.default_rng(1), side)
        if channels == 3:
            pixels = np.stack([pixels, pixels // 2, 255 - pixels], axis=-1)
        path = scratch / f"{kind}-{channels}"
        if kind == "JPEG":
            Image.fromarray(pixels).save(path, "JPEG", quality=90)
        else:
            path.write_bytes(make_dicom(pixels if channels == 3 else pixels.astype(np.uint16) * 16))
        yield f"{kind}, {side} x {side}", path


def report_split(bundle: Path, files: Sequence[tuple[str, Path]], seconds: float) -> list[str]:
    """Where the time of a prediction goes, for each file."""
    lines = [
        "| file | decode, ms | prepare, ms | network, ms | map and rest, ms "
        "| all but the network / network |",
        "|" + " --- |" * 6,
    ]
    for name, path in files:
        cost = run_worker("split", bundle, path, seconds / 2)
        around = cost["decode"] + cost["prepare"] + cost["rest"]
        figures = [cost[key] for key in ("decode", "prepare", "network", "rest")]
        shown = " | ".join(f"{figure:.2f}" for figure in figures)
        lines.append(f"| {name} | {shown} | {around / cost['network']:.2f} |")
    return [*lines, ""]


def read_tried(table: Path | None, seconds: float) -> list[Point]:
    """Networks that were trained and don't ship, timed with random weights."""
    if table is None:
        return []
    points = []
    with table.open(newline="") as stream:
        for row in csv.DictReader(stream):
            size, width = row.get("size") or DEFAULT_SIZE, row.get("width") or 1.0
            found = run_worker("backbone", row["backbone"], size, width, seconds)
            name = f"{row['backbone']} {row['weights']}".strip()
            points.append(
                Point(name, 1000 / found["rate"], float(row["accuracy"]), is_shipped=False)
            )
    return points


def report_backbones(options: argparse.Namespace) -> list[str]:
    """Speed of each registered backbone with random weights."""
    lines = [
        f"## Backbones at {DEFAULT_SIZE} pixels or the nearest they take, random weights",
        "",
        "| backbone | pixels | million parameters | ms | images/s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in run_worker("backbones")["names"]:
        found = run_worker("backbone", name, DEFAULT_SIZE, 1.0, options.seconds)
        speed = f"{1000 / found['rate']:.1f} | {found['rate']:.0f}"
        lines.append(f"| {name} | {found['size']} | {found['parameters'] / 1e6:.1f} | {speed} |")
    return [*lines, ""]


def report_points(points: Sequence[Point]) -> list[str]:
    """Accuracy per millisecond as a table."""
    lines = [
        "## Accuracy per millisecond",
        "",
        "| network | ms | balanced accuracy | accuracy per ms | ships |",
        "| --- | --- | --- | --- | --- |",
    ]
    for point in sorted(points, key=lambda point: point.milliseconds):
        ships = "yes" if point.is_shipped else "no"
        share = point.accuracy / point.milliseconds
        lines.append(
            f"| {point.name} | {point.milliseconds:.1f} | {point.accuracy:.3f} | {share:.3f} "
            f"| {ships} |"
        )
    return [*lines, ""]


def plot_accuracy(points: Sequence[Point], path: Path) -> None:
    """Balanced accuracy against milliseconds an image, one dot for each network."""
    from matplotlib import pyplot as plt

    from ml.evaluation.plots import COLOURS, DPI

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for is_shipped, colour, label in (
        (True, COLOURS[0], "ships"),
        (False, COLOURS[1], "tried, doesn't ship"),
    ):
        chosen = [point for point in points if point.is_shipped == is_shipped]
        if chosen:
            times = [point.milliseconds for point in chosen]
            axes.scatter(times, [point.accuracy for point in chosen], color=colour, label=label)
        for point in chosen:
            axes.annotate(
                point.name,
                (point.milliseconds, point.accuracy),
                xytext=(6, 4),
                textcoords="offset points",
                fontsize=8,
            )
    axes.set(xlabel="ms for one image", ylabel="balanced accuracy on its test split")
    axes.margins(x=0.35, y=0.2)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    if points:
        axes.legend(loc="best")
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
