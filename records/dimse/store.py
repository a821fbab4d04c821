"""C-STORE: an object that is sent to us goes the way that every file goes."""

import logging
from typing import Any

from django.conf import settings
from pydicom import Dataset
from pynetdicom.events import Event

from accounts.errors import DatabaseUnavailable, KnownError, new_reference
from accounts.outages import is_database_outage
from records.dimse import statuses
from records.dimse.incoming import IncomingObject, excuse_silence
from records.dimse.session import Session
from records.errors import IntakeFailed
from records.failure_reasons import (
    CANNOT_UNDERSTAND,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
)
from records.models import SubmissionFile

logger = logging.getLogger(__name__)


def store(event: Event, session: Session) -> Dataset:
    """Take an object in, and return the status that its sender is told.

    What is our own fault is one of the class 0xA7xx, after which a sender tries again.
    """
    if session.node is None or not session.node.can_store:
        return statuses.as_status(NOT_AUTHORISED, "this node may not store")
    if session.objects >= settings.DICOM_ASSOCIATION_OBJECTS:
        return statuses.as_status(OUT_OF_RESOURCES, "too many objects: associate anew")
    request: Any = event.request
    incoming = request._dataset_file
    if not isinstance(incoming, IncomingObject):
        return statuses.as_status(CANNOT_UNDERSTAND, "no data set")
    try:
        with session.acting():
            incoming.seek(0)
            uid = str(request.AffectedSOPInstanceUID)
            verdict = session.receive(name=f"{uid}.dcm", stream=incoming)
            return _confirm(request, verdict)
    except IntakeFailed as failure:
        return statuses.as_status(OUT_OF_RESOURCES, failure.code)
    except KnownError as refusal:
        status = statuses.REFUSED.get(refusal.code, OUT_OF_RESOURCES)
        return statuses.as_status(status, refusal.code)
    except Exception as error:
        if is_database_outage(error):
            logger.warning("database_unavailable: object of association %s refused", session.id)
            return statuses.as_status(OUT_OF_RESOURCES, DatabaseUnavailable.code)
        reference = new_reference()
        logger.exception("Object of association %s, reference %s", session.id, reference)
        return statuses.as_status(OUT_OF_RESOURCES, f"reference {reference}")
    finally:
        excuse_silence(event.assoc)


def _confirm(request: Any, verdict: SubmissionFile) -> Dataset:
    """Warn a sender whose command names another object than the data set that was stored."""
    held = verdict.instance
    announced = (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID)
    if held is not None and announced != (held.sop_class_uid, held.sop_instance_uid):
        return statuses.as_status(
            statuses.STORED_AS_ANOTHER, "stored under the UIDs of its data set"
        )
    return statuses.status_of(verdict)
