"""DICOM nodes come, change and go; a department confirms what takes its images away."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.audit import SYSTEM_NAME, current_context, people_behind, record_event
from accounts.errors import NotYourDepartment
from accounts.models import User
from accounts.roles import Verb
from accounts.services import note_refusal
from records.choices import Action
from records.errors import (
    NodeChangedMeanwhile,
    NodeNotWaiting,
    NodeOwnChange,
    NodeTitleTaken,
)
from records.models import DicomNode

EDITABLE = (
    "ae_title",
    "description",
    "department",
    "addresses",
    "can_store",
    "can_query",
    "can_retrieve",
    "host",
    "port",
    "uses_tls",
)
DESTINATION = ("host", "port", "uses_tls")
"""What says where images are sent to, and how."""


@transaction.atomic
def add_node(*, actor: User | None, **values: Any) -> DicomNode:
    """Let a device or archive in; `values` are the fields in EDITABLE.

    It may only store until a person of the department has confirmed the rest; the operator's
    (without an actor) is in force at once. Raises NodeTitleTaken, and ValidationError for values
    that aren't possible.
    """
    node = DicomNode(**values)
    if node.takes_images_away:
        _await_confirmation(node, actor=actor)
    _save(node)
    record_event(
        action=Action.NODE_CREATED,
        actor=actor,
        target=node,
        department_id=node.department_id,
        details=_described(node),
    )
    return node


@transaction.atomic
def update_node(*, actor: User | None, node: DicomNode, **values: Any) -> DicomNode:
    """Change a node from the next association on; `values` are fields in EDITABLE.

    Where it takes more away than was confirmed, or to somewhere else, it waits again. Raises
    NodeTitleTaken, and ValidationError for values that aren't possible.
    """
    node = DicomNode.objects.select_for_update().get(pk=node.pk)
    before = _described(node)
    for name, value in values.items():
        setattr(node, name, value)
    node.revision += 1
    if not node.takes_images_away:
        node.waiting_since = None
    elif _takes_more(before, _described(node)):
        _await_confirmation(node, actor=actor)
    _save(node)
    after = _described(node)
    changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    record_event(
        action=Action.NODE_UPDATED,
        actor=actor,
        target=node,
        department_id=node.department_id,
        details={"ae_title": node.ae_title, "changed": changed},
    )
    return node


@transaction.atomic
def confirm_node(*, actor: User, node: DicomNode, revision: int | None) -> DicomNode:
    """Let a node take images away, as the actor has read it: `revision` is what they saw.

    Raises NotYourDepartment, NodeNotWaiting, NodeOwnChange, NodeChangedMeanwhile.
    """
    node = _take_waiting(actor=actor, node=node)
    changers = {node.changed_by_id, node.changed_through_id}
    if people_behind(actor) & changers:
        raise NodeOwnChange(ae_title=node.ae_title)
    if node.revision != revision:
        raise NodeChangedMeanwhile(ae_title=node.ae_title)
    node.waiting_since, node.confirmed_by, node.confirmed_at = None, actor, timezone.now()
    node.save(update_fields=["waiting_since", "confirmed_by", "confirmed_at"])
    record_event(
        action=Action.NODE_CONFIRMED,
        actor=actor,
        target=node,
        department_id=node.department_id,
        details=_described(node) | {"changed_by": str(node.changed_by or SYSTEM_NAME)},
    )
    return node


@transaction.atomic
def decline_node(*, actor: User, node: DicomNode) -> DicomNode:
    """Let a node only store, whatever an administrator wanted it to take away.

    Raises NotYourDepartment, NodeNotWaiting.
    """
    node = _take_waiting(actor=actor, node=node)
    details = _described(node)
    node.can_query = node.can_retrieve = node.uses_tls = False
    node.host, node.port, node.waiting_since = "", None, None
    node.revision += 1
    node.save()
    record_event(
        action=Action.NODE_DECLINED,
        actor=actor,
        target=node,
        department_id=node.department_id,
        details=details,
    )
    return node


@transaction.atomic
def remove_node(*, actor: User | None, node: DicomNode) -> None:
    """Let a node in no more. What it has sent stays."""
    record_event(
        action=Action.NODE_REMOVED,
        actor=actor,
        target=node,
        department_id=node.department_id,
        details=_described(node),
    )
    node.delete()


def note_refused_association(*, calling: str, called: str, reason: str) -> bool:
    """Record or count that a caller was turned away; return whether it has its own event.

    Each AE title that an address tries is told apart, so that trying them out shows as that.
    """
    return note_refusal(
        actor=None,
        kind=Action.ASSOCIATION_REFUSED,
        what=f"{calling} → {called}",
        details={"reason": reason, "calling": calling, "called": called},
    )


def _take_waiting(*, actor: User, node: DicomNode) -> DicomNode:
    """Return a node that waits, as it is now and locked, if `actor` decides for its department."""
    rows = DicomNode.objects.select_for_update(of=("self",)).with_listing()
    node = rows.get(pk=node.pk)
    if not actor.has_verb_in(Verb.NODE_CONFIRM, node.department_id):
        raise NotYourDepartment
    if not node.is_waiting:
        raise NodeNotWaiting(ae_title=node.ae_title)
    return node


def _await_confirmation(node: DicomNode, *, actor: User | None) -> None:
    """Have a node only store from now on. Nobody is asked about the operator's own."""
    node.changed_by, node.changed_through = actor, current_context().responsible
    node.confirmed_by = node.confirmed_at = None
    node.waiting_since = timezone.now() if actor is not None else None


def _takes_more(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a node takes images away that it didn't, or from or to another place."""
    given = any(after[right] and not before[right] for right in ("can_query", "can_retrieve"))
    other = any(after[name] != before[name] for name in ("ae_title", "department"))
    elsewhere = not set(after["addresses"]) <= set(before["addresses"])
    sent = bool(after["host"]) and any(after[name] != before[name] for name in DESTINATION)
    return given or other or elsewhere or sent


def _save(node: DicomNode) -> None:
    node.full_clean(validate_unique=False)
    taken = DicomNode.objects.filter(ae_title=node.ae_title).exclude(pk=node.pk)
    if taken.exists():
        raise NodeTitleTaken(ae_title=node.ae_title)
    try:
        with transaction.atomic():
            node.save()
    except IntegrityError as error:  # somebody else took the title in this very moment
        raise NodeTitleTaken(ae_title=node.ae_title) from error


def _described(node: DicomNode) -> dict[str, Any]:
    values = {name: getattr(node, name) for name in EDITABLE if name != "department"}
    return values | {"department": str(node.department_id)}
