"""What the workers do; each is safe to run twice."""

import logging
import socket
import uuid

from celery import shared_task

from accounts.errors import KnownError
from classifier.inference import answer_for
from classifier.services import runs

logger = logging.getLogger(__name__)


@shared_task
def classify_study(classification_id: str) -> None:
    """Claim one row, compute outside any transaction, write the answer back."""
    claim = runs.claim_classification(
        classification_id=classification_id, worker=socket.gethostname()
    )
    if claim is None:
        return
    try:
        answer = answer_for(claim, keep_alive=lambda: runs.renew_lease(claim=claim))
    except KnownError as error:
        logger.warning("classification %s failed: %s", classification_id, error.code)
        runs.fail_classification(claim=claim, error=error)
        return
    except Exception:
        reference = uuid.uuid4().hex[:8]
        logger.exception("classification %s broke (reference %s)", classification_id, reference)
        runs.release_classification(claim=claim, reference=reference)
        raise
    runs.complete_classification(claim=claim, answer=answer)


@shared_task
def sweep_classifications() -> None:
    """Take back what a dead worker held, ring again for what nobody came for."""
    swept = runs.sweep_classifications()
    if any(swept.values()):
        logger.info("swept classifications: %s", swept)
