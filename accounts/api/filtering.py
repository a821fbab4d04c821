"""The API's lists narrowed by the forms that their views name."""

from http import HTTPStatus
from typing import Any

from django import forms
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from accounts.filters import DayField, FlagField

NOT_FOUND = "not_found"
# The first of these that a field belongs to says what the OpenAPI document calls it.
SCHEMAS: tuple[tuple[type[forms.Field], dict[str, Any]], ...] = (
    (FlagField, {"type": "boolean"}),
    (forms.UUIDField, {"type": "string", "format": "uuid"}),
    (DayField, {"type": "string", "format": "date"}),
    (forms.DateField, {"type": "string", "format": "date"}),
    (forms.DateTimeField, {"type": "string", "format": "date-time"}),
    (forms.FloatField, {"type": "number"}),
    (forms.IntegerField, {"type": "integer"}),
    (forms.Field, {"type": "string"}),
)


class FormFilterBackend(BaseFilterBackend):
    """Narrows a list by its view's `filter_form_class`, and names its fields in the document.

    A view whose form needs to know who asks has `make_filter_form`.
    """

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        """Return the rows that pass; raises ValidationError, or NothingOfThatName."""
        form_class = getattr(view, "filter_form_class", None)
        if form_class is None or getattr(view, "action", "list") != "list":
            return queryset
        make = getattr(view, "make_filter_form", form_class)
        form = make(request.query_params)
        if not form.is_valid():
            raise refusal_of(form)
        view.filter_form = form
        narrowed: QuerySet[Any] = form.narrow(queryset)
        return narrowed

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The fields as parameters."""
        form_class = getattr(view, "filter_form_class", None)
        fields = form_class.base_fields if form_class else {}
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": str(field.help_text or field.label or ""),
                "schema": schema_of(field),
            }
            for name, field in fields.items()
        ]


def schema_of(field: forms.Field) -> dict[str, Any]:
    """How the OpenAPI document describes a field's value."""
    found = dict(next(schema for owner, schema in SCHEMAS if isinstance(field, owner)))
    choices = getattr(field, "choices", None)
    if choices and not isinstance(field, FlagField | forms.ModelChoiceField):
        values = sorted(value for value, _ in choices if value != "")
        is_number = all(isinstance(value, int) for value in values)
        found |= {"enum": values, "type": "integer" if is_number else "string"}
    least = getattr(field, "min_value", None)
    if least is not None:
        found["minimum"] = least
    if longest := getattr(field, "max_length", None):
        found["maxLength"] = longest
    return found


def refusal_of(form: forms.Form) -> APIException:
    """What to raise for a form that isn't valid, with each field's own words."""
    details = {
        name: [ErrorDetail(one["message"], code=one["code"] or "invalid") for one in errors]
        for name, errors in form.errors.get_json_data().items()
    }
    refusal = ValidationError(details)
    if all(one.code == NOT_FOUND for errors in details.values() for one in errors):
        # The request is well made; what it names isn't there, or out of the caller's sight.
        refusal.status_code = HTTPStatus.NOT_FOUND
    return refusal


def parameters_of(form_class: type[forms.Form]) -> list[OpenApiParameter]:
    """A form's fields as the OpenAPI document has them, for an answer that is no list."""
    fields: dict[str, forms.Field] = form_class.base_fields
    return [
        OpenApiParameter(name, type=schema_of(field), description=str(field.help_text or ""))
        for name, field in fields.items()
    ]
