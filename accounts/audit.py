"""The only writer of the audit trail."""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.crypto import salted_hmac

from accounts.actions import AuditAction
from accounts.choices import Action, ActorKind, Outcome
from accounts.hashing import keyed_digest
from accounts.models import AuditEvent, User

ACCESS_WINDOW = dt.timedelta(minutes=5)
SYSTEM_NAME = "system"
ANONYMOUS_NAME = "anonymous"
TRAIL = "audit-trail"
"""What the trail's own events call it: it has no row to point at."""
MOST_TERMS = 2000
ANONYMOUS_ACTIONS = frozenset(
    {
        Action.SIGN_IN_FAILED,
        Action.PASSWORD_RESET_REQUESTED,
        Action.ACCESS_REFUSED,
        Action.OBJECT_NOT_FOUND,
        Action.TOKEN_REFUSED,
        Action.FORM_REFUSED,
        Action.SESSION_UNKNOWN,
    }
)
"""What people do before we know who they are: without an actor these are not the system's."""


@dataclass(frozen=True)
class RequestContext:
    """Where a request came from; empty for work that nobody asked for.

    `peer` names the system that asks where no person does, a DICOM node for instance.
    `responsible` is the person behind the actor, where that is somebody else.
    """

    source_address: str | None = None
    request_id: str = ""
    user_agent: str = ""
    token_id: UUID | None = None
    session_id: str = ""
    peer: str = ""
    responsible: User | None = None
    view: str = ""


_context: ContextVar[RequestContext] = ContextVar("audit_request_context")
_noted: ContextVar[set[str] | None] = ContextVar("audit_noted", default=None)


def current_context() -> RequestContext:
    """Return the context of the request in hand."""
    return _context.get(RequestContext())


@contextmanager
def bind_request_context(
    *,
    source_address: str | None,
    request_id: str,
    user_agent: str = "",
    peer: str = "",
    responsible: User | None = None,
) -> Iterator[None]:
    """Stamp every event recorded inside with where the request came from, and who asks."""
    token = _context.set(
        RequestContext(
            source_address, request_id, user_agent[:200], peer=peer, responsible=responsible
        )
    )
    try:
        yield
    finally:
        _context.reset(token)


def bind_token(token_id: UUID, *, responsible: User | None = None) -> None:
    """Note that the request in hand was opened by an API token, and who stood behind that."""
    _context.set(replace(current_context(), token_id=token_id, responsible=responsible))


@contextmanager
def standing_behind(responsible: User | None) -> Iterator[None]:
    """Stamp the events inside with who stands behind the actor, where that is somebody else."""
    token = _context.set(replace(current_context(), responsible=responsible))
    try:
        yield
    finally:
        _context.reset(token)


def people_behind(actor: User) -> set[UUID]:
    """The ids of all who act here: the actor, and whoever stands behind the request in hand."""
    responsible = current_context().responsible
    return {actor.pk} | ({responsible.pk} if responsible else set())


def bind_session(session_key: str | None, *, responsible: User | None = None) -> None:
    """Note the session of the request in hand, by a hash of its key that opens nothing.

    `responsible` is who stands behind this session, where that isn't its owner.
    """
    session_id = session_id_of(session_key) if session_key else ""
    context = replace(current_context(), session_id=session_id, responsible=responsible)
    _context.set(context)


def bind_view(view: str) -> None:
    """Note which view answers the request in hand, by the name of its address."""
    _context.set(replace(current_context(), view=view[:80]))


@contextmanager
def noting() -> Iterator[set[str]]:
    """Gather which actions are told inside; one that a recent event tells already counts too."""
    gathered: set[str] = set()
    token = _noted.set(gathered)
    try:
        yield gathered
    finally:
        _noted.reset(token)


def note(action: str) -> None:
    """Say that an action is told, for whoever gathers."""
    gathered = _noted.get()
    if gathered is not None:
        gathered.add(action)


def session_id_of(session_key: str) -> str:
    """Return what the trail calls a session; it opens nothing."""
    digest = salted_hmac("accounts.audit.session", session_key, algorithm="sha256")
    return digest.hexdigest()[:32]


def record_event(
    *,
    action: AuditAction,
    actor: User | None,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    patient_id: UUID | None = None,
    department_id: UUID | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    details: dict[str, Any] | None = None,
    sealed: str = "",
    searched: Iterable[str] = (),
) -> AuditEvent:
    """Append one event, inside the caller's transaction; the arguments are `prepare_event`'s."""
    event = prepare_event(
        action=action,
        actor=actor,
        target=target,
        target_id=target_id,
        study=study,
        patient_id=patient_id,
        department_id=department_id,
        outcome=outcome,
        details=details,
        sealed=sealed,
        searched=searched,
    )
    record_events([event])
    return event


def record_events(events: Iterable[AuditEvent]) -> None:
    """Append events that were prepared, inside the caller's transaction."""
    events = list(events)
    AuditEvent.objects.append(events)
    for event in events:
        note(event.action)


def prepare_event(
    *,
    action: AuditAction,
    actor: User | None,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    patient_id: UUID | None = None,
    department_id: UUID | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    details: dict[str, Any] | None = None,
    sealed: str = "",
    searched: Iterable[str] = (),
) -> AuditEvent:
    """Return an event that isn't written yet, for those who append many at once.

    `actor` is None for what the system does by itself, and for what another system does.
    `study` (anything with `id`, `patient_id` and `department_id`) fills the three ids that
    the trail is searched by. `details` must hold no patient's name; what must, goes into
    `sealed` (accounts.sealing). `searched` are the terms of a search (`accounts.texts`): their
    keyed hashes alone are kept.
    """
    context = current_context()
    kind = _actor_kind(actor, action, context)
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor_kind=kind,
        actor_id=actor.pk if actor else None,
        actor_name=_actor_name(actor, kind, context),
        **_columns_of(context),
        target_type=(target._meta.model_name or "") if target is not None else "",
        target_id=str(target.pk) if target is not None else target_id[:200],
        study_id=study.id if study is not None else None,
        patient_id=study.patient_id if study is not None else patient_id,
        department_id=study.department_id if study is not None else department_id,
        searched=hashes_of(searched),
        details=details or {},
        sealed=sealed,
    )


def _columns_of(context: RequestContext) -> dict[str, Any]:
    """What an event keeps of the request in hand."""
    return {
        "token_id": context.token_id,
        "session_id": context.session_id,
        "responsible_id": context.responsible.pk if context.responsible else None,
        "responsible_name": str(context.responsible or ""),
        "source_address": context.source_address,
        "user_agent": context.user_agent,
        "request_id": context.request_id,
        "view": context.view,
    }


def record_access(
    *,
    action: AuditAction,
    actor: User,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    patient_id: UUID | None = None,
    department_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Record that `actor` looked at something, unless it was told within five minutes.

    The same look is one by the same person, session or token, from the same address, through the
    same view, at the same target of the same study. Not for what leaves, for searches and lists,
    nor for the trail: those are told each time.
    """
    seen = AuditEvent.objects.recent_access(
        prepare_event(action=action, actor=actor, target=target, target_id=target_id, study=study),
        window=ACCESS_WINDOW,
    )
    if seen.exists():
        note(action)
        return
    record_event(
        action=action,
        actor=actor,
        target=target,
        target_id=target_id,
        study=study,
        patient_id=patient_id,
        department_id=department_id,
        details=details,
    )


def record_accesses(
    *, action: AuditAction, actor: User, target: models.Model, studies: Iterable[Any]
) -> None:
    """Record that `actor` looked at something that is about several studies, an event for each.

    As `record_access`; about none, it is one event.
    """
    studies = list(studies)
    if not studies:
        department_id = getattr(target, "department_id", None)
        record_access(action=action, actor=actor, target=target, department_id=department_id)
        return
    events = [
        prepare_event(action=action, actor=actor, target=target, study=study) for study in studies
    ]
    recent = AuditEvent.objects.recent_access(events[0], window=ACCESS_WINDOW, is_of_any_study=True)
    told = set(recent.values_list("study_id", flat=True))
    record_events(event for event in events if event.study_id not in told)
    note(action)


def record_trail_viewed(
    *, actor: User, filters: dict[str, str], count: int, searched: Iterable[str] = ()
) -> None:
    """Record that `actor` read the trail itself: how many events, found by what."""
    record_event(
        action=Action.AUDIT_VIEWED,
        actor=actor,
        target_id=TRAIL,
        details={"filters": filters, "count": count},
        searched=searched,
    )


def hashes_of(terms: Iterable[str]) -> list[str]:
    """The keyed hashes of the terms of a search, each once and not without end."""
    chosen = list(dict.fromkeys(terms))[:MOST_TERMS]
    return [keyed_digest(term, purpose="audit.searched") for term in chosen]


def _actor_kind(actor: User | None, action: AuditAction, context: RequestContext) -> ActorKind:
    if actor is None:
        return ActorKind.ANONYMOUS if action in ANONYMOUS_ACTIONS else ActorKind.SYSTEM
    return ActorKind.TOKEN if context.token_id else ActorKind.USER


def _actor_name(actor: User | None, kind: ActorKind, context: RequestContext) -> str:
    if actor is not None:
        return str(actor)
    if kind == ActorKind.ANONYMOUS:
        return ANONYMOUS_NAME
    return context.peer or SYSTEM_NAME
