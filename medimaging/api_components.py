"""What the operations in the API's document share: refusals, headers, tus's methods, examples."""

from http import HTTPStatus
from typing import Any

from accounts.api.contract import PROBLEMS
from medimaging.api_examples import PROBLEM, REQUESTS, RESPONSES

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Why something was refused (RFC 9457).",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "The kind: `urn:medimaging:problem:` and the code.",
        },
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; docs/integrators.md lists them."},
        "detail": {"type": "string", "description": "A sentence for people."},
        "action": {"type": "string", "description": "What to do."},
        "reference": {"type": "string", "description": "What to quote to an administrator."},
        "errors": {
            "type": "array",
            "description": "The fields that are to blame.",
            "items": {"$ref": "#/components/schemas/FieldProblem"},
        },
    },
    "required": ["type", "title", "status", "code", "detail", "action", "reference"],
}
FIELD_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pointer": {"type": "string", "description": "A JSON pointer to the field."},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
    "required": ["pointer", "code", "detail"],
}
HEADERS: dict[str, Any] = {
    "ETag": (
        "Names the state that is shown; for `If-None-Match` and `If-Match`.",
        "string",
    ),
    "Idempotent-Replayed": ("`true` where the request had been done before.", "string"),
    "Location": ("Where the upload is.", "string"),
    "Retry-After": ("After how many seconds another try makes sense.", "integer"),
    "Tus-Checksum-Algorithm": ("What `Upload-Checksum` may be counted by.", "string"),
    "Tus-Extension": ("What of tus this server knows.", "string"),
    "Tus-Max-Size": ("The most bytes that a file may have.", "integer"),
    "Tus-Resumable": ("1.0.0", "string"),
    "Tus-Version": ("1.0.0", "string"),
    "Upload-Expires": ("Until when the upload can be gone on with.", "string"),
    "Upload-Length": ("How many bytes the file has.", "integer"),
    "Upload-Offset": ("How many of them are held.", "integer"),
    "WWW-Authenticate": ("The scheme: `Bearer`.", "string"),
    "X-Request-ID": ("The `reference` of the request.", "string"),
}
WAITING = {409, 423, 429, 503}
PROGRESS = ("Upload-Offset", "Upload-Length", "Upload-Expires")
UPLOADS = "/api/v1/submissions/{submission_pk}/uploads/"
UPLOAD = UPLOADS + "{id}/"


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what all operations share, the methods of tus that the library skips, and examples."""
    components = result["components"]
    components["schemas"] |= {"Problem": PROBLEM_SCHEMA, "FieldProblem": FIELD_PROBLEM_SCHEMA}
    components["headers"] = {
        name: {"description": text, "schema": {"type": kind}}
        for name, (text, kind) in HEADERS.items()
    }
    components["responses"] = {"NotModified": _not_modified()} | {
        name: _refusal(status, name) for status, name in PROBLEMS.items()
    }
    _describe_tus(result["paths"])
    for methods in result["paths"].values():
        for operation in methods.values():
            _finish(operation)
    components["schemas"] = dict(sorted(components["schemas"].items()))
    return result


def _refer(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _not_modified() -> dict[str, Any]:
    return {
        "description": "Nothing has changed since the answer with this `ETag`.",
        "headers": _refer("ETag", "X-Request-ID"),
    }


def _refusal(status: int, name: str) -> dict[str, Any]:
    headers = ["X-Request-ID"]
    headers += ["Retry-After"] if status in WAITING else []
    headers += ["WWW-Authenticate"] if status == HTTPStatus.UNAUTHORIZED else []
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if status in PROBLEM:
        content["example"] = PROBLEM[status]
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return {
        "description": f"{words.strip().capitalize()}.",
        "headers": _refer(*headers),
        "content": {"application/problem+json": content},
    }


def _finish(operation: dict[str, Any]) -> None:
    """Name headers of successes, and give the examples of an operation."""
    name = operation["operationId"]
    is_once = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            continue
        if is_once:
            answer.setdefault("headers", {}).update(_refer("Idempotent-Replayed"))
        if name in RESPONSES and "application/json" in answer.get("content", {}):
            answer["content"]["application/json"]["example"] = RESPONSES[name]
    if name in REQUESTS:
        for content in operation["requestBody"]["content"].values():
            content["example"] = REQUESTS[name]


def _describe_tus(paths: dict[str, Any]) -> None:
    """Add HEAD and OPTIONS, and the headers in which tus says how far a file has come."""
    creation, upload = paths[UPLOADS], paths[UPLOAD]
    creation["post"]["responses"]["201"]["headers"] |= _refer("Location", *PROGRESS)
    upload["patch"]["responses"]["204"]["headers"] |= _refer(*PROGRESS)
    for methods in (creation, upload):
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status.startswith("2"):
                    answer["headers"] |= _refer("Tus-Resumable", "Tus-Version")
    asked = {name: upload["get"][name] for name in ("tags", "security")}
    in_path = [one for one in upload["get"]["parameters"] if one["in"] == "path"]
    resumable = [one for one in upload["patch"]["parameters"] if one["name"] == "Tus-Resumable"]
    silent = {
        status: {"description": PROBLEMS[status], "headers": _refer("X-Request-ID")}
        for status in (400, 401, 403, 404, 410, 412, 429, 500, 503)
    }
    upload["head"] = {
        "operationId": "get_upload_offset",
        "summary": "How far an upload has come, in headers",
        "parameters": in_path + resumable,
        **asked,
        "responses": {
            "200": {
                "description": "How many bytes are held.",
                "headers": _refer("X-Request-ID", "Tus-Resumable", *PROGRESS),
            },
            **{str(status): answer for status, answer in silent.items()},
        },
    }
