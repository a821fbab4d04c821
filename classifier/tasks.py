"""What the workers do; each is safe to run twice."""

import logging
import uuid
from contextlib import suppress
from functools import partial

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from accounts.errors import DatabaseUnavailable, KnownError
from accounts.outages import is_database_outage, outlast, was_database_away
from accounts.processes import process_name
from classifier.answers import Answer, Claim
from classifier.errors import TimeLimitExceeded, UnexpectedFailure
from classifier.inference import answer_for, route_study
from classifier.models import UNROUTED
from classifier.services import model_state, runs
from classifier.services.healed import LOST_CODES
from records.choices import Priority
from records.errors import StoreUnavailable
from records.files.stores import is_outage
from records.services import scrub_study

logger = logging.getLogger(__name__)

SETTLING_S = 20
"""After an outage of the database: the workers' time to say what became of their rows."""


@shared_task
def classify_next(priority: str) -> None:
    """Claim the next row of at least this priority, compute outside any transaction, write back.

    A row without a task first gets the one that its images are for.
    """
    claim = outlast(partial(runs.claim_classification, priority=priority, worker=process_name()))
    if claim is None:
        return
    classification_id = claim.classification_id
    try:
        _classify(claim)
    except KnownError as error:
        end = runs.postpone_classification if error.is_passing else runs.fail_classification
        word = "waits" if error.is_passing else "failed"
        logger.warning("classification %s %s: %s", classification_id, word, error.code)
        end(claim=claim, error=error)
        if error.code in LOST_CODES:
            with suppress(StoreUnavailable):
                scrub_study(study_id=claim.study_id)
        return
    except Exception as error:
        away = _what_is_away(error)
        if away is not None:
            logger.warning("classification %s waits: %s", classification_id, away.code)
            outlast(partial(runs.postpone_classification, claim=claim, error=away))
            return
        reference = uuid.uuid4().hex[:8]
        logger.exception("classification %s broke (reference %s)", classification_id, reference)
        is_late = isinstance(error, SoftTimeLimitExceeded)
        failure = TimeLimitExceeded if is_late else UnexpectedFailure
        runs.release_classification(claim=claim, reference=reference, failure=failure)
        raise


def _what_is_away(error: Exception) -> KnownError | None:
    """What can't be reached, if that is what went wrong."""
    if is_database_outage(error):
        return DatabaseUnavailable()
    return StoreUnavailable() if is_outage(error) else None


@shared_task
def classify_study(classification_id: str) -> None:
    """Take the bell of release 0.3, which named a row, for what it is: a bell."""
    classify_next(Priority.ROUTINE)


def _classify(claim: Claim) -> None:
    def keep_alive() -> bool:
        return outlast(partial(runs.renew_lease, claim=claim))

    if claim.task == UNROUTED:
        found = route_study(claim, keep_alive=keep_alive)
        if isinstance(found, Answer):
            outlast(partial(runs.complete_classification, claim=claim, answer=found))
            return
        routed = runs.route_classification(claim=claim, routed=found)
        if routed is None:
            return
        claim = routed
    answer = answer_for(claim, keep_alive=keep_alive)
    outlast(partial(runs.complete_classification, claim=claim, answer=answer))


@shared_task
def sweep_classifications() -> None:
    """Take back what a dead worker held, ring for what is due.

    A lease that ran out while the database was away says nothing of its worker.
    """
    if was_database_away(within_s=SETTLING_S):
        return
    swept = runs.sweep_classifications()
    rung = swept.pop("rung")
    if any(swept.values()):
        logger.info("swept classifications: %s", {**swept, "rung": rung})


@shared_task
def sweep_bundles() -> None:
    """Remove kept bundles that nothing needs any more, and name in the log what isn't right."""
    removed = model_state.sweep_bundles()
    if removed:
        logger.info("removed %s bundles that nothing needs", removed)
    for line in model_state.announcements():
        logger.warning(line)
