"""Which requests are served on an association, and what all others are answered.

pynetdicom leaves a request without its data set, or with another gap, unanswered: its sender
would wait until its own time is up. One that doesn't fit its context would end the association.
"""

import logging
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is loaded
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from records.dimse.incoming import excuse_silence
from records.failure_reasons import (
    CANNOT_UNDERSTAND,
    CLASS_NOT_SUPPORTED,
    UNRECOGNISED_OPERATION,
)

logger = logging.getLogger(__name__)

SERVICES: dict[type, str] = {
    C_ECHO: Verification,
    C_FIND: StudyRootQueryRetrieveInformationModelFind,
    C_GET: StudyRootQueryRetrieveInformationModelGet,
    C_MOVE: StudyRootQueryRetrieveInformationModelMove,
}


def bind_service(association: Association) -> None:
    """Have every request on an association answered, by its service or with a failure."""
    serve_served = association._serve_request

    def serve(message: Any, context_id: int) -> None:
        context = association._accepted_cx.get(context_id)
        if context is None or message.MessageIDBeingRespondedTo is not None:
            serve_served(message, context_id)
            return
        status = _failure_of(message, str(context.abstract_syntax))
        if status is not None:
            logger.warning("%s refused with 0x%04X", type(message).__name__, status)
            _refuse(association, message, context_id, status)
        elif isinstance(message, C_STORE):
            _store(association, message, context_id)
        else:
            serve_served(message, context_id)

    # An attribute, because pynetdicom makes the association itself.
    setattr(association, "_serve_request", serve)  # noqa: B010 - a method to the type checker


def _failure_of(message: Any, abstract_syntax: str) -> int | None:
    """Why a request isn't served (PS3.7 Annex C, PS3.4 B.2.3 and C.4), None where it is."""
    if not isinstance(message, C_STORE) and type(message) not in SERVICES:
        return UNRECOGNISED_OPERATION
    is_of_service = abstract_syntax in SERVICES.values()
    if isinstance(message, C_STORE):
        if is_of_service:
            return CLASS_NOT_SUPPORTED
    elif abstract_syntax != SERVICES[type(message)] or message.AffectedSOPClassUID not in (
        abstract_syntax,
        None,
    ):
        return CLASS_NOT_SUPPORTED
    return None if message.is_valid_request else CANNOT_UNDERSTAND


def _refuse(association: Association, message: Any, context_id: int, status: int) -> None:
    """Answer a request with a failure; the association goes on."""
    if message.MessageID is None:
        association.abort()
        return
    answer = type(message)()
    answer.MessageIDBeingRespondedTo = message.MessageID
    for name in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"):
        if getattr(message, name, None) is not None:
            setattr(answer, name, getattr(message, name))
    answer.Status = status
    if getattr(message, "_dataset_file", None) is not None:
        message._dataset_file.close()
    association.dimse.send_msg(answer, context_id)
    excuse_silence(association)


def _store(association: Association, message: C_STORE, context_id: int) -> None:
    """Take an object of whatever class; pynetdicom would only know the standard's."""
    association._is_paused = True
    try:
        StorageServiceClass(association).SCP(message, association._accepted_cx[context_id])
    except Exception:
        logger.exception("An object could not be answered")
        association.abort()
    finally:
        association._is_paused = False
