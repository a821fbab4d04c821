"""Bodies that say nothing the API doesn't know: serializers and the JSON parser behind them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from django.utils.datastructures import MultiValueDict
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

Details = dict[Any, Any]
Checked = TypeVar("Checked", bound="StrictSerializer")

UNKNOWN = ErrorDetail("Unknown field.", code="unknown")
BLANK = ErrorDetail("It may not be empty. Leave it out.", code="blank")
REPEATED = ErrorDetail("It is given more than once.", code="repeated")
NUMBERS_UP_TO = 1e308
LISTS = (serializers.ListField, serializers.ListSerializer, serializers.MultipleChoiceField)
# What the first of these classes that a field belongs to takes in JSON, and how it is called.
JSON_KINDS: tuple[tuple[Any, Any, str], ...] = (
    (LISTS, list, "a list"),
    ((serializers.BaseSerializer, serializers.DictField), dict, "an object"),
    ((serializers.JSONField, serializers.FileField), object, ""),
    (serializers.BooleanField, bool, "true or false"),
    (serializers.IntegerField, int, "a whole number"),
    (serializers.FloatField, (int, float), "a number"),
    (serializers.Field, str, "text"),
)


class StrictSerializer(serializers.Serializer[Any]):
    """The base of every body that the API takes in.

    It refuses a field that it doesn't name, one that a form gives twice, an empty text where the
    field doesn't allow it, and a value of another JSON type than the field's own, in nested
    objects as well: what is misspelt, or was a variable that nobody set, isn't left out.
    """

    def to_internal_value(self, data: Any) -> Any:
        """Check what was given before what it says; raises ValidationError."""
        if isinstance(data, Mapping):
            wrong = dict(self._refused(data))
            if wrong:
                raise ValidationError(wrong)
        return super().to_internal_value(data)

    def _refused(self, data: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        taken = {name: field for name, field in self.fields.items() if not field.read_only}
        for name in data:
            if name not in taken:
                yield name, [UNKNOWN]
            elif _is_blank(data[name]) and not getattr(taken[name], "allow_blank", False):
                yield name, [BLANK]
            elif isinstance(data, MultiValueDict):
                if len(data.getlist(name)) > 1 and not isinstance(taken[name], LISTS):
                    yield name, [REPEATED]
            elif misfit := _misfit_of(taken[name], data[name]):
                yield name, misfit


class NothingSerializer(StrictSerializer):
    """The body of a request that needs none."""


class StrictJSONParser(BaseParser):
    """JSON in UTF-8, in which no object says a thing twice."""

    media_type = "application/json"

    def parse(self, stream: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the body; raises ParseError and, for a name that stands twice, ValidationError."""
        try:
            text = stream.read().decode("utf-8")
            return json.loads(text, object_pairs_hook=_object_of, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        except ValueError as error:
            raise ParseError("The body is not valid JSON in UTF-8.") from error


def read_body(request: Request, serializer_class: type[Checked], **context: Any) -> Checked:
    """Return the request's body, checked; raises ValidationError."""
    given = serializer_class(data=request.data, context={"request": request, **context})
    given.is_valid(raise_exception=True)
    return given


def refuse_body(request: Request) -> None:
    """Refuse whatever stands in the body of a request that needs none; raises ValidationError."""
    read_body(request, NothingSerializer)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _misfit_of(field: Any, value: Any) -> list[ErrorDetail] | Details | None:
    """What is wrong with the JSON type of a value, by position where that is inside a list."""
    if value is None:  # the field says whether it may be
        return None
    kind, words = next(
        (kind, words) for owner, kind, words in JSON_KINDS if isinstance(field, owner)
    )
    is_right = isinstance(value, kind) and (kind in (bool, object) or not isinstance(value, bool))
    if is_right and isinstance(field, serializers.FloatField):
        is_right = abs(value) <= NUMBERS_UP_TO
    if not is_right:
        return [ErrorDetail(f"It must be {words}.", code="wrong_type")]
    child = getattr(field, "child", None)
    if child is None or not isinstance(value, list):
        return None
    misfits = ((index, _misfit_of(child, one)) for index, one in enumerate(value))
    return {index: misfit for index, misfit in misfits if misfit} or None


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValidationError({name: [REPEATED] for name in found if names.count(name) > 1})
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(name)
