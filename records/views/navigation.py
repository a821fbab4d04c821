"""What the rail counts on every page, asked of the database only where a page shows it."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import User
from records.models import DicomNode, IdentityConflict, QuarantinedFile


def waiting_matters(request: HttpRequest) -> dict[str, object]:
    """How many conflicts, quarantined files and nodes wait for the person who looks."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {}
    return {
        "open_conflicts": SimpleLazyObject(
            lambda: IdentityConflict.objects.visible_to(user).open().count()
        ),
        "nodes_waiting": SimpleLazyObject(
            lambda: DicomNode.objects.confirmable_by(user).waiting().count()
        ),
        "quarantined": SimpleLazyObject(
            lambda: QuarantinedFile.objects.visible_to(user).held().count()
        ),
    }
