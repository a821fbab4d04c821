"""Attribute matching (PS3.4 C.2.2.2): from the text of a query key to a condition on rows."""

import datetime as dt
import re
from collections.abc import Callable
from enum import StrEnum

from django.db.models import Q

LONGEST_KEY = 4096
UID_SEPARATOR = re.compile(r"[,\\]")
UID = re.compile(r"[0-9.]{1,64}")
TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")


class Matching(StrEnum):
    """How an attribute is matched; the values are the words of the conformance statement."""

    TEXT = "exact, wildcards * and ?"
    LIST = "any of several, wildcards * and ?"
    NAME = "without regard to case, wildcards * and ?, fuzzy on demand"
    UID = "one UID or a list"
    DATE = "one day or a range"
    TIME = "one time or a range"
    NUMBER = "exact"
    NONE = "returned only"


class KeyInvalid(ValueError):
    """What is wrong with a query key, as a sentence."""


def condition(matching: Matching, path: str, text: str, *, is_fuzzy: bool = False) -> Q:
    """Return the condition that `text` puts on the field at `path`; raises KeyInvalid.

    An empty key and a lone "*" match everything.
    """
    if "\0" in text or len(text) > LONGEST_KEY:
        raise KeyInvalid("it is too long, or holds what no attribute can hold.")
    if text.strip() in ("", "*"):
        return Q()
    if matching == Matching.NAME:
        return _fuzzy_name(path, text) if is_fuzzy else _name(path, text)
    return _CONDITIONS[matching](path, text)


def _text(path: str, text: str, *, folds_case: bool = False) -> Q:
    lead = "i" if folds_case else ""
    if "*" not in text and "?" not in text:
        return Q(**{f"{path}__{lead}exact": text})
    body = text.rstrip("*")
    if "*" not in body and "?" not in body:
        return Q(**{f"{path}__{lead}startswith": body})
    return Q(**{f"{path}__{lead}regex": f"^{_as_regex(text)}$"})


def _list(path: str, text: str) -> Q:
    """A row of values, one of which has to match; `path` leads to one value of each."""
    found = Q()
    for word in re.split(r"[,\\]", text):
        found |= _text(path, word.strip())
    return found


def _name(path: str, text: str) -> Q:
    """Trailing empty components say nothing: "Muster^Erika^^" is "Muster^Erika"."""
    group = text.split("=")[0].rstrip("^ ")
    return _text(path, group or text, folds_case=True)


def _fuzzy_name(path: str, text: str) -> Q:
    """Every word of the key begins some word of the name, in whatever order."""
    found = Q()
    for word in re.split(r"[\s^=,*?]+", text):
        if word:
            found &= Q(**{f"{path}__iregex": rf"(^|[\s^=,.'-]){re.escape(word)}"})
    return found


def _uid(path: str, text: str) -> Q:
    uids = [word.strip() for word in UID_SEPARATOR.split(text) if word.strip()]
    if not all(UID.fullmatch(uid) for uid in uids):
        raise KeyInvalid("it is not a UID, or a list of UIDs with commas between them.")
    return Q(**{f"{path}__in": uids})


def _date(path: str, text: str) -> Q:
    return _range(path, text, first=_read_date, last=_read_date)


def _time(path: str, text: str) -> Q:
    """A time that leaves out minutes or seconds means all of the hour or minute."""
    return _range(path, text, first=_first_moment, last=_last_moment)


def _number(path: str, text: str) -> Q:
    try:
        number = int(text)
    except ValueError as error:
        raise KeyInvalid("it is not a whole number.") from error
    if abs(number) >= 2**31:
        return Q(pk__in=[])
    return Q(**{path: number})


def _nothing(path: str, text: str) -> Q:
    raise KeyInvalid("it is returned, but not matched.")


Moment = dt.date | dt.time


def _range(
    path: str, text: str, *, first: Callable[[str], Moment], last: Callable[[str], Moment]
) -> Q:
    start, dash, end = (part.strip() for part in text.partition("-"))
    if not dash:
        start = end = text.strip()
    found = Q()
    if start:
        found &= Q(**{f"{path}__gte": first(start)})
    if end:
        found &= Q(**{f"{path}__lte": last(end)})
    return found if start or end else Q()


def _read_date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise KeyInvalid("a day is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.") from error


def _first_moment(text: str) -> dt.time:
    return _read_time(text, rest="000000", fraction="000000")


def _last_moment(text: str) -> dt.time:
    return _read_time(text, rest="005959", fraction="999999")


def _read_time(text: str, *, rest: str, fraction: str) -> dt.time:
    match = TIME.fullmatch(text)
    if match is None:
        raise KeyInvalid("a time is written HHMMSS, a range HHMMSS-HHMMSS.")
    hour, minute, second, part = match.groups()
    digits = (part or "") + fraction[len(part or "") :]
    try:
        return dt.time(int(hour), int(minute or rest[2:4]), int(second or rest[4:]), int(digits))
    except ValueError as error:
        raise KeyInvalid("there is no such time of day.") from error


def _as_regex(text: str) -> str:
    words = {"*": ".*", "?": "."}
    return "".join(words.get(letter, re.escape(letter)) for letter in text)


_CONDITIONS: dict[Matching, Callable[[str, str], Q]] = {
    Matching.TEXT: _text,
    Matching.LIST: _list,
    Matching.UID: _uid,
    Matching.DATE: _date,
    Matching.TIME: _time,
    Matching.NUMBER: _number,
    Matching.NONE: _nothing,
}
