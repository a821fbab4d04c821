"""The rows of objects: everything or nothing, however many send them at once."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from records.choices import Priority, SubmissionState
from records.dicom.attributes import READ, Attribute, Level, inside
from records.dicom.names import PersonName
from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.header import DicomHeader
from records.dicom.reading.sniff import PICTURES
from records.errors import (
    FileRejected,
    SeriesStudyMismatch,
    StudyPatientMismatch,
    SubmissionEnded,
    UidConflict,
)
from records.files.spool import publish
from records.files.stores import Spooled
from records.models import Instance, InstanceDescription, Series, Study, Submission, SubmissionFile
from records.services.conflicts import question_study
from records.services.department_rules import check_routed, rules_for
from records.services.departments import tell_other_departments
from records.services.descriptions import make_description
from records.services.healing import check_takes_place, find_lost, heal_instance, lock_lost
from records.services.held import check_not_deleted, check_not_elsewhere, find_held
from records.services.identity import (
    Placement,
    Whose,
    find_or_create_patient,
    root_of,
    settle_patient,
    whose_is,
)
from records.services.quarantine import quarantine_file
from records.services.sameness import Comparisons, NotCompared
from records.services.studies import reopen_study
from records.services.verdicts import (
    HeldVerdict,
    ReceivedObject,
    Sent,
    judge_duplicate,
    judge_healed,
    judge_stored,
    record_verdicts,
)

ATTEMPTS = 4

Refuse = Callable[[Sent, FileRejected], SubmissionFile]
"""Gives the verdict on a file that can't be filed, with the reason."""


def file_objects(
    *,
    actor: User | None,
    submission: Submission,
    received: Sequence[ReceivedObject],
    refuse: Refuse,
) -> list[SubmissionFile]:
    """File objects, and record their verdicts and events: all in one short transaction.

    Where one of them is refused, or contradicts what is held, each is filed by itself, and that
    one gets its own verdict: refused (by `refuse`), or quarantined. Another sender may insert the
    same row first: the database refuses the second, and the next attempt finds it held. Where
    other bytes are held under its identifier, the two are compared between attempts. What is held
    and lost is healed by what came. Raises SubmissionEnded and StoreUnavailable.
    """
    lost = find_lost(submission, received)
    if len(received) > 1:
        one_by_one = (FileRejected, IntegrityError, NotCompared)
        with contextlib.suppress(*one_by_one), transaction.atomic():
            return _file_together(actor, submission, received, Comparisons(lost))
    return [_file_alone(actor, submission, one, refuse, Comparisons(lost)) for one in received]


def _file_alone(
    actor: User | None,
    submission: Submission,
    received: ReceivedObject,
    refuse: Refuse,
    comparisons: Comparisons,
) -> SubmissionFile:
    for attempt in range(ATTEMPTS):
        try:
            return _file_or_refuse(actor, submission, received, refuse, comparisons)
        except NotCompared as question:
            if attempt == ATTEMPTS - 1:
                raise
            try:
                comparisons.settle(question.held, received)
            except FileRejected as refusal:
                return refuse(received.source, refusal)
        except IntegrityError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _file_or_refuse(
    actor: User | None,
    submission: Submission,
    received: ReceivedObject,
    refuse: Refuse,
    comparisons: Comparisons,
) -> SubmissionFile:
    try:
        with transaction.atomic():
            return _file_together(actor, submission, [received], comparisons)[0]
    except (UidConflict, StudyPatientMismatch) as refusal:
        with transaction.atomic():
            lock_receiving(submission)
            return quarantine_file(
                actor=actor, submission=submission, received=received, refusal=refusal
            )
    except FileRejected as refusal:
        return refuse(received.source, refusal)


def lock_receiving(submission: Submission) -> Submission:
    """Lock a submission that still takes files, and note that it is alive."""
    locked = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
    if locked.state != SubmissionState.RECEIVING:
        raise SubmissionEnded
    locked.touched_at = timezone.now()
    locked.save(update_fields=["touched_at"])
    return locked


def _file_together(
    actor: User | None,
    submission: Submission,
    received: Sequence[ReceivedObject],
    comparisons: Comparisons,
) -> list[SubmissionFile]:
    submission = lock_receiving(submission)
    held = find_held(actor, submission, [one.header.sop_instance_uid for one in received])
    lost = lock_lost(held.values(), comparisons.lost)
    filing = _Filing(actor, submission, comparisons, lost)
    # In one order whatever came first, so that two senders can't wait for each other.
    for one in sorted(received, key=lambda one: one.header.study_instance_uid):
        if one.header.sop_instance_uid not in held:
            filing.lock(one)
    verdicts = [filing.take(one, held.get(one.header.sop_instance_uid)) for one in received]
    filing.write()
    rows = record_verdicts(verdicts)
    filing.reopen()
    return rows


class _Filing:
    """Objects on their way into one transaction: each study and series is looked up once."""

    def __init__(
        self,
        actor: User | None,
        submission: Submission,
        comparisons: Comparisons,
        lost: set[UUID],
    ) -> None:
        self._lost = lost
        self._healed: list[tuple[Instance, ReceivedObject]] = []
        self._actor = actor
        self._submission = submission
        self._comparisons = comparisons
        self._declared = DeclaredFields.from_json(submission.declared)
        self._rules = rules_for(actor) if actor and submission.is_routed else None
        self._studies: dict[str, Study] = {}
        self._settled: set[tuple[str, Whose]] = set()
        self._series: dict[str, Series] = {}
        self._instances: list[Instance] = []
        self._descriptions: list[InstanceDescription] = []
        self._files: list[Spooled] = []

    def lock(self, received: ReceivedObject) -> Study:
        """Return the locked study of an object, once it is sure that the object belongs there."""
        if self._rules is not None:
            check_routed(self._rules, self._submission, received)
        header = received.header
        uid, whose = header.study_instance_uid, self._whose(received)
        if (uid, whose) in self._settled:
            return self._studies[uid]
        study, placement = self._studies.get(uid), None
        if study is None:
            study, placement = _lock_study(self._actor, self._submission, header, whose)
            self._studies[uid] = study
        placement = settle_patient(study, whose, actor=self._actor) or placement
        if placement is not None:
            question_study(actor=self._actor, study=study, placement=placement, whose=whose)
        self._settled.add((uid, whose))
        return study

    def take(self, received: ReceivedObject, held: Instance | None) -> HeldVerdict:
        """Return the verdict on an object; raises FileRejected for one that can't be filed.

        Raises NotCompared where other bytes are held and nobody has compared the two.
        """
        whose = self._whose(received)
        common: dict[str, Any] = {
            "actor": self._actor,
            "submission": self._submission,
            "sent": received.source,
        }
        if held is not None:
            if not self._comparisons.is_same(held, received):
                study, sha256 = held.series.study, received.source.sha256
                raise UidConflict(
                    study=study, held_sha256=held.source_sha256, received_sha256=sha256
                )
            if held.is_withheld:
                # A person decided that this image doesn't belong into the study after all.
                raise StudyPatientMismatch(study=held.series.study, whose=whose, differing=[])
            if held.pk in self._lost:
                self._heal(held, received)
                return judge_healed(**common, instance=held)
            return judge_duplicate(**common, instance=held)
        series = self._series_of(self.lock(received), received.header)
        instance = make_instance(series, received, self._declared)
        self._instances.append(instance)
        if received.document:
            self._descriptions.append(make_description(instance, received.document))
        self._files.append(received.file)
        return judge_stored(**common, instance=instance, whose=whose, remarks=received.remarks)

    def write(self) -> None:
        """Store the files, write the instances, and have their studies count them."""
        publish(self._files)
        for held, received in self._healed:
            heal_instance(
                actor=self._actor, submission=self._submission, held=held, received=received
            )
        Instance.objects.bulk_create(self._instances)
        InstanceDescription.objects.bulk_create(self._descriptions)
        for study in self._studies.values():
            series = [one.series for one in self._instances if one.series.study_id == study.pk]
            if series:
                count_instances(study, self._submission, series)

    def _heal(self, held: Instance, received: ReceivedObject) -> None:
        """Have an object take the place of one that is lost; should it come again, it is held."""
        check_takes_place(held, received)
        self._lost.discard(held.pk)
        self._healed.append((held, received))
        self._files.append(received.file)

    def reopen(self) -> None:
        """Have the studies that got images expect more."""
        got = {instance.series.study_id for instance in self._instances}
        for study in self._studies.values():
            if study.pk in got:
                reopen_study(actor=self._actor, study=study)

    def _whose(self, received: ReceivedObject) -> Whose:
        is_picture = received.source_format in PICTURES
        return whose_is(received.header, self._declared, is_picture=is_picture)

    def _series_of(self, study: Study, header: DicomHeader) -> Series:
        series = self._series.get(header.series_instance_uid)
        if series is None:
            series = find_or_create_series(study, header, self._declared)
            self._series[header.series_instance_uid] = series
        if series.study_id != study.pk:
            raise SeriesStudyMismatch
        return series


def _lock_study(
    actor: User | None, submission: Submission, header: DicomHeader, whose: Whose
) -> tuple[Study, Placement | None]:
    """Return the study's row, locked; it is created with its patient where it is new.

    The placement says how that patient was found.
    """
    placement = None
    uid = header.study_instance_uid
    locking = Study.objects.select_for_update(no_key=True, of=("self",)).select_related("patient")
    locking = locking.filter(study_instance_uid=uid, department=submission.department_id)
    study = locking.first()
    if study is None:
        placement = _create_study(actor, submission, header, whose)
        study = locking.get()
    check_not_deleted(study)
    if study.patient.merged_into_id:
        # Somebody decided so while this file was on its way.
        study.patient = root_of(study.patient)
        study.save(update_fields=["patient"])
    return study, placement


def _create_study(
    actor: User | None, submission: Submission, header: DicomHeader, whose: Whose
) -> Placement:
    """Make a study's row, unless another sender is quicker; raises HeldByOtherDepartment."""
    uid = header.study_instance_uid
    check_not_elsewhere(actor, submission, study_instance_uid=uid)
    placement = find_or_create_patient(
        whose, actor=actor, department_id=submission.department_id, study_instance_uid=uid
    )
    new = _make_study(header, DeclaredFields.from_json(submission.declared))
    new.patient, new.named = placement.patient, whose.as_json()
    new.department, new.priority = submission.department, submission.priority
    new.created_by = actor
    Study.objects.bulk_create([new], ignore_conflicts=True)
    if whose.patient_id and placement.contradicted is None:
        tell_other_departments(actor=actor, study=new)
    return placement


def _make_study(header: DicomHeader, declared: DeclaredFields) -> Study:
    """The row of a study, as far as a file of it says what it is."""
    return Study(
        study_instance_uid=header.study_instance_uid,
        stated_age=header.patient.age,
        **_columns(Level.STUDY, header, declared),
    )


def find_or_create_series(study: Study, header: DicomHeader, declared: DeclaredFields) -> Series:
    """Return the series of an object; raises SeriesStudyMismatch for one of another study."""
    new = Series(
        study=study,
        series_instance_uid=header.series_instance_uid,
        **_columns(Level.SERIES, header, declared),
    )
    Series.objects.bulk_create([new], ignore_conflicts=True)
    series = Series.objects.get(
        series_instance_uid=header.series_instance_uid, study__department=study.department_id
    )
    if series.study_id != study.pk:
        raise SeriesStudyMismatch
    series.study = study
    return series


def _columns(level: Level, header: DicomHeader, declared: DeclaredFields) -> dict[str, Any]:
    """What the table of attributes puts into a level's row: the header's word, else the sender's.

    Columns of which nobody says anything are left out, to their defaults.
    """
    found: dict[str, Any] = {}
    for attribute in READ:
        if attribute.level == level:
            value = header.stated.of(attribute)
            if value is None and attribute.declared:
                value = getattr(declared, attribute.declared)
            if value not in (None, ""):
                found[attribute.column] = _as_column(attribute, value)
    return found


def _as_column(attribute: Attribute, value: Any) -> Any:
    if attribute.vr == "PN":
        return PersonName.from_text(value)
    if attribute.vr == "SQ":
        keywords = [one.own_keyword for one in inside(attribute)]
        return [{keyword: item.get(keyword, "") for keyword in keywords} for item in value]
    return value


def make_instance(series: Series, received: ReceivedObject, declared: DeclaredFields) -> Instance:
    """Return the row of an object, not written yet, whose file still has to be published."""
    header, geometry = received.header, received.header.geometry
    center, width = header.window or (None, None)
    return Instance(
        series=series,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        sha256=received.file.sha256,
        source_sha256=received.source.sha256,
        source_format=received.source_format,
        data_set_sha256=received.data_set_sha256,
        file=received.file.name,
        size_bytes=received.file.size,
        rows=geometry.rows,
        columns=geometry.columns,
        number_of_frames=geometry.frames,
        bits_stored=geometry.bits_stored,
        slice_position=header.slice_position,
        window_center=center,
        window_width=width,
        exclusion=received.exclusion.code,
        exclusion_reason=received.exclusion.reason,
        undecoded=header.undecoded,
        **_columns(Level.INSTANCE, header, declared),
    )


def count_instances(study: Study, submission: Submission, series: Sequence[Series]) -> None:
    """Note in a study, whose lock the caller holds, that an instance of each of `series` came."""
    study.modalities = sorted({*study.modalities, *(one.modality for one in series)} - {""})
    body_parts = (one.body_part_examined for one in series if one.body_part_examined)
    study.body_part = study.body_part or next(body_parts, "")
    if submission.priority == Priority.URGENT:
        study.priority = Priority.URGENT
    study.instance_count = F("instance_count") + len(series)
    study.last_received_at = timezone.now()
    study.save(
        update_fields=["modalities", "body_part", "priority", "instance_count", "last_received_at"]
    )
    study.refresh_from_db(fields=["instance_count"])
