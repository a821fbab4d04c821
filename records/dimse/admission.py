"""Who is let in: registered AE titles from their own addresses, calling us by our name."""

import logging
import re
from collections.abc import Iterable

from pynetdicom import build_context
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is loaded
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from records.dicom.storage_classes import is_stored_class
from records.dimse.session import Session
from records.metrics import count_refused_association
from records.models import DicomNode
from records.services import note_refused_association

logger = logging.getLogger(__name__)

REJECTED_FOR_GOOD, REJECTED_FOR_NOW = 0x01, 0x02
BY_USER, BY_PRESENTATION = 0x01, 0x03
CALLING_TITLE_NOT_RECOGNISED, CALLED_TITLE_NOT_RECOGNISED = 0x03, 0x07
TEMPORARY_CONGESTION = 0x01
UNPRINTABLE = re.compile(r"[^ -~]")


def admit(event: Event, session: Session) -> None:
    """Let an association begin, or reject it (PS3.8 9.3.4) and note that."""
    association = event.assoc
    request = association.requestor.primitive
    if not isinstance(request, A_ASSOCIATE):  # it went, or said something else first
        association.is_aborted = True
        return
    calling = UNPRINTABLE.sub("?", request.calling_ae_title.strip())
    called = UNPRINTABLE.sub("?", request.called_ae_title.strip())
    try:
        with session.acting():
            node, reason = _recognise(session.address, calling)
            if called != association.acceptor.ae_title.strip():
                reason = f"it called {called}, which isn't our AE title"
            if reason:
                note_refused_association(calling=calling, called=called, reason=reason)
    except Exception:
        logger.exception("Association %s could not be checked", session.id)
        _reject(event, REJECTED_FOR_NOW, BY_PRESENTATION, TEMPORARY_CONGESTION)
        return
    if node is not None and not reason:
        session.node = node
        asked_for = request.presentation_context_definition_list
        association.acceptor.supported_contexts = _offered(node, asked_for)
        return
    logger.warning("Association from %s (%s) refused: %s", session.address, calling, reason)
    diagnostic = CALLING_TITLE_NOT_RECOGNISED if node is None else CALLED_TITLE_NOT_RECOGNISED
    _reject(event, REJECTED_FOR_GOOD, BY_USER, diagnostic)


def _recognise(address: str, calling: str) -> tuple[DicomNode | None, str]:
    node = DicomNode.objects.select_related("department").filter(ae_title=calling).first()
    if node is None:
        return None, "the calling AE title isn't registered"
    if not node.calls_from(address):
        return None, "the AE title is registered for another address"
    return node, ""


def _offered(
    node: DicomNode, asked_for: Iterable[PresentationContext]
) -> list[PresentationContext]:
    """What this node may ask for, and nothing that would be refused when it does.

    Objects are taken in whatever transfer syntax they come, so each class of them that is asked
    for is offered in those that are asked for.
    """
    services = [Verification]
    if node.may_query:
        services.append(StudyRootQueryRetrieveInformationModelFind)
    if node.may_retrieve:
        services.append(StudyRootQueryRetrieveInformationModelGet)
        services.append(StudyRootQueryRetrieveInformationModelMove)
    offered = [build_context(service) for service in services]
    if node.can_store or node.may_retrieve:
        offered += _storage(asked_for)
    return offered


def _storage(asked_for: Iterable[PresentationContext]) -> list[PresentationContext]:
    syntaxes: dict[str, dict[str, None]] = {}
    for context in asked_for:
        uid = str(context.abstract_syntax or "")
        if is_stored_class(uid):
            syntaxes.setdefault(uid, {}).update(dict.fromkeys(map(str, context.transfer_syntax)))
    contexts = []
    for uid, wanted in syntaxes.items():
        context = build_context(uid, list(wanted))
        # The roles of C-GET, for whoever proposes them: we send and take.
        context.scu_role = context.scp_role = True
        contexts.append(context)
    return contexts


def _reject(event: Event, result: int, source: int, diagnostic: int) -> None:
    event.assoc.acse.send_reject(result, source, diagnostic)
    count_refused_association()
    # Until it has been sent: the connection is closed as soon as we return.
    event.assoc.kill()
