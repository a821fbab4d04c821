"""Studies, series and instances by query keys: what C-FIND and QIDO-RS have in common."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from records.dicom.attributes import MATCHED, Attribute, Level, Matching
from records.models import Series
from records.query.matching import condition, item_condition
from records.query.rows import MODELS, PARENT_PATHS

Conditions = Mapping[Level, Q]
"""What is asked of the rows of each level."""


def _read_key(attribute: Attribute, text: str, *, is_fuzzy: bool) -> Q:
    """The condition of a key on rows of its attribute's level; raises ParameterInvalid."""
    found = condition(
        attribute.matching, attribute.lookup, text, keyword=attribute.keyword, is_fuzzy=is_fuzzy
    )
    if found and attribute.matching is Matching.LIST and attribute.level == Level.STUDY:
        series = Series.objects.with_instances().filter(found, study=OuterRef("pk"))
        return Q(Exists(series))
    return found


def read_keys(
    wanted: Mapping[str, str], *, lowest: Level = Level.INSTANCE, is_fuzzy: bool = False
) -> dict[Level, Q]:
    """The conditions of keys by keyword, down to a level; raises ParameterInvalid.

    A key that isn't matched there is left out, as an unsupported optional key. The keys of one
    sequence are met together, by one of its items.
    """
    matched = (MATCHED[keyword] for keyword in wanted if keyword in MATCHED)
    asked = [attribute for attribute in matched if attribute.level <= lowest]
    found: defaultdict[Level, Q] = defaultdict(Q)
    for attribute in asked:
        if not attribute.sequence:
            text = wanted[attribute.keyword]
            found[attribute.level] &= _read_key(attribute, text, is_fuzzy=is_fuzzy)
    for level, path, sequence in {(one.level, one.lookup, one.sequence) for one in asked}:
        if sequence:
            found[level] &= item_condition(path, item_keys(wanted, sequence))
    return found


def item_keys(wanted: Mapping[str, str], sequence: str) -> dict[str, str]:
    """The keys that are matched inside of a sequence, by their own keywords."""
    return {
        keyword.removeprefix(f"{sequence}."): text
        for keyword, text in wanted.items()
        if keyword in MATCHED and MATCHED[keyword].sequence == sequence
    }


def narrow(rows: QuerySet[Any], level: Level, conditions: Conditions) -> QuerySet[Any]:
    """The rows of a level that match, with what an answer tells of them.

    Conditions on lower levels ask whether there is such a series or instance, without joins
    that would repeat rows: limit and offset count results.
    """
    below = {key: q for key, q in conditions.items() if key > level and q}
    for key, q in conditions.items():
        if key <= level:
            rows = rows.filter(_from(level, key, q))
    if below:
        rows = rows.filter(_exists_below(level, below))
    answers: QuerySet[Any] = rows.with_answer()  # type: ignore[attr-defined]  # of each of our querysets
    return answers


def _from(level: Level, owner: Level, q: Q) -> Q:
    """The condition on rows of `owner` as one on rows of `level`, which lie below them."""
    if level == owner or not q:
        return q
    matching = MODELS[owner].objects.filter(q).values("pk")
    return Q(**{f"{PARENT_PATHS[level, owner]}__in": matching})


def _exists_below(level: Level, below: Conditions) -> Exists:
    lowest = max(below)
    held: QuerySet[Any] = MODELS[lowest].objects.all()
    if lowest is Level.SERIES:
        held = Series.objects.with_instances()
    rows = held.filter(**{PARENT_PATHS[lowest, level]: OuterRef("pk")})
    for key, q in below.items():
        rows = rows.filter(_from(lowest, key, q))
    return Exists(rows)
