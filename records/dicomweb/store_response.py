"""What a store answers (PS3.18 10.5.3): status, references, and reasons by PS3.18 Annex I."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus

from records.choices import NOT_HELD
from records.dicom.writing.dicom_json import JsonObject, element
from records.dicomweb.targets import instance_url, study_url
from records.errors import FileTooLarge
from records.failure_reasons import FAILURE_REASONS, PROCESSING_FAILURE
from records.models import Instance
from records.services.storing import StoreOutcome

FAILED = "00081198"
HELD = "00081199"
OTHER_FAILED = "0008119A"
PRIVATE_CREATOR_TAG = "00090010"
PRIVATE_CREATOR = "MEDIMAGING STORE"

PIXELS_DOUBTFUL = 0xB007

STATUSES = {
    FileTooLarge.code: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}

WARNING_REASONS: dict[str, int] = {"pixels_unreadable": PIXELS_DOUBTFUL}
"""Warning Reason (0008,1196) by the code of a verdict on an object that was stored."""


def store_status(outcomes: Sequence[StoreOutcome]) -> HTTPStatus:
    """200 where all are held, 202 where some are or are in doubt, 409 where none is.

    Where all are too large, that has a status of its own: 413. What is our own fault never gets
    here: it is the answer to the whole request (`IntakeFailed`).
    """
    failed = [each for each in outcomes if each.file.verdict in NOT_HELD]
    if len(failed) < len(outcomes):
        is_doubtful = any(each.file.code in WARNING_REASONS for each in outcomes)
        return HTTPStatus.ACCEPTED if failed or is_doubtful else HTTPStatus.OK
    reason, *others = {each.file.code for each in failed} or {""}
    return HTTPStatus.CONFLICT if others else STATUSES.get(reason, HTTPStatus.CONFLICT)


def store_document(outcomes: Iterable[StoreOutcome]) -> JsonObject:
    """The data set of the answer: what is held, with its address, and what failed, with why.

    Beside the standard's reasons, private attributes carry our own code, sentence and action.
    """
    items: dict[str, list[JsonObject]] = {}
    studies = set()
    for outcome in outcomes:
        if outcome.file.verdict not in NOT_HELD:
            items.setdefault(HELD, []).append(_held_item(outcome))
            studies.add(_instance_of(outcome).series.study.study_instance_uid)
        elif outcome.sop_instance_uid:
            items.setdefault(FAILED, []).append(_failed_item(outcome))
        else:
            items.setdefault(OTHER_FAILED, []).append(_failed_item(outcome))
    found = {tag: {"vr": "SQ", "Value": values} for tag, values in items.items()}
    if len(studies) == 1:
        found |= [element("RetrieveURL", study_url(*studies))]
    return dict(sorted(found.items()))


def _held_item(outcome: StoreOutcome) -> JsonObject:
    instance = _instance_of(outcome)
    series = instance.series
    url = instance_url(
        series.study.study_instance_uid,
        series.series_instance_uid,
        instance.sop_instance_uid,
    )
    item: JsonObject = {}
    item |= [
        element("ReferencedSOPClassUID", instance.sop_class_uid),
        element("ReferencedSOPInstanceUID", instance.sop_instance_uid),
        element("RetrieveURL", url),
    ]
    if outcome.file.code in WARNING_REASONS:
        item |= [element("WarningReason", WARNING_REASONS[outcome.file.code])]
        item |= _in_our_words(outcome)
    return dict(sorted(item.items()))


def _instance_of(outcome: StoreOutcome) -> Instance:
    instance = outcome.file.instance
    assert instance is not None  # noqa: S101 - every verdict but a refusal has one
    return instance


def _failed_item(outcome: StoreOutcome) -> JsonObject:
    """An object that is not held; one whose UIDs nobody could read has none here."""
    item = _in_our_words(outcome)
    item |= [element("FailureReason", FAILURE_REASONS.get(outcome.file.code, PROCESSING_FAILURE))]
    if outcome.sop_instance_uid:
        item |= [
            element("ReferencedSOPClassUID", outcome.sop_class_uid),
            element("ReferencedSOPInstanceUID", outcome.sop_instance_uid),
        ]
    return dict(sorted(item.items()))


def _in_our_words(outcome: StoreOutcome) -> JsonObject:
    words = (outcome.file.code, outcome.file.message, outcome.file.action)
    found = {PRIVATE_CREATOR_TAG: {"vr": "LO", "Value": [PRIVATE_CREATOR]}}
    for number, text in enumerate(words, 1):
        if text:
            found[f"0009{0x1000 + number:04X}"] = {"vr": "LT", "Value": [text]}
    return found
