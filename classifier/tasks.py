"""What the workers do; each is safe to run twice."""

import logging
import socket
import uuid

from celery import shared_task

from accounts.errors import KnownError
from classifier.inference import answer_for, route_study
from classifier.models import UNROUTED
from classifier.services import runs

logger = logging.getLogger(__name__)


@shared_task
def classify_study(classification_id: str) -> None:
    """Claim one row, compute outside any transaction, write the answer back.

    A row without a task first gets the one that its images are for.
    """
    claim = runs.claim_classification(
        classification_id=classification_id, worker=socket.gethostname()
    )
    if claim is None:
        return
    try:
        _classify(claim)
    except KnownError as error:
        end = runs.postpone_classification if error.is_passing else runs.fail_classification
        word = "waits" if error.is_passing else "failed"
        logger.warning("classification %s %s: %s", classification_id, word, error.code)
        end(claim=claim, error=error)
        return
    except Exception:
        reference = uuid.uuid4().hex[:8]
        logger.exception("classification %s broke (reference %s)", classification_id, reference)
        runs.release_classification(claim=claim, reference=reference)
        raise


def _classify(claim: runs.Claim) -> None:
    def keep_alive() -> bool:
        return runs.renew_lease(claim=claim)

    if claim.task == UNROUTED:
        found = route_study(claim, keep_alive=keep_alive)
        if isinstance(found, runs.Answer):
            runs.complete_classification(claim=claim, answer=found)
            return
        routed = runs.route_classification(claim=claim, routed=found)
        if routed is None:
            return
        claim = routed
    answer = answer_for(claim, keep_alive=keep_alive)
    runs.complete_classification(claim=claim, answer=answer)


@shared_task
def sweep_classifications() -> None:
    """Take back what a dead worker held, ring again for what nobody came for."""
    swept = runs.sweep_classifications()
    if any(swept.values()):
        logger.info("swept classifications: %s", swept)
