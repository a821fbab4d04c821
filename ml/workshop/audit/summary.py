"""The audit as lines of text, for the terminal."""

from collections.abc import Iterator, Sequence

from ml.workshop.audit.audit import Audit
from ml.workshop.audit.report import state_verdict
from ml.workshop.datasets import SPLITS

MAX_LISTED = 5


def format_audit(audit: Audit) -> Iterator[str]:
    """Lines, the verdict last."""
    yield f"{audit.task}: {audit.images} images from {audit.origin}"
    yield from (f"warning: {note}" for note in audit.notes)
    yield from _table(
        ("label", *SPLITS),
        [
            (label, *(audit.balance.get(label, {}).get(split, 0) for split in SPLITS))
            for label in audit.labels
        ]
        + [("(groups)", *(audit.groups[split] for split in SPLITS))],
    )
    for source, count in audit.external.items():
        yield f"other place {source}: {count} images, looked through for copies and groups alone"
    for label, count in audit.left_out.items():
        yield f"left out: {count} rows labelled {label}"
    yield from _format_acquisition(audit)
    for one in audit.unreadable[:MAX_LISTED]:
        yield f"unreadable: {one.name}: {one.code}: {one.reason}"
    yield from _format_pairs(audit)
    yield from _format_baselines(audit)
    yield state_verdict(audit)


def _format_acquisition(audit: Audit) -> Iterator[str]:
    for name, counts in audit.shapes.items():
        listed = ", ".join(f"{value} ({n})" for value, n in list(counts.items())[:MAX_LISTED])
        more = f" and {len(counts) - MAX_LISTED} more" if len(counts) > MAX_LISTED else ""
        yield f"{name}: {listed}{more}"
    for source, by_label in audit.sources.items():
        yield f"source {source}: {', '.join(f'{label} {n}' for label, n in by_label.items())}"
    for one in audit.confounding:
        yield (
            f"label by {one.factor} ({one.values} values): Cramér's V {one.cramers_v:.2f}, "
            f"guessed from it alone {one.guessed:.3f} (most frequent label {one.most_frequent:.3f})"
        )
    if guess := audit.source_guess:
        yield (
            f"source from a thumbnail: {guess.guessed:.3f} "
            f"(most frequent source {guess.most_frequent:.3f})"
        )


def _format_pairs(audit: Audit) -> Iterator[str]:
    yield (
        f"copies and near-duplicates: {len(audit.pairs)} pairs, "
        f"{len(audit.crossing_pairs)} across splits, {len(audit.conflicts)} with two labels"
    )
    for pair in audit.conflicts[:MAX_LISTED]:
        first, second = pair.first, pair.second
        yield (
            f"label conflict: {first.name} is {first.label}, {second.name} is {second.label} "
            f"({pair.kind})"
        )


def _format_baselines(audit: Audit) -> Iterator[str]:
    rows = []
    for name, by_split in audit.baselines.items():
        for split, found in by_split.items():
            figures = [
                f"{found[key]:.3f}" for key in ("accuracy", "balanced_accuracy", "macro_auc")
            ]
            rows.append((name, split, *figures))
    if rows:
        yield from _table(("baseline", "split", "accuracy", "balanced", "macro AUC"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    lines = [[str(value) for value in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [value.rjust(width) for value, width in zip(line[1:], widths[1:], strict=True)]
        yield "  ".join(cells)
