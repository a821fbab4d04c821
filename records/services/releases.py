"""Quarantined files that a decision files into their study, and their way back."""

from dataclasses import dataclass

from accounts.audit import record_event
from accounts.models import User
from records.choices import Action, QuarantineState, StudyState
from records.dicom.reading.declared import DeclaredFields
from records.files.open import open_file
from records.files.sandboxed import sandbox
from records.files.spool import publish, spooled
from records.models import ConflictDecision, IdentityConflict, Instance, QuarantinedFile, Study
from records.services.changes import Changes
from records.services.filing import count_instances, find_or_create_series, make_instance
from records.services.quarantine import record_quarantined
from records.services.studies import complete_study, reopen_study
from records.services.verdicts import ReceivedObject, Sent


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A quarantined file with what it says of itself, or with its rows from an earlier time."""

    file: QuarantinedFile
    content: ReceivedObject | Instance


def prepare_files(conflict: IdentityConflict) -> list[PreparedFile]:
    """Read the files that wait for a decision. Raises what reading a header raises."""
    waiting = conflict.files.held().select_related("submission", "verdict", "instance__series")
    return [PreparedFile(file, file.instance or _read(file)) for file in waiting]


def release_files(
    *, actor: User, study: Study, files: list[PreparedFile], changes: Changes
) -> None:
    """File them into their study, which is then complete anew.

    Raises SeriesStudyMismatch and DiskFull. The caller holds the transaction.
    """
    if not files:
        return
    study = _locked(study)
    for prepared in files:
        file = QuarantinedFile.objects.select_for_update().get(pk=prepared.file.pk)
        if file.state != QuarantineState.HELD:
            continue
        file.instance = instance = _place(study, prepared)
        file.save(update_fields=["instance"])
        changes.set(file, state=QuarantineState.FILED)
        count_instances(study, prepared.file.submission, [instance.series])
        record_event(
            action=Action.FILE_STORED,
            actor=actor,
            target=instance,
            study=study,
            details={"quarantined_file": str(file.pk), "sha256": file.source_sha256},
        )
    _complete_anew(actor, study)


def take_back_files(*, actor: User, decision: ConflictDecision) -> None:
    """Finish the reversal of a decision: what it had filed is in quarantine, its study counted.

    The caller has restored the rows.
    """
    filed = decision.after.get("quarantinedfile", {})
    files = QuarantinedFile.objects.filter(pk__in=list(filed), state=QuarantineState.HELD)
    if not files:
        return
    study = _locked(decision.conflict.study)
    withheld = [file.instance_id for file in files if file.instance_id]
    Instance.with_withheld.filter(pk__in=withheld).update(is_withheld=True)
    held = Instance.objects.filter(series__study=study)
    study.instance_count = held.count()
    study.modalities = sorted(set(held.values_list("series__modality", flat=True)) - {""})
    study.save(update_fields=["instance_count", "modalities"])
    for file in files:
        record_quarantined(actor=actor, file=file, study=study)
    _complete_anew(actor, study)


def _place(study: Study, prepared: PreparedFile) -> Instance:
    if isinstance(prepared.content, ReceivedObject):
        declared = DeclaredFields.from_json(prepared.file.submission.declared)
        series = find_or_create_series(study, prepared.content.header, declared)
        instance = make_instance(series, prepared.content, declared)
        publish([prepared.content.file])
        instance.save(force_insert=True)
        return instance
    instance = prepared.content
    instance.is_withheld = False
    instance.save(update_fields=["is_withheld"])
    return instance


def _read(file: QuarantinedFile) -> ReceivedObject:
    """Read a file as it was when it came; its bytes are in the store already."""
    with (
        open_file(file) as stream,
        spooled(stream, limit=file.size_bytes) as copy,
        copy.path.open("rb") as content,
    ):
        examined = sandbox.examine(content)
    sent = Sent(name=file.verdict.name, size=file.size_bytes, sha256=file.source_sha256)
    return ReceivedObject(sent, file.source_format, copy, examined.header, examined.exclusion)


def _complete_anew(actor: User, study: Study) -> None:
    """Have those who listen look at a complete study as it is now; an open one still waits."""
    if study.state == StudyState.OPEN:
        return
    reopen_study(actor=actor, study=study)
    complete_study(actor=actor, study=study)


def _locked(study: Study) -> Study:
    return Study.objects.select_for_update(no_key=True).get(pk=study.pk)
