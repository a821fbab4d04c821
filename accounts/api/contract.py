"""How each operation of the API is described: its name, its refusals, and what is null or blank."""

import json
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import append_meta
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.settings import api_settings

from accounts.api.entity_tags import Editable
from accounts.api.idempotency import is_idempotent
from accounts.api.strict import StrictSerializer

PROBLEMS = {
    400: "Invalid",
    401: "NotAuthenticated",
    403: "PermissionDenied",
    404: "NotFound",
    406: "NotAcceptable",
    408: "TooSlow",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    422: "NotProcessable",
    423: "Locked",
    429: "TooManyRequests",
    460: "ChecksumMismatch",
    500: "InternalError",
    503: "Unavailable",
}
"""The statuses with which something is refused, and what the document calls each."""

JSON = "application/json"
TEXT = r"^[^\x00]*[^\s\x00][^\x00]*$"
"""A text that says something; PostgreSQL holds no NUL."""
ANY_TEXT = r"^[^\x00]*$"
ALWAYS = (400, 401, 403, 429, 500, 503)
WITH_BODY = (408, 413, 415)
NAMES = {"list": "list_{many}", "retrieve": "get_{one}", "create": "create_{one}"}
NAMES |= {"destroy": "delete_{one}", "search": "search_{many}", "rendered": "render_{one}"}
NAMES |= {"review_list": "list_reviews", "review_create": "review_{one}"}
NAMES |= {"state_task": "state_{one}_task", "hold": "get_{one}_hold"}
NAMES |= {"file": "download_{one}"}
NOUNS = {
    "deleted-studies": ("deleted_study", "deleted_studies"),
    "quarantine": ("quarantined_file", "quarantined_files"),
    "studies": ("study", "studies"),
}
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the answer that you have: 304 without a body if nothing changed.",
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of what you decide about: 412, and nothing done, if it has changed.",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="Chosen by you for one request, a UUID for instance. Sent again within 24 hours, "
    "the request isn't done a second time: the first answer comes back.",
)


class ContractSchema(AutoSchema):
    """Says of every operation what the library leaves out.

    A view may name in `also_answers`, by action or method, statuses that its kind of operation
    doesn't have by rule.
    """

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """Add refusals and headers to what the library describes."""
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            _describe_answers(operation, self._statuses(operation))
        return operation

    def get_operation_id(self) -> str:
        """Return a name that a person would write: `list_studies`, `close_submission`."""
        segment = self._tokenize_path()[0]
        named = segment.replace("-", "_")
        one, many = NOUNS.get(segment, (named.removesuffix("s"), named))
        action = getattr(self.view, "action", None)
        if action is None:
            return f"{self.method.lower()}_{one}"
        if action in NAMES:
            return NAMES[action].format(many=many, one=one)
        return f"get_{one}_{action}" if self.method == "GET" else f"{action}_{one}"

    def get_override_parameters(self) -> list[Any]:
        """Add the headers by which an operation is made conditional."""
        found: list[Any] = list(super().get_override_parameters())
        if self._is_tagged():
            found.append(IF_NONE_MATCH)
        if self._is_conditional():
            found.append(IF_MATCH)
        if is_idempotent(self._handler()):
            found.append(IDEMPOTENCY_KEY)
        return found

    def _handler(self) -> Any:
        name = getattr(self.view, "action", None) or self.method.lower()
        return getattr(self.view, name, None)

    def _is_tagged(self) -> bool:
        # What is a file goes to whoever asks for it, in whatever format.
        negotiation = self.view.content_negotiation_class
        is_file = negotiation is not api_settings.DEFAULT_CONTENT_NEGOTIATION_CLASS
        return self.method == "GET" and not is_file

    def _is_conditional(self) -> bool:
        is_unsafe = self.method not in {"GET", "HEAD"}
        return isinstance(self.view, Editable) and is_unsafe and "{" in self.path

    def _statuses(self, operation: dict[str, Any]) -> set[int]:
        found = set(ALWAYS)
        if "{" in self.path:
            found.add(404)
        if self.method != "GET" and getattr(self.view, "action", None) != "search":
            found.add(409)
        if "requestBody" in operation:
            found.update(WITH_BODY)
        if self._is_conditional():
            found.add(412)
        if is_idempotent(self._handler()):
            found.add(422)
        if _gives_json(operation):
            found.add(406)
        more = getattr(self.view, "also_answers", {})
        name = getattr(self.view, "action", None) or self.method.lower()
        return found | set(more.get(name, ()))

    def _get_paginator(self) -> Any:
        """Only lists come in pages: what a POST answers is whole."""
        return super()._get_paginator() if self.method == "GET" else None

    def _map_serializer_field(self, field: Any, direction: Any, *args: Any, **kwargs: Any) -> Any:
        """Describe a field as it is: null and blank where the column may be so."""
        if isinstance(field, serializers.TimeField):
            # Without an offset, which JSON Schema's format `time` asks for.
            time = {"type": "string", "pattern": r"^\d{2}:\d{2}:\d{2}(\.\d{1,6})?$"}
            return append_meta(time, self._get_serializer_field_meta(field, direction))
        _learn_from_model(field)
        found = super()._map_serializer_field(field, direction, *args, **kwargs)
        is_text = type(field) is serializers.CharField and direction == "request"
        if is_text and "pattern" not in found:
            found["pattern"] = ANY_TEXT if field.allow_blank else TEXT
        if isinstance(field, serializers.ListField) and not field.allow_empty:
            found.setdefault("minItems", 1)
        return found

    def _postprocess_serializer_schema(self, schema: Any, serializer: Any, direction: Any) -> Any:
        """Say that answers always have all of their fields, and strict bodies no others.

        A serializer names in `rules` what JSON Schema can say of fields together.
        """
        found = super()._postprocess_serializer_schema(schema, serializer, direction)
        if direction == "response" and found.get("properties"):
            found["required"] = sorted(found["properties"])
        for name, field in found.get("properties", {}).items():
            if {"type": "string", "maxLength": 0} in field.get("oneOf", ()):
                # The pattern lets a blank through by itself.
                found["properties"][name] = {**field["oneOf"][0], **field}
                del found["properties"][name]["oneOf"]
        if direction == "request" and isinstance(serializer, StrictSerializer):
            found["additionalProperties"] = False
            found |= getattr(serializer, "rules", {})
        return found

    def _get_serializer_field_meta(self, field: Any, direction: Any) -> Any:
        """Tell defaults in words: makers of clients take a field that has one as always there."""
        _learn_from_model(field)
        meta = super()._get_serializer_field_meta(field, direction)
        default = meta.pop("default", None)
        if direction == "request" and default not in (None, "", []):
            told = f"Left out: `{json.dumps(default)}`."
            meta["description"] = f"{meta.get('description', '')} {told}".strip()
        return meta


def _gives_json(operation: dict[str, Any]) -> bool:
    return any(JSON in answer.get("content", {}) for answer in operation["responses"].values())


def _describe_answers(operation: dict[str, Any], statuses: set[int]) -> None:
    answers = operation["responses"]
    for status, answer in answers.items():
        headers = answer.setdefault("headers", {})
        headers["X-Request-ID"] = {"$ref": "#/components/headers/X-Request-ID"}
        is_tagged = any(one["name"] == "If-None-Match" for one in operation.get("parameters", ()))
        if status == "200" and is_tagged:
            headers["ETag"] = {"$ref": "#/components/headers/ETag"}
            statuses = statuses | {304}
    for status in sorted(statuses):
        name = "NotModified" if status == 304 else PROBLEMS[status]
        answers.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})


def _learn_from_model(field: Any) -> None:
    """Tell a read-only field of a model what its column says of null and blank."""
    model = getattr(getattr(getattr(field, "parent", None), "Meta", None), "model", None)
    if model is None or not field.read_only or isinstance(field, serializers.SerializerMethodField):
        return
    for name in str(field.source).split("."):
        try:
            column = model._meta.get_field(name)
        except FieldDoesNotExist:
            return
        if column.concrete and column.null:
            field.allow_null = True
        if not column.is_relation:
            is_choice = isinstance(field, serializers.ChoiceField)
            if is_choice and column.blank and not column.null:
                field.allow_blank = True
            return
        model = column.related_model
