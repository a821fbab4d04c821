"""Writes an audit: a page to read, figures as JSON, the pairs as CSV, and pictures."""

import csv
import dataclasses
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import MLError
from ml.images import read_frames, to_display
from ml.workshop.audit.audit import Audit
from ml.workshop.audit.drawings import frequency_size, make_montage, paint_frequency, plot_frequency
from ml.workshop.audit.leaks import Pair, choose_excluded
from ml.workshop.audit.likeness import MAX_DISTANCE, MIN_CORRELATION
from ml.workshop.datasets import SPLITS, Example
from ml.workshop.evaluation.charts import draw
from ml.workshop.evaluation.gallery import encode_picture, shrink_picture
from ml.workshop.evaluation.page import as_markup, render_template

PAGE, REPORT, PAIRS, EXCLUDED, FREQUENCY = (
    "audit.html",
    "audit.json",
    "near_duplicates.csv",
    "excluded.csv",
    "class_frequency.png",
)
PAIR_COLUMNS = (
    *("first", "second", "kind", "hamming_distance", "correlation", "crosses_splits"),
    *("labels_differ", "first_label", "second_label", "first_split", "second_split"),
    *("first_group", "second_group"),
)
MAX_EXHIBITS = 18
# Sizes that the page lists; the JSON file has them all.
MAX_SHAPES = 8


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A pair to show: both images as data URIs."""

    pair: Pair
    first_image: str
    second_image: str


def write_audit(audit: Audit, out: Path) -> None:
    """Write every file of the audit into the folder `out`, replacing an older audit's."""
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT).write_text(json.dumps(describe_audit(audit), indent=2) + "\n")
    _write_table(out / PAIRS, PAIR_COLUMNS, (_row(pair) for pair in audit.pairs))
    _write_table(out / EXCLUDED, ("path", "reason"), choose_excluded(audit.pairs).items())
    plot_frequency(audit.balance, audit.labels, out / FREQUENCY)
    montages = {}
    for label in audit.labels:
        sheet = make_montage(audit.pictures, label)
        sheet.save(out / f"montage-{_plain(label)}.png", optimize=True)
        montages[label] = encode_picture(np.asarray(sheet))
    (out / PAGE).write_text(_render_page(audit, montages), encoding="utf-8")


def _plain(label: str) -> str:
    """The label as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", label)


def describe_audit(audit: Audit) -> dict[str, Any]:
    """The audit in plain values; images are named, and what is not a number is null."""
    table: dict[str, Any] = {
        "verdict": state_verdict(audit),
        "errors": [_describe_error(error) for error in audit.errors],
    }
    for field in dataclasses.fields(audit):
        if field.name not in ("pairs", "pictures"):
            table[field.name] = _plain_value(getattr(audit, field.name))
    table["pairs"] = {"max_distance": MAX_DISTANCE, "min_correlation": MIN_CORRELATION}
    table["pairs"]["found"] = len(audit.pairs)
    table["pairs"]["crossing_splits"] = [_describe_pair(pair) for pair in audit.crossing_pairs]
    table["pairs"]["label_conflicts"] = [_describe_pair(pair) for pair in audit.conflicts]
    return table


def _plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_value(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {name: _plain_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _describe_error(error: MLError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "action": error.action}


def _describe_pair(pair: Pair) -> dict[str, Any]:
    return dict(zip(PAIR_COLUMNS, _row(pair), strict=True))


def _row(pair: Pair) -> tuple[Any, ...]:
    first, second = pair.first, pair.second
    return (
        *(first.name, second.name, pair.kind, pair.distance, round(pair.correlation, 4)),
        *(pair.crosses_splits, pair.labels_differ, first.label, second.label),
        *(first.split, second.split, first.group, second.group),
    )


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def state_verdict(audit: Audit) -> str:
    """The audit in one line."""
    conflicts = f"{len(audit.conflicts)} label conflicts"
    if audit.errors:
        codes = ", ".join(error.code for error in audit.errors)
        return f"refused: {codes}; {conflicts} among {audit.images} images"
    return (
        f"clean: no group, copy or near-duplicate of {audit.images} images crosses splits, "
        f"all can be read; {conflicts}"
    )


def _render_page(audit: Audit, montages: dict[str, str]) -> str:
    def paint(axes: Any) -> None:
        paint_frequency(axes, audit.balance, audit.labels)

    size = frequency_size(audit.labels)
    frequency = draw(paint, name="frequency", title="Images by label and split", figsize=size)
    return render_template(
        "audit.html",
        audit=audit,
        verdict=state_verdict(audit),
        splits=SPLITS,
        frequency=as_markup(frequency),
        crossing=_exhibit(audit.crossing_pairs),
        conflicts=_exhibit(audit.conflicts),
        montages=montages,
        max_distance=MAX_DISTANCE,
        min_correlation=MIN_CORRELATION,
        max_shapes=MAX_SHAPES,
    )


def _exhibit(pairs: Sequence[Pair]) -> list[Exhibit]:
    """Some of the pairs, spread evenly from the likest to the least alike."""
    step = max(1, len(pairs) // MAX_EXHIBITS)
    return [
        Exhibit(pair, _encode(pair.first), _encode(pair.second))
        for pair in pairs[::step][:MAX_EXHIBITS]
    ]


def _encode(example: Example) -> str:
    shown = to_display(read_frames(example.path, frames=[0])[0])
    return encode_picture(shrink_picture(shown))
