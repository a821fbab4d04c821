"""Attribute matching (PS3.4 C.2.2.2): from the text of a query key to a condition on rows.

C-FIND and QIDO-RS both match by it; nothing in it knows of a network.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from django.db.models import CharField, JSONField, Q, Transform
from django.db.models.lookups import PostgresOperatorLookup

from records.dicom.attributes import FOLDED_COLUMN, NAME_COLUMNS, Matching
from records.dicom.names import MARKS, STROKES, fold_words, plain
from records.errors import ParameterInvalid

LONGEST_KEY = 4096
SEPARATOR = "\\"
# QIDO-RS writes lists with commas.
LIST_SEPARATOR = re.compile(r"[,\\]")
UID = re.compile(r"[0-9.]{1,64}")
NUMBER = re.compile(r"[+-]?\d{1,19}")
LARGEST_NUMBER = 2**31 - 1
DATE = re.compile(r"\d{8}")
TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
LONGEST_PARTICLE = 3
"""What may stand before a family name, with an apostrophe or a space between: O', Mc, van."""


class _KeyInvalid(ValueError):
    """What is wrong with a query key, as a sentence."""


@JSONField.register_lookup
class AnyItem(PostgresOperatorLookup):
    """Whether a path of SQL/JSON finds anything in a list of items."""

    lookup_name = "any_item"
    postgres_operator = "@?"
    prepare_rhs = False


@CharField.register_lookup
class Plain(Transform):
    """A text without case and accents, as `records.dicom.names.plain` writes it."""

    lookup_name = "plain"
    template = (
        "translate(lower(normalize(regexp_replace(normalize(%(expressions)s, NFKD), "
        f"'[{MARKS[0]}-{MARKS[1]}]', '', 'g'), NFC)), '{''.join(STROKES)}', "
        f"'{''.join(STROKES.values())}')"
    )


def condition(
    matching: Matching, path: str, text: str, *, keyword: str, is_fuzzy: bool = False
) -> Q:
    """Return the condition that the key `keyword` puts on the field at `path`.

    An empty key and a lone "*" match everything. Raises ParameterInvalid.
    """
    try:
        text = _read_text(text)
        if not text:
            return Q()
        if matching is Matching.NAME and is_fuzzy:
            return _fuzzy_name(path, text)
        return _CONDITIONS[matching](path, text)
    except _KeyInvalid as error:
        raise ParameterInvalid(name=keyword, problem=str(error)) from error


Item = Mapping[str, str]
"""An item of a sequence: texts by keyword."""


def item_condition(path: str, keys: Item) -> Q:
    """Return the condition that one item of the sequence at `path` matches every key.

    Raises ParameterInvalid. PS3.4 C.2.2.2.6.
    """
    tests = []
    for keyword, values in _item_values(keys).items():
        pattern = f"^({'|'.join(map(_as_regex, values))})$"
        tests.append(f"@.{json.dumps(keyword)} like_regex {json.dumps(pattern)}")
    return Q(**{f"{path}__any_item": f"$[*] ? ({' && '.join(tests)})"}) if tests else Q()


def matching_items(items: Iterable[Item], keys: Item) -> list[Item]:
    """The items that match every key. Raises ParameterInvalid."""
    wanted = _item_values(keys).items()
    return [
        item
        for item in items
        if all(_has_any(item.get(keyword, ""), values) for keyword, values in wanted)
    ]


def _has_any(text: str, values: Iterable[str]) -> bool:
    """Match as `_as_regex` does; not by `re`, which takes for ever over many wildcards."""
    return any(fnmatchcase(text, value.replace("[", "[[]")) for value in values)


def _item_values(keys: Item) -> dict[str, list[str]]:
    """The values that each key asks for, any of them; without keys that everything matches."""
    found = {}
    for keyword, given in keys.items():
        try:
            text = _read_text(given)
        except _KeyInvalid as error:
            raise ParameterInvalid(name=keyword, problem=str(error)) from error
        if text:
            found[keyword] = [value.strip() for value in text.split(SEPARATOR)]
    return found


def _read_text(text: str) -> str:
    """Return the text of a key; nothing for one that everything matches."""
    text = text.strip()
    if "\0" in text or len(text) > LONGEST_KEY:
        raise _KeyInvalid("it is too long, or holds what no attribute can hold.")
    return "" if text == "*" else text


def _text(path: str, text: str) -> Q:
    return _any(_pattern(path, value.strip()) for value in text.split(SEPARATOR))


def _list(path: str, text: str) -> Q:
    """A row of values, one of which has to match; `path` leads to one value of each."""
    return _any(_pattern(path, value.strip()) for value in LIST_SEPARATOR.split(text))


def _name(path: str, text: str) -> Q:
    """A name by one component group, in whichever script it is held, or by each that is given.

    Names are held without the carets at their end. `path` is what the names of its columns
    begin with: "patient__".
    """
    return _any(_one_name(path, value) for value in text.split(SEPARATOR))


def _one_name(path: str, text: str) -> Q:
    groups = [group.strip(" ").rstrip("^ ") for group in text.split("=")]
    columns = [f"{path}{column}__plain" for column in NAME_COLUMNS]
    if len(groups) == 1:
        return _any(_pattern(column, plain(groups[0])) for column in columns)
    found = Q()
    for column, group in zip(columns, groups, strict=False):
        if group not in ("", "*"):
            found &= _pattern(column, plain(group))
    return found


def _fuzzy_name(path: str, text: str) -> Q:
    """Every word of the key begins some word of the name, in whatever order, without accents.

    O'Brien may be held as one word and asked for as two, or the other way round.
    """
    words = fold_words(text)
    apart, together = Q(), Q()
    for word in words:
        ways = [word, *(f"{word[:at]} {word[at:]}" for at in range(1, LONGEST_PARTICLE + 1))]
        begins = "|".join(re.escape(way) for way in ways if way == word or way[-1] != " ")
        apart &= Q(**{f"{path}{FOLDED_COLUMN}__regex": f"(^| )({begins})"})
    if len(words) > 1:
        together = Q(**{f"{path}{FOLDED_COLUMN}__regex": f"(^| ){re.escape(''.join(words))}"})
    return apart | together


def _uid(path: str, text: str) -> Q:
    uids = [word.strip() for word in LIST_SEPARATOR.split(text) if word.strip()]
    if not all(UID.fullmatch(uid) for uid in uids):
        raise _KeyInvalid("it is not a UID, or a list of UIDs.")
    return Q(**{f"{path}__in": uids})


def _number(path: str, text: str) -> Q:
    words = [word.strip() for word in text.split(SEPARATOR)]
    if not all(NUMBER.fullmatch(word) for word in words):
        raise _KeyInvalid("it is not a whole number.")
    numbers = [int(word) for word in words]
    return Q(**{f"{path}__in": [each for each in numbers if abs(each) <= LARGEST_NUMBER]})


def _date(path: str, text: str) -> Q:
    return _range(path, text, first=_read_date, last=_read_date)


def _time(path: str, text: str) -> Q:
    """A time that leaves out minutes or seconds means all of the hour or minute."""
    return _range(path, text, first=_first_moment, last=_last_moment)


def _sequence(path: str, text: str) -> Q:
    raise _KeyInvalid("it is matched by the attributes in it, each named after it and a dot.")


def _nothing(path: str, text: str) -> Q:
    raise _KeyInvalid("it is returned, but not matched.")


def _any(conditions: Iterable[Q]) -> Q:
    found = Q()
    for each in conditions:
        found |= each
    return found


def _pattern(path: str, text: str) -> Q:
    """Match text as it is written, `*` standing for any characters and `?` for one."""
    if "*" not in text and "?" not in text:
        return Q(**{f"{path}__exact": text})
    body = text.rstrip("*")
    if "*" not in body and "?" not in body:
        return Q(**{f"{path}__startswith": body})
    return Q(**{f"{path}__regex": f"^{_as_regex(text)}$"})


def _as_regex(text: str) -> str:
    words = {"*": ".*", "?": "."}
    return "".join(words.get(letter) or re.escape(letter) for letter in text)


Moment = dt.date | dt.time


def _range(
    path: str, text: str, *, first: Callable[[str], Moment], last: Callable[[str], Moment]
) -> Q:
    """A single value is a range of itself; either end may be open, but not both."""
    start, dash, end = (part.strip() for part in text.partition("-"))
    if not dash:
        end = start
    if not start and not end:
        raise _KeyInvalid("a range has a beginning or an end.")
    found = Q()
    if start:
        found &= Q(**{f"{path}__gte": first(start)})
    if end:
        found &= Q(**{f"{path}__lte": last(end)})
    return found


def _read_date(text: str) -> dt.date:
    try:
        if not DATE.fullmatch(text):
            raise ValueError(text)
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError as error:
        raise _KeyInvalid("a day is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.") from error


def _first_moment(text: str) -> dt.time:
    return _read_time(text, rest="0", fraction="0")


def _last_moment(text: str) -> dt.time:
    return _read_time(text, rest="59", fraction="9")


def _read_time(text: str, *, rest: str, fraction: str) -> dt.time:
    """Read HH, HHMM or HHMMSS.F; a leap second is the one before it."""
    match = TIME.fullmatch(text)
    if match is None:
        raise _KeyInvalid("a time is written HHMMSS, a range HHMMSS-HHMMSS.")
    hour, minute, second, part = match.groups()
    if second == "60":
        second = "59"
    microsecond = int((part or "").ljust(6, fraction))
    try:
        return dt.time(int(hour), int(minute or rest), int(second or rest), microsecond)
    except ValueError as error:
        raise _KeyInvalid("there is no such time of day.") from error


_CONDITIONS: dict[Matching, Callable[[str, str], Q]] = {
    Matching.TEXT: _text,
    Matching.LIST: _list,
    Matching.NAME: _name,
    Matching.UID: _uid,
    Matching.DATE: _date,
    Matching.TIME: _time,
    Matching.NUMBER: _number,
    Matching.SEQUENCE: _sequence,
    Matching.NONE: _nothing,
}
