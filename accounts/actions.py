"""What the audit trail can tell: the actions that each app registers, with their sentences.

An app names its actions in the `Action` of its `choices.py`, writes a sentence for each in its
`wording.py`, and registers both in its `AppConfig.ready`. Whatever lists actions asks `registry`.
"""

import re
import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models

LONGEST_ACTION = 40
"""Letters of an action; the column holds no more."""

Sentence = str | Callable[[Mapping[str, Any]], str]
"""What an event says: a text with the names of words in braces, or a function of the words."""

_SHAPE = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")


def in_words(name: str) -> str:
    """Return what people read for a name in code: "Legal hold"."""
    return name.replace("_", " ").capitalize()


class AuditAction(models.TextChoices):
    """Something that happens; each app derives its own `Action` from this.

    The values are stable and part of the API: "study.viewed". The labels are titles.
    """


class ActionRegistry:
    """The actions of all apps that have registered theirs, by their values."""

    def __init__(self) -> None:
        self._enums: list[type[AuditAction]] = []
        self._actions: dict[str, AuditAction] = {}
        self._sentences: dict[str, Sentence] = {}
        self._reads: frozenset[AuditAction] = frozenset()
        self._refusals: frozenset[AuditAction] = frozenset()
        self._targets: dict[str, str] = {}

    def register(
        self,
        enum: type[AuditAction],
        *,
        sentences: Mapping[str, Sentence],
        reads: frozenset[AuditAction] = frozenset(),
        refusals: frozenset[AuditAction] = frozenset(),
        targets: Mapping[str, str] | None = None,
    ) -> None:
        """Take in the actions of one app; doing so again changes nothing.

        `reads` are those by which somebody looked at, searched or took away what is known,
        `refusals` those by which something was kept from happening; the others are changes.
        `targets` calls those kinds of targets by words whose names in code aren't words.
        Raises ImproperlyConfigured where an action is malformed, taken, or has no sentence.
        """
        if enum in self._enums:
            return
        faults = [
            *self._find_misfits(enum),
            *_find_bad_sentences(enum, sentences),
            *_find_bad_kinds(enum, reads, refusals),
        ]
        if faults:
            raise ImproperlyConfigured(f"{_name_of(enum)}: {'; '.join(faults)}")
        self._enums.append(enum)
        self._actions |= {action.value: action for action in enum}
        self._sentences |= sentences
        self._reads |= reads
        self._refusals |= refusals
        self._targets |= targets or {}

    def __contains__(self, value: object) -> bool:
        """Whether an app has registered an action of this value."""
        return value in self._actions

    def __getitem__(self, value: str) -> AuditAction:
        """Return the action of this value. Raises KeyError."""
        return self._actions[value]

    def choices(self) -> list[tuple[str, str]]:
        """Values and titles, sorted by value: the order in which apps start doesn't show."""
        return [(value, str(self._actions[value].label)) for value in sorted(self._actions)]

    def sentence_of(self, value: str) -> Sentence:
        """Return what an event of this action says. Raises KeyError."""
        return self._sentences[value]

    def name_target(self, kind: str) -> str:
        """Return what people call this kind of target: "DICOM node", "Study"."""
        return self._targets.get(kind, in_words(kind))

    @property
    def reads(self) -> frozenset[AuditAction]:
        """Those by which somebody looked at, searched or took away what is known."""
        return self._reads

    @property
    def refusals(self) -> frozenset[AuditAction]:
        """Those by which somebody or something was kept from coming in or going out."""
        return self._refusals

    def find_unregistered(self) -> list[str]:
        """Name the actions of installed apps that no app has registered."""
        enums = (enum for enum in AuditAction.__subclasses__() if enum not in self._enums)
        return [_name_of(enum) for enum in enums if apps.get_containing_app_config(enum.__module__)]

    def _find_misfits(self, enum: type[AuditAction]) -> Iterator[str]:
        for value in enum.values:
            if value in self._actions:
                yield f"{value} is an action of {_name_of(type(self._actions[value]))} already"
            if not _SHAPE.fullmatch(value):
                yield f"{value!r} isn't a noun, a full stop and a verb in small letters"
            if len(value) > LONGEST_ACTION:
                yield f"{value} has more than {LONGEST_ACTION} letters"


registry = ActionRegistry()
"""The one that apps register with."""


def _find_bad_sentences(
    enum: type[AuditAction], sentences: Mapping[str, Sentence]
) -> Iterator[str]:
    values = {str(value) for value in sentences}
    yield from (f"{value} has no sentence" for value in sorted(set(enum.values) - values))
    yield from (f"{value} isn't its action" for value in sorted(values - set(enum.values)))
    for value, sentence in sentences.items():
        if isinstance(sentence, str) and not _can_be_filled(sentence):
            yield f"the sentence of {value} can't be filled: {sentence!r}"


def _find_bad_kinds(
    enum: type[AuditAction], reads: frozenset[AuditAction], refusals: frozenset[AuditAction]
) -> Iterator[str]:
    foreign = (reads | refusals) - set(enum)
    yield from (f"{value} isn't its action" for value in sorted(foreign))
    yield from (f"{value} is a read and a refusal" for value in sorted(reads & refusals))


def _can_be_filled(sentence: str) -> bool:
    """Whether it says something, with plain names alone in its braces."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None]
    except ValueError:
        return False
    return bool(sentence.strip()) and all(name.isidentifier() for name in names)


def _name_of(enum: type[AuditAction]) -> str:
    return f"{enum.__module__}.{enum.__qualname__}"
