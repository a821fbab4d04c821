"""The files and pictures that pages, the API and DICOMweb answer with, and whom they are for."""

import math
from collections.abc import Mapping
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from accounts.deliveries import begin_delivery, file_answer
from accounts.errors import KnownError
from accounts.models import User
from records.accesses import record_picture
from records.choices import Action
from records.errors import NoSuchFrame, QuarantineEnded, WindowInvalid
from records.files.open import open_file, open_stored
from records.files.pixels import render_png
from records.models import Export, ExportHold, Instance, QuarantinedFile
from records.services import hand_out_export, note_hold_seen

PRIVATE = "private, max-age=300"


def find_instance(user: User, pk: UUID) -> Instance:
    """Return an instance that `user` may see; 404 for any other."""
    visible = Instance.objects.visible_to(user).select_related("series__study")
    return get_object_or_404(visible, pk=pk)


def png_response(
    user: User, instance: Instance, frame: int, params: Mapping[str, str]
) -> HttpResponse:
    """Draw a frame, and note that it was looked at."""
    picture = render_png(instance, frame, _read_window(params))
    record_picture(user, picture, instance.series.study)
    return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": PRIVATE})


def file_response(user: User, instance: Instance) -> StreamingHttpResponse:
    """Stream a stored file under its UID: the sender's name for it may hold a patient's.

    Raises StoredFileMissing, StoredFileDamaged and StoreUnavailable.
    """
    content = open_stored(instance)
    delivery = begin_delivery(
        action=Action.IMAGE_DOWNLOADED, actor=user, target=instance, study=instance.series.study
    )
    return file_answer(
        content,
        delivery,
        size=instance.size_bytes,
        filename=f"{instance.sop_instance_uid}.dcm",
        content_type="application/dicom",
    )


def refusal_response(error: KnownError) -> HttpResponse:
    """Say in plain words why there is no picture."""
    words = f"{error.message} {error.action}"
    wait = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return HttpResponse(words, content_type="text/plain", status=error.status, headers=wait)


def find_export(user: User, pk: UUID) -> Export:
    """Return an export that `user` may see; 404 for any other."""
    visible = Export.objects.visible_to(user).select_related("requested_by", "cleared_by")
    return get_object_or_404(visible.prefetch_related("studies"), pk=pk)


def find_hold(export: Export, pk: UUID) -> ExportHold:
    """Return an image held back of an export; 404 for any other."""
    return get_object_or_404(export.holds.select_related("instance__series__study"), pk=pk)


def hold_response(request: HttpRequest, user: User, hold: ExportHold) -> HttpResponse:
    """Draw the frame that `?frame=` names, the first without it, and note who has seen it.

    Raises NoSuchFrame and WindowInvalid, and what drawing raises.
    """
    given = request.GET.get("frame", "1")
    frame = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
    if frame not in hold.frames:
        raise NoSuchFrame(frame=given[:9], count=len(hold.frames))
    answer = png_response(user, hold.instance, frame, {})
    if request.method == "GET":  # HEAD shows nothing
        note_hold_seen(actor=user, hold=hold, frame=frame)
    answer["Cache-Control"] = "no-store"
    return answer


def export_response(user: User, export: Export) -> StreamingHttpResponse:
    """Stream a copy that is ready; raises ExportNotReady.

    That it was taken is told for each study before, how much of it left once after.
    """
    with transaction.atomic():  # a copy that can't be opened wasn't taken
        export = hand_out_export(actor=user, export=export)
        content = export.file.open("rb")
    studies = list(export.studies.all()[:2])
    delivery = begin_delivery(
        action=Action.STUDY_EXPORTED,
        actor=user,
        target=export,
        study=studies[0] if len(studies) == 1 else None,
        department_id=export.department_id,
        details={"step": "sent", "project": export.project},
        is_told=True,
    )
    return file_answer(
        content,
        delivery,
        size=export.size_bytes,
        instances=export.image_count,
        filename=f"export-{export.pk}.zip",
        content_type="application/zip",
    )


def quarantined_response(user: User, file: QuarantinedFile) -> StreamingHttpResponse:
    """Stream a quarantined file under its UID, and record it; raises QuarantineEnded.

    The event names the study that the file contradicts, and so the patient.
    """
    if not file.file:
        raise QuarantineEnded
    content = open_file(file)
    delivery = begin_delivery(
        action=Action.IMAGE_DOWNLOADED,
        actor=user,
        target=file,
        study=file.study,
        department_id=file.submission.department_id,
        details={"sha256": file.sha256, "sent_to": str(file.submission.department_id)},
    )
    return file_answer(
        content,
        delivery,
        size=file.size_bytes,
        filename=f"{file.sop_instance_uid}.dcm",
        content_type="application/dicom",
    )


def _read_window(params: Mapping[str, str]) -> tuple[float, float] | None:
    """Return the (center, width) that is asked for, if any; raises WindowInvalid."""
    stated = params.get("center") or None, params.get("width") or None
    if stated == (None, None):
        return None
    try:
        center, width = (float(value or "") for value in stated)
    except ValueError as error:
        raise WindowInvalid from error
    if not math.isfinite(center) or not math.isfinite(width) or width <= 0:
        raise WindowInvalid
    return center, width
