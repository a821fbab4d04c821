"""The shipped figures in docs/models.md, rewritten by `python -m tests.ml.workshop.models_table`.

Which figures a model tells beside those that its gate asks for is chosen by hand: the names that
stand in the table for the task stay, for whatever version ships.
"""

import re
import sys
from pathlib import Path

from ml.bundles import find_bundles, load_bundle
from ml.manifest import Manifest, Metric
from ml.workshop.commands.options import BUNDLES_DIR
from ml.workshop.evaluation.beside import read_baselines
from ml.workshop.evaluation.crossval_record import CrossvalRecord
from ml.workshop.exporting.card_tables import format_interval
from ml.workshop.exporting.kept import read_kept
from ml.workshop.exporting.release_gate import Scored, list_figures

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
NONE = "–"
REFUSALS = ("rejects.refused", "rejects.in_scope_answered")
LINE = re.compile(r"^\| ([\w-]+) \d\S* \| \w+ \| `([^`]+)` \|.*\n", re.MULTILINE)


def find_figure(path: Path, name: str) -> tuple[str, str, str]:
    """A figure of a bundle and both baselines', as the page tells them."""
    manifest = load_bundle(path).manifest
    kept = read_kept(path, path.parent, recipe=manifest.training.config_sha256)
    if name == "rejects.refused":
        return f"{kept.strangers.refused:.3f} of {kept.strangers.images}", NONE, NONE
    if name == "rejects.in_scope_answered":
        refused = manifest.metrics["refused"]
        ends = (1 - refused.value, 1 - refused.high, 1 - refused.low)
        return format_interval(Metric(*ends, images=refused.images)), NONE, NONE
    if name in manifest.metrics:
        beside = read_baselines(path, kept.evaluation)
        found = (beside[kind].get(name) for kind in ("thumbnails", "frozen"))
        thumbnails, frozen = (NONE if value is None else f"{value:.3f}" for value in found)
        return format_interval(manifest.metrics[name]), thumbnails, frozen
    if kept.crossval and name.removeprefix("crossval.") in kept.crossval.pooled["network"]:
        return _find_crossval(kept.crossval, name.removeprefix("crossval."))
    scored = Scored(manifest.labels, kept.evaluation, kept.baselines, kept.strangers, kept.crossval)
    measured = list_figures(scored).get(name)
    return (format_interval(measured) if measured else "not measured"), NONE, NONE


def _find_crossval(record: CrossvalRecord, name: str) -> tuple[str, str, str]:
    values = [record.pooled[kind][name] for kind in ("thumbnails", "frozen backbone")]
    thumbnails, frozen = (f"{metric.value:.3f}" for metric in values)
    return format_interval(record.pooled["network"][name]), thumbnails, frozen


def main() -> int:
    """Rewrite the lines of every bundle that ships."""
    page = PAGE.read_text(encoding="utf-8")
    lines = list(LINE.finditer(page))
    told: dict[str, list[str]] = {}
    for line in lines:
        told.setdefault(line[1], []).append(line[2])
    paths = {load_bundle(path).manifest.task: path for path in find_bundles(BUNDLES_DIR)}
    order = [*told, *(task for task in paths if task not in told)]
    rows = [
        row for task in order if task in paths for row in _rows(paths[task], told.get(task, []))
    ]
    start, end = lines[0].start(), lines[-1].end()
    PAGE.write_text(page[:start] + "".join(rows) + page[end:], encoding="utf-8")
    sys.stdout.write(f"{len(rows)} lines of {len(paths)} models\n")
    return 0


def _rows(path: Path, told: list[str]) -> list[str]:
    manifest = load_bundle(path).manifest
    asked = {name: result.minimum for name, result in manifest.gate.items()}
    names = [name for name in asked if name not in REFUSALS]
    names += [name for name in told if name not in asked and name not in REFUSALS]
    return [_row(path, manifest, name, asked) for name in (*names, *REFUSALS)]


def _row(path: Path, manifest: Manifest, name: str, asked: dict[str, float]) -> str:
    value, thumbnails, frozen = find_figure(path, name)
    least = f"{asked[name]:g}" if name in asked else NONE
    cells = (
        f"{manifest.task} {manifest.version}",
        str(manifest.stage),
        f"`{name}`",
        value,
        least,
        thumbnails,
        frozen,
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    raise SystemExit(main())
