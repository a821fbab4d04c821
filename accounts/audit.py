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

from accounts.models import Action, AuditEvent, Outcome, User
from accounts.models.audit import ActorKind

ACCESS_WINDOW = dt.timedelta(minutes=5)
SYSTEM_NAME = "system"
ANONYMOUS_NAME = "anonymous"
TRAIL = "audit-trail"
"""What the trail's own events call it: it has no row to point at."""
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


_context: ContextVar[RequestContext] = ContextVar("audit_request_context")


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


def session_id_of(session_key: str) -> str:
    """Return what the trail calls a session; it opens nothing."""
    digest = salted_hmac("accounts.audit.session", session_key, algorithm="sha256")
    return digest.hexdigest()[:32]


def record_event(
    *,
    action: Action,
    actor: User | None,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    patient_id: UUID | None = None,
    department_id: UUID | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    details: dict[str, Any] | None = None,
    sealed: str = "",
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
    )
    AuditEvent.objects.append([event])
    return event


def record_events(events: Iterable[AuditEvent]) -> None:
    """Append events that were prepared, inside the caller's transaction."""
    AuditEvent.objects.append(events)


def prepare_event(
    *,
    action: Action,
    actor: User | None,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    patient_id: UUID | None = None,
    department_id: UUID | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    details: dict[str, Any] | None = None,
    sealed: str = "",
) -> AuditEvent:
    """Return an event that isn't written yet, for those who append many at once.

    `actor` is None for what the system does by itself, and for what another system does.
    `study` (anything with `id`, `patient_id` and `department_id`) fills the three ids that
    the trail is searched by. `details` must hold no patient's name; what must, goes into
    `sealed` (accounts.sealing).
    """
    context = current_context()
    kind = _actor_kind(actor, action, context)
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor_kind=kind,
        actor_id=actor.pk if actor else None,
        actor_name=_actor_name(actor, kind, context),
        token_id=context.token_id,
        session_id=context.session_id,
        responsible_id=context.responsible.pk if context.responsible else None,
        responsible_name=str(context.responsible or ""),
        source_address=context.source_address,
        user_agent=context.user_agent,
        request_id=context.request_id,
        target_type=(target._meta.model_name or "") if target is not None else "",
        target_id=str(target.pk) if target is not None else target_id[:200],
        study_id=study.id if study is not None else None,
        patient_id=study.patient_id if study is not None else patient_id,
        department_id=study.department_id if study is not None else department_id,
        details=details or {},
        sealed=sealed,
    )


def record_access(
    *,
    action: Action,
    actor: User,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    patient_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> AuditEvent | None:
    """Record that `actor` saw `target`: once per person, target and kind of view in five minutes.

    `target_id` names what has no row of its own, a list for instance.
    """
    seen = AuditEvent.objects.recent_access(
        actor_id=actor.pk,
        action=action,
        target_id=str(target.pk) if target is not None else target_id,
        window=ACCESS_WINDOW,
    )
    if seen.exists():
        return None
    return record_event(
        action=action,
        actor=actor,
        target=target,
        target_id=target_id,
        study=study,
        patient_id=patient_id,
        details=details,
    )


def record_trail_viewed(*, actor: User, filters: dict[str, str]) -> None:
    """Record that `actor` read the trail itself, with the filters of the first look."""
    record_access(
        action=Action.AUDIT_VIEWED, actor=actor, target_id=TRAIL, details={"filters": filters}
    )


def _actor_kind(actor: User | None, action: Action, context: RequestContext) -> ActorKind:
    if actor is None:
        return ActorKind.ANONYMOUS if action in ANONYMOUS_ACTIONS else ActorKind.SYSTEM
    return ActorKind.TOKEN if context.token_id else ActorKind.USER


def _actor_name(actor: User | None, kind: ActorKind, context: RequestContext) -> str:
    if actor is not None:
        return str(actor)
    if kind == ActorKind.ANONYMOUS:
        return ANONYMOUS_NAME
    return context.peer or SYSTEM_NAME
