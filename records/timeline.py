"""What happened to a study, from the audit trail, in lines that a person reads."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from accounts.actions import AuditAction
from accounts.audit import ACCESS_WINDOW
from accounts.models import AuditEvent
from records.choices import Action
from records.models import Study

EVENTS_READ = 300
LINES_SHOWN = 50

_looks: dict[str, str] = {Action.STUDY_VIEWED: "the study"}
_left_out: set[str] = {
    # One per image or per look at one: they would push out everything else.
    Action.FILE_STORED,
    Action.FILE_DUPLICATE,
    Action.IMAGE_VIEWED,
    # The other department's half of a move.
    Action.STUDY_MOVED_AWAY,
}


@dataclass
class Line:
    """One thing that happened; of looks in quick succession, the first and all that was seen."""

    at: dt.datetime
    sentence: str
    last_at: dt.datetime
    seen: tuple[str, ...] = ()


def add_look(action: AuditAction, words: str) -> None:
    """Have looks of this action joined with those at the study: a page tells of all it shows."""
    _looks[action] = words


def leave_out(action: AuditAction) -> None:
    """Keep events of this action out of the timeline."""
    _left_out.add(action)


def timeline_of(study: Study) -> list[Line]:
    """The latest lines about a study, newest first."""
    events = AuditEvent.objects.about_study(study.pk).exclude(action__in=_left_out)
    newest = list(events.order_by("-id")[:EVENTS_READ])
    return fold_looks(reversed(newest))[::-1][:LINES_SHOWN]


def fold_looks(events: Iterable[AuditEvent]) -> list[Line]:
    """One line for each event, oldest first; one for what a person looked at within minutes.

    Whoever decides looks on at the page that the decision changed: that is no look of its own.
    """
    lines: list[Line] = []
    looking: dict[tuple[str, ...], Line] = {}
    for event in events:
        who = (str(event.actor_id), str(event.token_id), event.actor_name, event.responsible_name)
        seen = _looks.get(event.action)
        line = looking.get(who) if seen else None
        if seen and line and event.occurred_at - line.last_at <= ACCESS_WINDOW:
            line.last_at = event.occurred_at
            line.seen = tuple(dict.fromkeys((*line.seen, seen)))
            line.sentence = _look_in_words(event, line.seen)
            continue
        line = Line(event.occurred_at, event.sentence, event.occurred_at)
        if seen:
            line.seen = (seen,)
            line.sentence = _look_in_words(event, line.seen)
            looking[who] = line
        lines.append(line)
    return lines


def _look_in_words(event: AuditEvent, seen: tuple[str, ...]) -> str:
    ordered = [words for words in _looks.values() if words in seen]
    return f"{event.actor_in_words} looked at {' and '.join(ordered)}"
