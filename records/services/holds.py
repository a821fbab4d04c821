"""Legal holds: placed and lifted by people who look at no study."""

from django.db import transaction
from django.utils import timezone

from accounts.audit import record_event
from accounts.models import User
from records.choices import Action
from records.errors import HoldLifted, NoSuchStudy
from records.models import LegalHold, Study
from records.services.reasons import clean_reason


@transaction.atomic
def hold_study(*, actor: User | None, given: str, reason: str) -> list[LegalHold]:
    """Forbid the deletion of the study of this UID, or of all of this accession number.

    A deleted study can be held too: it is then not destroyed. Raises NoSuchStudy, ReasonMissing
    and ReasonTooLong.
    """
    reason = clean_reason(reason)
    given = given.strip()
    locked = Study.objects.select_for_update(no_key=True).order_by("pk")
    studies = list(locked.named(given)) if given else []
    if not studies:
        raise NoSuchStudy(given=given)
    return [_hold(actor, study, reason) for study in studies]


@transaction.atomic
def lift_hold(*, actor: User | None, hold: LegalHold, reason: str) -> LegalHold:
    """End one hold; the study stays held while another stands.

    Raises HoldLifted, ReasonMissing and ReasonTooLong.
    """
    reason = clean_reason(reason)
    hold = LegalHold.objects.select_for_update(of=("self",)).get(pk=hold.pk)
    if hold.lifted_at is not None:
        raise HoldLifted
    hold.lifted_at = timezone.now()
    hold.lifted_by = actor
    hold.lift_reason = reason
    hold.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
    record_event(
        action=Action.STUDY_RELEASED,
        actor=actor,
        target=hold.study,
        study=hold.study,
        details={"reason": reason, "hold": str(hold.pk)},
    )
    return hold


def _hold(actor: User | None, study: Study, reason: str) -> LegalHold:
    hold = LegalHold.objects.create(study=study, reason=reason, placed_by=actor)
    record_event(
        action=Action.STUDY_HELD,
        actor=actor,
        target=study,
        study=study,
        details={"reason": reason, "hold": str(hold.pk)},
    )
    return hold
