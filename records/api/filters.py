"""The parameters that narrow the API's lists. No patient's data: addresses end up in logs."""

import datetime as dt
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from accounts.models import Department
from accounts.roles import Verb
from records.models import Priority, StudyState


class StudyFilterSerializer(serializers.Serializer[Any]):
    """What studies can be narrowed by."""

    modality = serializers.CharField(required=False, max_length=16)
    body_part = serializers.CharField(required=False, max_length=64)
    state = serializers.ChoiceField(choices=StudyState.choices, required=False)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False)
    department = serializers.SlugField(required=False, help_text="A department's slug.")
    since = serializers.DateField(required=False, help_text="Received from this day on.")
    until = serializers.DateField(required=False, help_text="Received up to and with this day.")
    patient = serializers.UUIDField(required=False, help_text="A patient record's id.")
    study_instance_uid = serializers.RegexField(r"^[0-9.]{1,64}$", required=False)

    def validate_since(self, value: dt.date) -> dt.datetime:
        """From the first moment of that day."""
        return _start_of(value)

    def validate_until(self, value: dt.date) -> dt.datetime:
        """Up to the first moment of the next."""
        return _start_of(value + dt.timedelta(days=1))

    def validate_department(self, value: str) -> Department:
        """One in which the caller may look at studies."""
        allowed = self.context["request"].user.departments_for(Verb.STUDY_VIEW)
        department = allowed.filter(slug=value).first()
        if department is None:
            raise serializers.ValidationError("You can see no such department.")
        return department


class InstanceFilterSerializer(serializers.Serializer[Any]):
    """What instances can be narrowed by."""

    study = serializers.UUIDField(required=False, help_text="A study's id.")
    series = serializers.UUIDField(required=False, help_text="A series' id.")


class FrameSerializer(serializers.Serializer[Any]):
    """Which frame to draw, and with which window."""

    frame = serializers.IntegerField(required=False, min_value=1, default=1)
    center = serializers.FloatField(required=False)
    width = serializers.FloatField(required=False)


def read_filters(
    request: Request, serializer_class: type[serializers.Serializer[Any]]
) -> dict[str, Any]:
    """Return a list's parameters, checked; raises ValidationError naming a bad one."""
    serializer = serializer_class(data=request.query_params, context={"request": request})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _start_of(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))
