"""The rows of one object: everything or nothing, however many send it at once."""

from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.models import User
from records.errors import (
    HeldByOtherDepartment,
    SeriesStudyMismatch,
    StudyDeleted,
    SubmissionEnded,
    UidConflict,
)
from records.intake.declared import DeclaredFields
from records.intake.header import DicomHeader
from records.intake.proof import Exclusion
from records.intake.storage import Spooled, publish
from records.models import (
    Instance,
    Priority,
    Series,
    Study,
    Submission,
    SubmissionFile,
    SubmissionState,
)
from records.services.identity import Whose, find_or_create_patient, settle_patient, whose_is
from records.services.studies import reopen_study
from records.services.verdicts import Sent, record_duplicate, record_stored

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ReceivedObject:
    """A DICOM object ready to be filed; `source` is the file that was sent."""

    source: Sent
    source_format: str
    file: Spooled
    header: DicomHeader
    exclusion: Exclusion


def find_held(submission: Submission, *, sop_instance_uid: str, sha256: str) -> Instance | None:
    """Return the instance if these very bytes are held already.

    Raises HeldByOtherDepartment, StudyDeleted, and UidConflict for other bytes under the same UID.
    """
    held = (
        Instance.objects.select_related("series__study")
        .filter(sop_instance_uid=sop_instance_uid)
        .first()
    )
    if held is None:
        return None
    study = held.series.study
    if study.department_id != submission.department_id:
        raise HeldByOtherDepartment
    check_not_deleted(study)
    if sha256 not in (held.source_sha256, held.sha256):
        raise UidConflict(study=study, held_sha256=held.source_sha256, received_sha256=sha256)
    return held


def check_not_deleted(study: Study) -> None:
    """Refuse to add to a study that somebody deleted: it has to be restored first.

    A study that was destroyed has given up its UIDs, so what comes after that is a new study.
    """
    if study.deleted_at is not None:
        raise StudyDeleted(
            study=study,
            day=date_format(localtime(study.deleted_at), "j M Y"),
            until=date_format(localtime(study.restorable_until), "j M Y"),
        )


def file_object(
    *, actor: User | None, submission: Submission, received: ReceivedObject
) -> SubmissionFile:
    """File one object, and record its verdict and its event, in one short transaction.

    Another sender may insert the same row first: the database refuses the second, and the
    next attempt finds it held. Raises FileRejected.
    """
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return _file_once(actor, submission, received)
        except IntegrityError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def lock_receiving(submission: Submission) -> Submission:
    """Lock a submission that still takes files, and note that it is alive."""
    locked = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
    if locked.state != SubmissionState.RECEIVING:
        raise SubmissionEnded
    locked.touched_at = timezone.now()
    locked.save(update_fields=["touched_at"])
    return locked


def _file_once(
    actor: User | None, submission: Submission, received: ReceivedObject
) -> SubmissionFile:
    submission = lock_receiving(submission)
    header = received.header
    held = find_held(
        submission,
        sop_instance_uid=header.sop_instance_uid,
        sha256=received.source.sha256,
    )
    if held is not None:
        return record_duplicate(
            actor=actor, submission=submission, sent=received.source, instance=held
        )
    declared = DeclaredFields.from_json(submission.declared)
    whose = whose_is(header, declared)
    study = _lock_study(actor, submission, header, whose)
    settle_patient(study, whose)
    series = _find_or_create_series(study, header, declared)
    instance = _create_instance(series, received, declared)
    _update_study(study, submission, series, declared)
    verdict = record_stored(
        actor=actor, submission=submission, sent=received.source, instance=instance, whose=whose
    )
    reopen_study(actor=actor, study=study)
    return verdict


def _lock_study(
    actor: User | None, submission: Submission, header: DicomHeader, whose: Whose
) -> Study:
    """Return the study's row, locked; it is created with its patient where it is new."""
    uid = header.study_instance_uid
    locking = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("patient")
    study = locking.filter(study_instance_uid=uid).first()
    if study is None:
        declared = DeclaredFields.from_json(submission.declared)
        new = Study(
            study_instance_uid=uid,
            patient=find_or_create_patient(whose, study_instance_uid=uid),
            department_id=submission.department_id,
            accession_number=header.accession_number or declared.accession_number,
            description=header.study_description or declared.study_description,
            study_date=header.study_date or declared.study_date,
            study_time=header.study_time,
            priority=submission.priority,
            created_by=actor,
        )
        Study.objects.bulk_create([new], ignore_conflicts=True)
        study = locking.get(study_instance_uid=uid)
    if study.department_id != submission.department_id:
        raise HeldByOtherDepartment
    check_not_deleted(study)
    return study


def _find_or_create_series(study: Study, header: DicomHeader, declared: DeclaredFields) -> Series:
    new = Series(
        study=study,
        series_instance_uid=header.series_instance_uid,
        series_number=header.series_number,
        modality=header.modality or declared.modality,
        body_part_examined=header.body_part or declared.body_part,
        description=header.series_description,
        laterality=header.laterality,
    )
    Series.objects.bulk_create([new], ignore_conflicts=True)
    series = Series.objects.get(series_instance_uid=header.series_instance_uid)
    if series.study_id != study.pk:
        raise SeriesStudyMismatch
    return series


def _create_instance(
    series: Series, received: ReceivedObject, declared: DeclaredFields
) -> Instance:
    header, geometry = received.header, received.header.geometry
    center, width = header.window or (None, None)
    return Instance.objects.create(
        series=series,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        sha256=received.file.sha256,
        source_sha256=received.source.sha256,
        source_format=received.source_format,
        file=publish(received.file),
        size_bytes=received.file.size,
        instance_number=header.instance_number,
        rows=geometry.rows,
        columns=geometry.columns,
        number_of_frames=geometry.frames,
        bits_stored=geometry.bits_stored,
        photometric_interpretation=header.photometric_interpretation,
        view_position=header.view_position or declared.view_position,
        slice_position=header.slice_position,
        window_center=center,
        window_width=width,
        exclusion=received.exclusion.code,
        exclusion_reason=received.exclusion.reason,
    )


def _update_study(
    study: Study, submission: Submission, series: Series, declared: DeclaredFields
) -> None:
    study.modalities = sorted({*study.modalities, series.modality} - {""})
    study.body_part = study.body_part or series.body_part_examined
    if submission.priority == Priority.URGENT:
        study.priority = Priority.URGENT
    study.instance_count = F("instance_count") + 1
    study.last_received_at = timezone.now()
    study.save(
        update_fields=["modalities", "body_part", "priority", "instance_count", "last_received_at"]
    )
    study.refresh_from_db(fields=["instance_count"])
