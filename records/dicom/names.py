"""Person names as DICOM writes them (PS3.5 6.2.1): three groups, compared and searched."""

import unicodedata
from dataclasses import dataclass
from typing import Self

from accounts.texts import STROKES, fold, fold_words

__all__ = [
    "GROUP_LENGTH",
    "MARKS",
    "REPLACEMENT",
    "STROKES",
    "PersonName",
    "display_name",
    "fold",
    "fold_words",
    "plain",
]

GROUP_LENGTH = 324
REPLACEMENT = "\ufffd"
# Combining diacritical marks, the first and the last.
MARKS = ("\u0300", "\u036f")


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name in up to three ways of writing, each as Family^Given^Middle^Prefix^Suffix."""

    alphabetic: str = ""
    ideographic: str = ""
    phonetic: str = ""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Take a value of VR PN apart at its equals signs."""
        groups = [group.strip(" ^")[:GROUP_LENGTH].strip(" ^") for group in text.split("=")]
        return cls(*groups[:3])

    def __str__(self) -> str:
        """Write the value as DICOM does."""
        return "=".join((self.alphabetic, self.ideographic, self.phonetic)).rstrip("=")

    def __bool__(self) -> bool:
        """Tell whether the name says anything."""
        return any((self.alphabetic, self.ideographic, self.phonetic))

    @property
    def shown(self) -> str:
        """As people write it, "Family, Given Middle", in the first way there is."""
        groups = map(display_name, (self.alphabetic, self.ideographic, self.phonetic))
        return next(filter(None, groups), "")

    def differs_from(self, other: "PersonName") -> bool:
        """Tell whether two names can't be one person's; what either leaves out doesn't differ.

        The first way of writing that both use decides. Ideographs come first: many of them sound
        alike. Accents, case and width don't count, nor does what couldn't be decoded. Where one
        writer didn't take the name apart, the same words are the same name: "Doe Jane".
        """
        for way in ("ideographic", "alphabetic", "phonetic"):
            if _are_same_words(getattr(self, way), getattr(other, way)):
                return False
            pairs = list(zip(_parts(getattr(self, way)), _parts(getattr(other, way)), strict=True))
            stated = [(one, another) for one, another in pairs if one and another]
            if stated:
                return any(one != another for one, another in stated)
        return False


def display_name(group: str) -> str:
    """Write one component group as people do: "Family, Given Middle"."""
    family, _, rest = group.partition("^")
    given = " ".join(part for part in rest.split("^")[:2] if part)
    return ", ".join(part for part in (family.strip(), given.strip()) if part)


def plain(text: str) -> str:
    """A text without case and accents, letter for letter: wildcards stand for as many of them."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not MARKS[0] <= char <= MARKS[1])
    lowered = unicodedata.normalize("NFC", bare).lower()
    return lowered.translate(str.maketrans("".join(STROKES), "".join(STROKES.values())))


def _parts(group: str) -> tuple[str, str]:
    family, _, rest = group.partition("^")
    given = rest.partition("^")[0]
    return _comparable(family), _comparable(given)


def _are_same_words(one: str, other: str) -> bool:
    """Whether a group that is one piece has the words of the other, in any order."""
    if "^" in one and "^" in other:
        return False
    words, others = (sorted(_comparable(name.replace("^", " ")).split()) for name in (one, other))
    return bool(words) and words == others


def _comparable(part: str) -> str:
    return "" if REPLACEMENT in part else " ".join(fold(part).split())
