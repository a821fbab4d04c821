"""The rows of one object: everything or nothing, however many send it at once."""

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.models import User
from records.errors import (
    FileRejected,
    HeldByOtherDepartment,
    SeriesStudyMismatch,
    StudyDeleted,
    StudyPatientMismatch,
    SubmissionEnded,
    UidConflict,
)
from records.intake.declared import DeclaredFields
from records.intake.header import DicomHeader
from records.intake.storage import publish
from records.models import (
    Instance,
    Priority,
    Series,
    Study,
    Submission,
    SubmissionFile,
    SubmissionState,
)
from records.services.conflicts import question_study
from records.services.identity import (
    Placement,
    Whose,
    find_or_create_patient,
    root_of,
    settle_patient,
    whose_is,
)
from records.services.quarantine import quarantine_file
from records.services.studies import reopen_study
from records.services.verdicts import ReceivedObject, Sent, record_duplicate, record_stored

ATTEMPTS = 3


def _find_by_uid(submission: Submission, sop_instance_uid: str) -> Instance | None:
    """Return the instance of that UID, withheld or not.

    Raises HeldByOtherDepartment and StudyDeleted.
    """
    rows = Instance.with_withheld.select_related("series__study__patient")
    held = rows.filter(sop_instance_uid=sop_instance_uid).first()
    if held is not None:
        if held.series.study.department_id != submission.department_id:
            raise HeldByOtherDepartment
        check_not_deleted(held.series.study)
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

    One that contradicts what is held is quarantined with its verdict. Another sender may insert
    the same row first: the database refuses the second, and the next attempt finds it held.
    Raises FileRejected.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _file_or_quarantine(actor, submission, received)
        except IntegrityError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _file_or_quarantine(
    actor: User | None, submission: Submission, received: ReceivedObject
) -> SubmissionFile:
    try:
        with transaction.atomic():
            return _file_once(actor, submission, received)
    except (UidConflict, StudyPatientMismatch) as refusal:
        with transaction.atomic():
            lock_receiving(submission)
            return quarantine_file(
                actor=actor, submission=submission, received=received, refusal=refusal
            )


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
    header, sent = received.header, received.source
    held = _find_by_uid(submission, header.sop_instance_uid)
    if held is not None and _is_same(held, sent.sha256):
        return record_duplicate(actor=actor, submission=submission, sent=sent, instance=held)
    declared = DeclaredFields.from_json(submission.declared)
    whose = whose_is(header, declared)
    if held is not None:
        raise _contradiction(held, sent, whose)
    study, placement = _lock_study(actor, submission, header, whose)
    placement = settle_patient(study, whose) or placement
    if placement is not None:
        question_study(actor=actor, study=study, placement=placement, whose=whose)
    instance = add_instance(study, received, declared)
    count_instance(study, submission, instance.series)
    verdict = record_stored(
        actor=actor, submission=submission, sent=sent, instance=instance, whose=whose
    )
    reopen_study(actor=actor, study=study)
    return verdict


def _is_same(held: Instance, sha256: str) -> bool:
    return not held.is_withheld and sha256 in (held.source_sha256, held.sha256)


def _contradiction(held: Instance, sent: Sent, whose: Whose) -> FileRejected:
    study = held.series.study
    if sent.sha256 in (held.source_sha256, held.sha256):
        # Withheld: a person decided that these bytes don't belong into the study after all.
        return StudyPatientMismatch(study=study, whose=whose, differing=[])
    return UidConflict(study=study, held_sha256=held.source_sha256, received_sha256=sent.sha256)


def _lock_study(
    actor: User | None, submission: Submission, header: DicomHeader, whose: Whose
) -> tuple[Study, Placement | None]:
    """Return the study's row, locked; it is created with its patient where it is new.

    The placement says how that patient was found.
    """
    placement = None
    uid = header.study_instance_uid
    locking = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("patient")
    study = locking.filter(study_instance_uid=uid).first()
    if study is None:
        declared = DeclaredFields.from_json(submission.declared)
        placement = find_or_create_patient(whose, study_instance_uid=uid)
        new = Study(
            study_instance_uid=uid,
            patient=placement.patient,
            department_id=submission.department_id,
            accession_number=header.accession_number or declared.accession_number,
            description=header.study_description or declared.study_description,
            study_date=header.study_date or declared.study_date,
            study_time=header.study_time,
            utc_offset=header.utc_offset,
            stated_age=header.patient.age,
            named=whose.as_json(),
            priority=submission.priority,
            created_by=actor,
        )
        Study.objects.bulk_create([new], ignore_conflicts=True)
        study = locking.get(study_instance_uid=uid)
    if study.department_id != submission.department_id:
        raise HeldByOtherDepartment
    check_not_deleted(study)
    if study.patient.merged_into_id:
        # Somebody decided so while this file was on its way.
        study.patient = root_of(study.patient)
        study.save(update_fields=["patient"])
    return study, placement


def add_instance(study: Study, received: ReceivedObject, declared: DeclaredFields) -> Instance:
    """Create the rows of one object in its study; raises SeriesStudyMismatch and DiskFull."""
    series = _find_or_create_series(study, received.header, declared)
    return _create_instance(series, received, declared)


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
    instance: Instance = Instance.objects.create(
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
        undecoded=header.undecoded,
    )
    return instance


def count_instance(study: Study, submission: Submission, series: Series) -> None:
    """Note in a study, whose lock the caller holds, that an instance of `series` came."""
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
