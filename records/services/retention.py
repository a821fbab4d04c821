"""How studies leave: deleted with a reason, restorable for a while, then destroyed."""

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import CharField, F, Model, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from accounts.audit import record_event
from accounts.errors import NotYourDepartment
from accounts.models import User
from accounts.outages import is_database_outage
from accounts.roles import Verb
from records.choices import Action
from records.dicom.attributes import ATTRIBUTES, Destruction, Level
from records.errors import StudyHeld, StudyNotDeleted
from records.files.stores import ensure_store
from records.models import (
    Instance,
    InstanceDescription,
    LegalHold,
    Series,
    Study,
    StudyTombstone,
    SubmissionFile,
    UnreferencedFile,
)
from records.services.exports import withdraw_exports
from records.services.reasons import clean_reason
from records.services.storage import remove_unreferenced

logger = logging.getLogger(__name__)

AT_ONCE = 200
"""Studies that one run deletes or destroys: the rest follows in the next."""
DESTROYED_NAME = "(destroyed)"
FREED_UID = Concat(Value("purged."), Cast("pk", CharField()), output_field=CharField())
"""What stands in a destroyed row for its UID."""
RETENTION_REASON = "Kept for {years} years, as the retention rule says."


@transaction.atomic
def delete_study(*, actor: User | None, study: Study, reason: str) -> Study:
    """Take a study out of everybody's sight; it can be restored until its retention ends.

    De-identified copies of it that nobody has taken yet are given up, for good.
    A study that is deleted already stays as it is. Raises NotYourDepartment, StudyHeld,
    ReasonMissing and ReasonTooLong.
    """
    _check_may_delete(actor, study)
    reason = clean_reason(reason)
    study = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    if study.deleted_at is not None:
        return study
    if LegalHold.objects.standing(study=study).exists():
        raise StudyHeld
    study.deleted_at = timezone.now()
    study.deleted_by = actor
    study.deletion_reason = reason
    study.save(update_fields=["deleted_at", "deleted_by", "deletion_reason"])
    exports = withdraw_exports(actor=actor, study=study)
    record_event(
        action=Action.STUDY_DELETED,
        actor=actor,
        target=study,
        study=study,
        details={"reason": reason, "instances": study.instance_count, "exports": exports},
    )
    return study


@transaction.atomic
def restore_study(*, actor: User, study: Study) -> Study:
    """Bring a deleted study back as it was. Raises NotYourDepartment and StudyNotDeleted."""
    _check_may_delete(actor, study)
    study = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    if study.deleted_at is None or study.purged_at is not None:
        raise StudyNotDeleted
    details = {"reason": study.deletion_reason, "deleted_at": study.deleted_at.isoformat()}
    study.deleted_at = None
    study.deleted_by = None
    study.deletion_reason = ""
    study.save(update_fields=["deleted_at", "deleted_by", "deletion_reason"])
    record_event(
        action=Action.STUDY_RESTORED, actor=actor, target=study, study=study, details=details
    )
    return study


def apply_retention() -> dict[str, int]:
    """Delete studies that are due to go, where that is automatic, and destroy deleted ones.

    Returns how many. One that fails is logged, tried again the next time, and holds up no other.
    Raises StoreUnavailable where the files of destroyed ones couldn't go.
    """
    deleted = _each(Study.objects.past_retention(), _retire) if settings.RETENTION_AUTOMATIC else 0
    ensure_store()
    before = timezone.now() - settings.RETENTION_DELETED
    purged = _each(Study.objects.expired(before=before), _purge_if_expired)
    if purged:
        remove_unreferenced()
    return {"deleted": deleted, "purged": purged}


def _each(studies: QuerySet[Study], leave: Callable[[Study], bool]) -> int:
    done = 0
    for study in studies[:AT_ONCE]:
        try:
            done += leave(study)
        except Exception as error:
            if is_database_outage(error):
                raise
            logger.exception("Study %s can't leave", study.pk)
    return done


def _retire(study: Study) -> bool:
    reason = RETENTION_REASON.format(years=settings.RETENTION_YEARS)
    return delete_study(actor=None, study=study, reason=reason).deleted_at is not None


@transaction.atomic
def _purge_if_expired(study: Study) -> bool:
    """Look again under the lock: it may have been restored or held since it was listed."""
    study = Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    before = timezone.now() - settings.RETENTION_DELETED
    is_expired = Study.objects.expired(before=before).filter(pk=study.pk).exists()
    if study.deleted_at is None or not is_expired:
        return False
    _purge(study, deleted_at=study.deleted_at)
    return True


def _purge(study: Study, *, deleted_at: dt.datetime) -> None:
    """Leave a tombstone, hand the files over to be removed, and empty the rows that must stay.

    The files go after this transaction has committed, by `remove_unreferenced`: a file that goes
    first would be missed if the transaction failed, one that is forgotten would stay.
    """
    now = timezone.now()
    tombstone = _bury(study, deleted_at=deleted_at, now=now)
    UnreferencedFile.objects.bulk_create(
        (
            UnreferencedFile(name=name, size_bytes=size, due_at=now)
            for name, size in Instance.with_withheld.filter(series__study=study)
            .stored()
            .values_list("file", "size_bytes")
        ),
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["due_at"],
    )
    _empty_rows(study, now)
    record_event(
        action=Action.STUDY_PURGED,
        actor=None,
        target=study,
        study=study,
        details={
            "tombstone": str(tombstone.pk),
            "study_instance_uid": tombstone.study_instance_uid,
            "instances": len(tombstone.instances),
            "reason": tombstone.deletion_reason,
        },
    )


def _bury(study: Study, *, deleted_at: dt.datetime, now: dt.datetime) -> StudyTombstone:
    objects = Instance.with_withheld.filter(series__study=study).order_by("sop_instance_uid")
    return StudyTombstone.objects.create(
        study=study,
        study_instance_uid=study.study_instance_uid,
        instances=list(
            objects.values(
                "sop_instance_uid",
                "sha256",
                "source_sha256",
                "size_bytes",
                series_instance_uid=F("series__series_instance_uid"),
            )
        ),
        received_at=study.received_at,
        deleted_at=deleted_at,
        deleted_by=study.deleted_by,
        deletion_reason=study.deletion_reason,
        purged_at=now,
    )


def _empty_rows(study: Study, now: dt.datetime) -> None:
    """Take every text of the sender out of the rows, and free the UIDs to be sent again."""
    InstanceDescription.objects.filter(instance__series__study=study).delete()
    Instance.with_withheld.filter(series__study=study).update(
        **_what_is_left(Level.INSTANCE, Instance),
        file="",
        damage="",
        checked_at=None,
        undecoded={},
    )
    Series.objects.filter(study=study).update(**_what_is_left(Level.SERIES, Series))
    Study.objects.filter(pk=study.pk).update(
        **_what_is_left(Level.STUDY, Study),
        body_part="",
        stated_age="",
        named={},
        purged_at=now,
    )
    SubmissionFile.objects.filter(study=study).update(name=DESTROYED_NAME)


def _what_is_left(level: Level, model: type[Model]) -> dict[str, Any]:
    """What a destroyed study's rows of a level say of the table's attributes, by column."""
    empty = {field.name: field.get_default() for field in model._meta.concrete_fields}
    left: dict[str, Any] = {}
    for attribute in ATTRIBUTES:
        if attribute.level == level and attribute.destruction is not Destruction.STAYS:
            is_freed = attribute.destruction is Destruction.FREED
            left |= {name: FREED_UID if is_freed else empty[name] for name in attribute.columns}
    return left


def _check_may_delete(actor: User | None, study: Study) -> None:
    """`actor` is None for the retention rule, which no person applies."""
    if actor is not None and not actor.has_verb_in(Verb.STUDY_DELETE, study.department_id):
        raise NotYourDepartment
