"""Texts reduced to what a search compares, and to the terms by which a search is found again."""

import re
import unicodedata
from collections.abc import Iterable

KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
# Letters that Unicode doesn't decompose into a base letter and a mark.
STROKES = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i"}
STROKED = str.maketrans({**STROKES, "þ": "th", "æ": "ae", "œ": "oe"})
TATWEEL = "\u0640"
BETWEEN_WORDS = re.compile(r"[\W_]+")
WILDCARDS = str.maketrans("", "", "*?")
BETWEEN_VALUES = re.compile(r"[\\,;=]")
"""What stands between the values of a list, and between the ways of writing one name."""
UID = re.compile(r"[0-9.]+")


def fold(text: str) -> str:
    """Reduce a text to what a search compares: no accents, case, width, or kind of kana."""
    lowered = unicodedata.normalize("NFKD", text).casefold().translate(STROKED)
    bare = "".join(
        char
        for char in unicodedata.normalize("NFKD", lowered)
        if not unicodedata.combining(char) and char != TATWEEL
    )
    return unicodedata.normalize("NFC", bare.translate(KATAKANA_TO_HIRAGANA))


def fold_words(text: str) -> list[str]:
    """The words of a text, folded."""
    return BETWEEN_WORDS.sub(" ", fold(text)).split()


def search_terms(texts: Iterable[str]) -> list[str]:
    """What was searched for, as terms to be hashed: each whole text, each value, each word.

    Case, accents, wildcards and what stands between words don't count. A number with dots is one
    term: its parts say nothing.
    """
    found: dict[str, None] = {}
    for text in texts:
        for value in (text, *BETWEEN_VALUES.split(text)):
            found |= dict.fromkeys(_terms_of(value.translate(WILDCARDS)))
    return list(found)


def sought_terms(text: str) -> list[str]:
    """The terms that a search has in common with one for `text`: all of them, or it was another."""
    bare = text.translate(WILDCARDS).strip()
    if not bare or UID.fullmatch(bare):
        return [bare] if bare else []
    return fold_words(bare) or [fold(bare)]


def _terms_of(value: str) -> Iterable[str]:
    bare = value.strip()
    if not bare:
        return
    if UID.fullmatch(bare):
        yield bare
        return
    words = fold_words(bare)
    yield " ".join(words) or fold(bare)
    yield from words
