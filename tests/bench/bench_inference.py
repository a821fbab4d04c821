"""How fast and how large each engine is, for every bundle: `make bench-inference`.

Prints images/s and resident memory of model.predict, tf.function, ONNX Runtime and OpenVINO (what
ships), each in fresh processes that take turns, of which the best is told, with ratios to what
ships; where the time of a prediction goes; what twenty thousand predictions cost in memory; and
accuracy against milliseconds, of the backbones and of what ships, as accuracy_per_ms.png. Judges
nothing.
"""

import argparse
import csv
import itertools
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
from ml.manifest import Manifest, read_manifest
from ml.workshop.commands.options import BUNDLES_DIR
from tests.bench.engines import BATCHES, THREADS, read_spec
from tests.ml.pictures import draw_case, make_dicom

SHIPPED = "openvino"
ENGINES = ("model.predict", "tf.function", "onnxruntime", SHIPPED)
ROOT = Path(__file__).parents[2]
# Frames that a bundle meets: like its training images, and like a modality's.
SMALL_SIDE, LARGE_SIDE = 256, 1024
DEFAULT_SIZE = 160
SHRINKS = ("triangle", "area")
# What one recipe made of several backbones: docs/models.md tells how these came about.
TRIED = Path(__file__).with_name("backbones.csv")


@dataclass(frozen=True)
class Point:
    """A dot of a chart: a network's name, milliseconds an image, and its balanced accuracy."""

    name: str
    milliseconds: float
    accuracy: float


@dataclass(frozen=True)
class Tried:
    """A backbone to be timed: width, pixels, first weights, and what it reached if it was tried."""

    backbone: str
    width: float = 1.0
    size: int = DEFAULT_SIZE
    weights: str = ""
    accuracy: float | None = None

    @property
    def name(self) -> str:
        """The backbone, and its width if it isn't the usual one."""
        return self.backbone if self.width == 1 else f"{self.backbone} {self.width:g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything asked for, print the tables and write them as Markdown."""
    options = read_options(arguments)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    bundles = find_bundles(options.bundles)
    lines = ["# Inference", "", f"{THREADS} threads, {describe_processor()}", ""]
    shipped: list[Point] = []
    with tempfile.TemporaryDirectory() as scratch:
        for bundle in bundles:
            manifest, _ = read_manifest(bundle)
            told, milliseconds = report_bundle(bundle, manifest, Path(scratch), options)
            lines += told
            accuracy = manifest.metrics["argmax_balanced_accuracy"].value
            name = f"{manifest.task} {manifest.version}"
            shipped.append(Point(name, milliseconds, accuracy))
        lines += say(report_memory(bundles, Path(scratch), options.predictions))
    told, backbones = report_backbones(options)
    lines += [*told, *say(report_points(shipped))]
    plot_accuracy(backbones, shipped, out / "accuracy_per_ms.png")
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
    parser.add_argument("--tried", type=Path, default=TRIED, help="CSV of backbones and accuracies")
    parser.add_argument("--skip-backbones", action="store_true", help="time no backbone")
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
    return lines, 1000 / found[SHIPPED]["rates"]["1"]


def report_memory(bundles: Sequence[Path], scratch: Path, predictions: int) -> list[str]:
    """What many predictions cost a process that holds every bundle, as a worker does."""
    ((_, file), *_) = write_frames(scratch, 1)
    growth = run_worker("memory", file, predictions, *bundles)
    return [
        "## Memory",
        "",
        f"{predictions} predictions in one process, all bundles taking turns: "
        f"{growth['growth_mb']:+.1f} MB (at most {growth['highest_mb']:+.1f} MB on the way) over "
        f"{growth['start_mb']:.0f} MB, {growth['rate']:.0f} images/s.",
        "",
    ]


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
        "| file | shrunk by | decode, ms | prepare, ms | network, ms | map and rest, ms "
        "| all but the network / network |",
        "|" + " --- |" * 7,
    ]
    for (name, path), shrink in itertools.product(files, SHRINKS):
        cost = run_worker("split", bundle, path, seconds / 2, shrink)
        around = cost["decode"] + cost["prepare"] + cost["rest"]
        figures = [cost[key] for key in ("decode", "prepare", "network", "rest")]
        shown = " | ".join(f"{figure:.2f}" for figure in figures)
        lines.append(f"| {name} | {shrink} | {shown} | {around / cost['network']:.2f} |")
    return [*lines, ""]


def read_tried(table: Path) -> list[Tried]:
    """The backbones that were trained alike."""
    with table.open(newline="") as stream:
        return [
            Tried(
                backbone=row["backbone"],
                width=float(row["width"]),
                size=int(row["size"]),
                weights=row["weights"],
                accuracy=float(row["accuracy"]),
            )
            for row in csv.DictReader(stream)
        ]


def report_backbones(options: argparse.Namespace) -> tuple[list[str], list[Point]]:
    """Speed of each registered backbone, which weights don't change, and accuracy where known."""
    if options.skip_backbones:
        return [], []
    tried = read_tried(options.tried)
    known = {one.backbone for one in tried}
    others = [Tried(name) for name in run_worker("backbones")["names"] if name not in known]
    lines = list(
        say(
            [
                "## Backbones",
                "",
                "| backbone | pixels | million parameters | ms | images/s | first weights "
                "| balanced accuracy | accuracy per ms |",
                "|" + " --- |" * 8,
            ]
        )
    )
    points = []
    for one in (*tried, *others):
        found = run_worker("backbone", one.backbone, one.size, one.width, options.seconds)
        cost = 1000 / found["rate"]
        reached = "– | –"
        if one.accuracy is not None:
            reached = f"{one.accuracy:.3f} | {one.accuracy / cost:.3f}"
            points.append(Point(one.name, cost, one.accuracy))
        row = (
            f"{found['size']} | {found['parameters'] / 1e6:.1f} | {cost:.1f} | {found['rate']:.0f}"
        )
        lines += say([f"| {one.name} | {row} | {one.weights or '–'} | {reached} |"])
    return [*lines, *say([""])], points


def report_points(points: Sequence[Point]) -> list[str]:
    """What ships, each on its own test split by the most probable label, as a table."""
    lines = [
        "## Accuracy per millisecond, as shipped",
        "",
        "| network | ms | balanced accuracy | accuracy per ms |",
        "| --- | --- | --- | --- |",
    ]
    for point in sorted(points, key=lambda point: point.milliseconds):
        share = point.accuracy / point.milliseconds
        figures = f"{point.milliseconds:.1f} | {point.accuracy:.3f} | {share:.3f}"
        lines.append(f"| {point.name} | {figures} |")
    return [*lines, ""]


def plot_accuracy(backbones: Sequence[Point], shipped: Sequence[Point], path: Path) -> None:
    """Balanced accuracy against milliseconds an image: backbones on one task, and what ships."""
    from matplotlib import pyplot as plt

    from ml.workshop.evaluation.plots import COLOURS, DPI

    charts = (
        (backbones, COLOURS[1], "Backbones: one recipe, retina's validation images"),
        (shipped, COLOURS[0], "As shipped: each on its own test images"),
    )
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", squeeze=False)
    for axes, (points, colour, title) in zip(panels[0], charts, strict=True):
        times = [point.milliseconds for point in points]
        axes.scatter(times, [point.accuracy for point in points], color=colour)
        for rank, point in enumerate(sorted(points, key=lambda point: -point.accuracy)):
            # Names of neighbours stand one below and one above, so that they don't meet.
            shift, place = (6 if rank % 2 else -13), (point.milliseconds, point.accuracy)
            near = {"xytext": (0, shift), "textcoords": "offset points", "ha": "center"}
            axes.annotate(point.name, place, fontsize=8, **near)
        axes.set(xlabel="ms for one image", ylabel="balanced accuracy", title=title)
        axes.margins(x=0.35, y=0.2)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
