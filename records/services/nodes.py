"""DICOM nodes come, change and go; strangers that call are noted, within reason."""

from typing import Any

from django.db import IntegrityError, transaction

from accounts.audit import record_event
from accounts.models import Action, User
from accounts.services import note_refusal
from records.errors import NodeTitleTaken
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


@transaction.atomic
def add_node(*, actor: User | None, **values: Any) -> DicomNode:
    """Let a device or archive in; `values` are the fields in EDITABLE.

    Raises NodeTitleTaken, and ValidationError for values that aren't possible.
    """
    node = DicomNode(**values)
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

    Raises NodeTitleTaken, and ValidationError for values that aren't possible.
    """
    node = DicomNode.objects.select_for_update().get(pk=node.pk)
    before = _described(node)
    for name, value in values.items():
        setattr(node, name, value)
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
