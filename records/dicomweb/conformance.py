"""What this DICOMweb service does, told from the tables that it works by."""

from typing import Any

from pydicom.uid import AllTransferSyntaxes, UID_dictionary

from records.dicom.attributes import ATTRIBUTES
from records.dicom.storage_classes import is_stored_class
from records.dicomweb.negotiation import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    JSON,
    MULTIPART,
    OCTET_STREAM,
    compressed_type,
    has_decoder,
)
from records.dicomweb.pictures import PICTURE_TYPES, WINDOW_FUNCTIONS
from records.dicomweb.querying import MAX_RESULTS
from records.dicomweb.store_response import WARNING_REASONS
from records.failure_reasons import FAILURE_REASONS, PROCESSING_FAILURE

STUDY = "/studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"
FRAMES = f"{INSTANCE}/frames/{{list}}"
DOCUMENTS = (DICOM_JSON, JSON, f"{MULTIPART}; {DICOM_XML}")

Table = tuple[dict[str, Any], ...]

SERVICES: Table = (
    {
        "name": "Store (STOW-RS)",
        "method": "POST",
        "resources": ("/studies", STUDY),
        "media_types": (
            f"{MULTIPART}; {DICOM}",
            f"{MULTIPART}; {DICOM_JSON} (metadata and bulk data)",
            DICOM,
        ),
    },
    {
        "name": "Search (QIDO-RS)",
        "method": "GET",
        "resources": (
            "/studies",
            "/series",
            "/instances",
            f"{STUDY}/series",
            f"{STUDY}/instances",
            f"{SERIES}/instances",
        ),
        "media_types": DOCUMENTS,
    },
    {
        "name": "Retrieve (WADO-RS)",
        "method": "GET",
        "resources": (STUDY, SERIES, INSTANCE),
        "media_types": (f"{MULTIPART}; {DICOM}", f"{DICOM} (of one instance)"),
    },
    {
        "name": "Retrieve metadata",
        "method": "GET",
        "resources": tuple(f"{place}/metadata" for place in (STUDY, SERIES, INSTANCE)),
        "media_types": DOCUMENTS,
    },
    {
        "name": "Retrieve frames and bulk data",
        "method": "GET",
        "resources": (FRAMES, f"{INSTANCE}/bulkdata/{{path}}"),
        "media_types": (OCTET_STREAM, "image types of the stored syntax"),
    },
    {
        "name": "Retrieve rendered, and thumbnails",
        "method": "GET",
        "resources": tuple(
            f"{place}/{kind}"
            for place in (STUDY, SERIES, INSTANCE, FRAMES)
            for kind in ("rendered", "thumbnail")
        ),
        "media_types": PICTURE_TYPES,
    },
    {
        "name": "Delete (with the query parameter reason)",
        "method": "DELETE",
        "resources": (STUDY,),
        "media_types": (),
    },
    {
        "name": "Retrieve capabilities",
        "method": "GET",
        "resources": ("/", "/conformance"),
        "media_types": (JSON, "text/html"),
    },
)

STATUS_CODES: Table = (
    {"code": 200, "when": "All is stored, found or sent."},
    {"code": 202, "when": "Store: some objects are not held, or are held with a warning."},
    {"code": 204, "when": "Search: nothing matches. Delete: the study is gone."},
    {"code": 206, "when": "Retrieve: some objects can't be sent in an accepted transfer syntax."},
    {
        "code": 400,
        "when": "A parameter is unknown, empty or not valid; or so is the body, or a reason.",
    },
    {"code": 401, "when": "No token and no session, or one that is not valid."},
    {"code": 403, "when": "The role, or the token, does not allow it."},
    {"code": 404, "when": "There is no such resource in the departments that one may see."},
    {"code": 405, "when": "Delete: of a series or an instance; only whole studies are deleted."},
    {"code": 406, "when": "Nothing that is accepted can be made of what was asked for."},
    {
        "code": 409,
        "when": "Store: no object is held; the answer says why. Delete: a legal hold stands.",
    },
    {"code": 411, "when": "A chunked body behind a server that can't read it."},
    {"code": 413, "when": "Store: every object is too large."},
    {"code": 415, "when": "The body's content type is not accepted, or the body is packed."},
    {"code": 422, "when": "Rendered: the object has no pixels, or none that can be decoded."},
)


def describe_service() -> dict[str, Any]:
    """The whole statement as plain values."""
    return {
        "standard": "DICOM PS3.18",
        "services": SERVICES,
        "query_attributes": _query_attributes(),
        "query_limit": MAX_RESULTS,
        "window_functions": tuple(WINDOW_FUNCTIONS),
        "transfer_syntaxes": _transfer_syntaxes(),
        "storage_classes": _storage_classes(),
        "status_codes": STATUS_CODES,
        "failure_reasons": _reasons(FAILURE_REASONS | {"any other": PROCESSING_FAILURE}),
        "warning_reasons": _reasons(WARNING_REASONS),
    }


def _query_attributes() -> Table:
    return tuple(
        {
            "keyword": attribute.keyword,
            "tag": attribute.tag,
            "level": attribute.level.name.capitalize(),
            "matching": attribute.matching.value,
            "returned": attribute.returned.value,
        }
        for attribute in ATTRIBUTES
    )


def _transfer_syntaxes() -> Table:
    return tuple(
        {
            "uid": str(uid),
            "name": uid.name,
            "is_decoded": has_decoder(uid),
            "frames_as": compressed_type(uid) or OCTET_STREAM,
        }
        for uid in AllTransferSyntaxes
    )


def _storage_classes() -> Table:
    """The storage classes that pydicom's dictionary knows; others are stored just the same."""
    return tuple(
        {"uid": uid, "name": name}
        for uid, (name, kind, _, retired, _) in UID_dictionary.items()
        if kind == "SOP Class" and not retired and is_stored_class(uid)
    )


def _reasons(codes: dict[str, int]) -> Table:
    return tuple(
        {"code": code, "reason": reason, "hexadecimal": f"{reason:04X}"}
        for code, reason in codes.items()
    )
