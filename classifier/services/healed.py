"""What failed or waits for a file, and goes on once the file is there.

The records app knows nothing of classifications: it notes when a file was found whole again, and
the sweeper draws the conclusion within seconds.
"""

from django.db.models.functions import Now

from classifier.choices import ClassificationState
from classifier.models import Classification
from classifier.services.requests import request_again
from records.errors import StoredFileDamaged, StoredFileMissing, StoreForeign, StoreUnavailable
from records.files.stores import check_store

AT_ONCE = 200
LOST_CODES = (StoredFileMissing.code, StoredFileDamaged.code)
AWAY_CODES = (StoreUnavailable.code, StoreForeign.code)


def resume_healed() -> int:
    """Queue again what failed for a file that has been put back since; return how many."""
    rows = Classification.objects.healed(codes=LOST_CODES)[:AT_ONCE]
    return sum(request_again(classification=row) is not None for row in rows)


def resume_stored() -> int:
    """Have what waits for the store tried at once, now that it is there; return how many."""
    waiting = Classification.objects.filter(
        state=ClassificationState.QUEUED, waiting_code__in=AWAY_CODES
    )
    if not waiting.exists():
        return 0
    try:
        check_store()
    except StoreUnavailable:
        return 0
    return waiting.update(due_at=Now())
