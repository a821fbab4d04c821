"""Tables of the model card: whom the data show, and the cross-validation, as Markdown."""

from collections.abc import Iterable, Mapping

from ml.confidence import LOW, WORDS, Confidence
from ml.manifest import Manifest, Metric
from ml.series import NONE, SeriesRule
from ml.transfer import Share, Transfer
from ml.workshop.datasets import SPLITS
from ml.workshop.datasets.population import Ages, Cell, People, Population
from ml.workshop.evaluation.crossval_record import CrossvalRecord
from ml.workshop.figure_names import RIGHT


def render_population(population: Population) -> str:
    """Images of each source and label by split, and age and sex where the tables state them."""
    is_stated = any(cell.population for cell in population.cells)
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for cell in population.cells:
        stated = (cell.population or "not stated",) if is_stated else ()
        name = (cell.source, _name_label(cell), *stated)
        rows.setdefault(name, {})[cell.split] = f"{cell.images} ({cell.groups})"
    table = format_table(
        ("source", "label", *(("population",) if is_stated else ()), *SPLITS),
        [(*name, *(found.get(split, "–") for split in SPLITS)) for name, found in rows.items()],
    )
    totals = ", ".join(
        f"{sum(cell.images for cell in population.cells if cell.split == split)} {split}"
        for split in SPLITS
    )
    note = (
        f"Images by split: {totals}; behind each number, in brackets, its groups (patients where "
        "they are known)."
    )
    return f"{note}\n\n{table}\n\n{_render_people(population.people)}"


def _name_label(cell: Cell) -> str:
    """The label as the set has it, with the one that it stands for where they differ."""
    return cell.label if cell.label == cell.set_label else f"{cell.set_label}, used as {cell.label}"


def _render_people(people: Iterable[People]) -> str:
    rows = [
        (one.split, one.source, str(one.images), _describe_ages(one.ages), _describe_sexes(one))
        for one in people
    ]
    if not rows:
        return "Neither age nor sex is stated with the images."
    head = ("split", "source", "images", "age in years", "sex")
    return f"Age and sex, counted by image, where they are stated:\n\n{format_table(head, rows)}"


def _describe_ages(ages: Ages | None) -> str:
    if ages is None:
        return "not stated"
    span = f"{ages.lowest:g} to {ages.highest:g}"
    return f"median {ages.median:g} ({span}), stated for {ages.images}"


def _describe_sexes(one: People) -> str:
    found = [f"{name} {count}" for name, count in one.sexes.items()]
    return ", ".join(found) or "not stated"


def render_crossval(record: CrossvalRecord | None) -> str:
    """The figures of the group k-fold with this recipe; nothing when there was none."""
    if record is None:
        return ""
    count = len(record.seeds)
    note = (
        f"{record.images} images of {record.groups} groups ({', '.join(record.splits)}) in "
        f"{record.folds} folds, {count} seed{'s' if count != 1 else ''}, with this recipe; groups "
        "never cross folds, and everything else was chosen inside each fold. Intervals are 95 %, "
        "from resampling whole groups. These are networks of the recipe, not the one that ships."
    )
    methods = list(record.pooled)
    names = list(dict.fromkeys(name for found in record.pooled.values() for name in found))
    rows = [
        (name, *(_show(record.pooled[method].get(name)) for method in methods)) for name in names
    ]
    parts = ["## Cross-validation", note, format_table(("figure", *methods), rows)]
    if record.differences:
        others = list(record.differences)
        above = [
            (name, *(_show(record.differences[other].get(name), sign="+") for other in others))
            for name in dict.fromkeys(n for found in record.differences.values() for n in found)
        ]
        heads = ("figure", *(f"network less {other}" for other in others))
        parts.append(format_table(heads, above))
    return "\n\n".join(parts)


def render_series(rule: SeriesRule | None, figures: Mapping[str, Metric]) -> str:
    """How whole series are answered and how well; nothing where the manifest is silent."""
    if rule is None:
        return ""
    title = "## Whole series"
    if rule.kind == NONE:
        return f"{title}\n\nNot answered: only single slices are. No rule for series was tested."
    note = (
        f"A disease is said of a series if {rule.neighbours} answered slices in a row reach its "
        f"operating point, which rises with the number of slices so that at most "
        f"{rule.false_alarms:.0%} of normal series do. Fitted on {rule.kind} series of up to "
        f"{rule.longest} slices of the validation split; the counts are by a rule fitted without "
        f"the series judged. A study of more than {rule.most_slices} slices is not answered."
    )
    rows = [
        (label, f"{one.found} of {one.diseased}", f"{one.false_alarms} of {one.normal}")
        for label, one in rule.validation.items()
    ]
    fitted = format_table(("disease", "found", "false alarms of normal series"), rows)
    tested = [(name, str(one.images), format_interval(one)) for name, one in figures.items()]
    table = format_table(("on the test split", "series", "value (95 % interval)"), tested)
    return "\n\n".join([title, note, fitted, *([table] if tested else [])])


def render_transfer(transfer: Transfer | None) -> str:
    """What the operating points give on each source, and what follows; nothing if unasked."""
    if transfer is None:
        return ""
    rows = [
        (source, disease, _show_share(point.recall), _show_share(point.specificity))
        for source, points in transfer.sources.items()
        for disease, point in points.items()
    ]
    asked = (
        f"Asked of a second source: recall with a lower bound of {transfer.asked_recall:g}, "
        f"specificity {transfer.asked_specificity:g}."
    )
    if transfer.is_own_source_only:
        result = (
            f"**Own source only.** Not shown to hold elsewhere: {', '.join(transfer.unproven)}. An "
            "image whose source nobody has validated gets no label."
        )
    else:
        result = "Every operating point holds on a second source."
    note = "Validation images; one-sided 95 % bounds, groups counted and not images."
    table = format_table(("source", "disease", "recall", "specificity"), rows)
    return f"### On other sources\n\n{result} {asked} {note}\n\n{table}"


def _show_share(share: Share | None) -> str:
    if share is None:
        return "–"
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f}), {share.groups} groups"


def render_words(confidence: Confidence | None, manifest: Manifest) -> str:
    """What each word of confidence has meant; nothing for a bundle whose words were not earned."""
    if confidence is None:
        return ""
    rows = []
    for word in (*WORDS, LOW):
        record, test = confidence.records.get(word), manifest.metrics.get(RIGHT[word])
        margin = confidence.margins.get(word)
        rows.append(
            (
                word,
                "–" if margin is None else f"{margin:.3f}",
                f"{record.right} of {record.answers}, at least {record.low:.3f}" if record else "–",
                f"{format_interval(test)} of {test.images}" if test else "–",
            )
        )
    asked = ", ".join(f"{word} {share:g}" for word, share in confidence.asked.items())
    note = (
        f"Least share right that was asked in every source with enough answers: {asked}. A word "
        "without a margin could not be earned and is never said; an answer without a label is "
        "low. The bound is that of the worst source."
    )
    head = ("word", "from a margin of", "right on validation", "right on the test split")
    return f"## Words of confidence\n\n{note}\n\n{format_table(head, rows)}"


def _show(metric: Metric | None, *, sign: str = "") -> str:
    return "–" if metric is None else format_interval(metric, sign=sign)


def format_interval(metric: Metric, *, sign: str = "") -> str:
    """A figure to three places with its interval."""
    low, high = (f"{value:{sign}.3f}" for value in (metric.low, metric.high))
    return f"{metric.value:{sign}.3f} ({low} to {high})"


def format_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
