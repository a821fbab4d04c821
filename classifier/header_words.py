"""Words of headers and descriptions that name a part of the body."""

import re
from collections.abc import Sequence

OF_SEVERAL_PARTS = (
    "ABDOMENPELVIS",
    "CHESTABDOMEN",
    "CHESTABDPELVIS",
    "HEADNECK",
    "NECKCHEST",
    "NECKCHESTABDOMEN",
    "NECKCHESTABDPELV",
)
"""Body Part Examined of more parts than one, run together (PS3.16 Annex L)."""

_OWNERS_OF_HEADS = "femoral femur humeral humerus radial fibular metatarsal metacarpal pancreatic"
_HEAD = "".join(f"(?<!{owner} )" for owner in _OWNERS_OF_HEADS.split()) + r"head(?! of\b)"
"""A person's head: bones and the pancreas have one too."""
NOTHING = "(?!)"
_BEFORE, _AFTER = r"(?<![^\W\d_])", r"(?![^\W\d_])"
"""Only letters make a longer word, so `HEAD_NECK` and `HEAD1` are about a head."""


def compile_words(words: Sequence[str], exceptions: Sequence[str] = ()) -> re.Pattern[str]:
    """A pattern that finds any of `words` as a word of its own: "head" isn't in "forehead".

    A `*` at either end of a word stands for any letters. A part of the body is found where it is
    run together with others, too. What is one of `exceptions` is none of the words.
    """
    terms = "|".join(term for word in words for term in _terms_of(word)) or NOTHING
    others = "|".join(map(_term_of, exceptions))
    except_others = f"(?!(?:{others}){_AFTER})" if others else ""
    return re.compile(f"{_BEFORE}{except_others}(?:{terms}){_AFTER}", re.IGNORECASE)


def _terms_of(word: str) -> list[str]:
    own = _HEAD if word.upper() == "HEAD" else _term_of(word)
    return [own, *(one for one in OF_SEVERAL_PARTS if word.upper() in one)]


def _term_of(word: str) -> str:
    core = re.sub(r"[_\\ ]+", "[_ ]?", re.escape(word.strip("*")))
    before, after = (r"\w*" if has_star else "" for has_star in (word[0] == "*", word[-1] == "*"))
    return f"{before}{core}{after}"
