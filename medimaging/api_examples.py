"""Examples in the API's document: what a caller sends and gets, of nobody who lives."""

from typing import Any

STUDY = "4b1e2f6c-6b0e-4a53-9c0f-3b7f1d2a8e11"
CLASSIFICATION = "b0f4c1de-7e0c-4c56-8a63-0a7a1a2f5d42"
SUBMISSION = "8d0c5a7e-93f1-4d2a-b7c1-5f6e0d9c4b31"
INSTANCE = "0a4d9f0e-3b65-4f0c-8d3e-6f0e4b1c2d53"
MOMENT = "2026-03-01T09:30:00Z"


def _problem(status: int, title: str, code: str, detail: str, action: str, **more: Any) -> Any:
    return {
        "type": f"urn:medimaging:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "action": action,
        "reference": "5f2b7c0d9e1a4c3f8b6d",
        **more,
    }


PROBLEM: dict[int, Any] = {
    400: _problem(
        400,
        "The request is not valid.",
        "invalid",
        "The request is not valid.",
        "Correct the fields named in `errors`.",
        errors=[{"pointer": "/scope", "code": "unknown", "detail": "Unknown field."}],
    ),
    401: _problem(
        401,
        "You are not signed in.",
        "not_authenticated",
        "The token is unknown, expired or revoked.",
        "Send a valid token, or sign in.",
    ),
    403: _problem(
        403,
        "Your role does not allow this.",
        "permission_denied",
        "Your role does not allow this.",
        "Ask your administrator for a role that does.",
    ),
    404: _problem(
        404,
        "Nothing was found here.",
        "not_found",
        "Nothing was found here.",
        "Check the address and your departments.",
    ),
    409: _problem(
        409,
        "The request was refused.",
        "submission_closed",
        "The submission is closed.",
        "Open another one.",
    ),
    412: _problem(
        412,
        "The request was refused.",
        "changed_meanwhile",
        "This has changed since you fetched it, so nothing was done.",
        "Fetch it again, look, and decide on what it says now.",
    ),
    422: _problem(
        422,
        "The request was refused.",
        "idempotency_key_reused",
        "This Idempotency-Key came with another request before.",
        "Send a new key with a new request, and the same body with the same key.",
    ),
    429: _problem(
        429,
        "There were too many requests.",
        "too_many_unfinished",
        "You have 32 unfinished uploads, the most that one person may have at a time.",
        "Finish, close or cancel some of them, or wait until they expire.",
    ),
    503: _problem(
        503,
        "The request was refused.",
        "storage_low",
        "The disk is nearly full.",
        "Tell your administrator, then send again.",
    ),
}

REQUESTS: dict[str, Any] = {
    "create_token": {"name": "PACS bridge", "scopes": ["study.submit", "study.view"], "days": 90},
    "review_classification": {
        "decision": "override",
        "label": "normal",
        "reason": "false_positive",
        "comment": "Skin fold.",
    },
    "search_studies": {"accession_number": "A-2026-0042"},
    "search_patients": {"patient_id": "10042", "issuer": ""},
    "create_hold": {"study": "A-2026-0042", "reason": "Case 4"},
    "lift_hold": {"reason": "The case is over"},
    "delete_study": {"reason": "Sent by mistake"},
}

RESPONSES: dict[str, Any] = {
    "create_submission": {
        "id": SUBMISSION,
        "state": "stored",
        "department": "radiology",
        "priority": "urgent",
        "origin": "api",
        "created_at": MOMENT,
        "closed_at": MOMENT,
        "updated_at": MOMENT,
        "files": [
            {
                "name": "01.dcm",
                "verdict": "stored",
                "code": "stored",
                "message": "Stored.",
                "action": "",
                "study": STUDY,
                "instance": INSTANCE,
                "size_bytes": 131072,
                "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            }
        ],
    },
    "review_classification": {
        "id": "c5b3d2a1-0f4e-4d6b-9a8c-7e6f5d4c3b2a",
        "classification": CLASSIFICATION,
        "stage": "released",
        "reviewer": "dr.meier",
        "responsible": None,
        "decision": "override",
        "label": "normal",
        "reason": "false_positive",
        "comment": "Skin fold.",
        "created_at": MOMENT,
    },
}
