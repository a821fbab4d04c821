"""Finding studies and patients by numbers that no address may hold: they come in the body."""

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer, inline_serializer
from rest_framework import serializers
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.actions import AuditAction
from accounts.api.strict import StrictSerializer, read_body
from accounts.paging import paginate
from records.accesses import record_list_read

MOST = 200
PAGE_CONTROLS = frozenset({"cursor", "page_size"})


class PageWantedSerializer(StrictSerializer):
    """Which part of what is found."""

    page_size = serializers.IntegerField(min_value=1, max_value=MOST, default=50)
    cursor = serializers.CharField(
        required=False, max_length=2000, help_text="`next_cursor` of the answer before."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for at least one number: without, everybody would be found."""
        wanted = {"accession_number", "patient_id", "study_instance_uid"} & self.fields.keys()
        if not wanted & attrs.keys():
            named = " or ".join(f"`{name}`" for name in sorted(wanted))
            raise serializers.ValidationError(f"Say what to search for: {named}.")
        if "issuer" in attrs and "patient_id" not in attrs:
            raise serializers.ValidationError({"patient_id": "An issuer alone finds nobody."})
        return attrs


@extend_schema_serializer(component_name="PatientSearch")
class PatientSearchSerializer(PageWantedSerializer):
    """A patient by the hospital's number; compared as a whole, and with its case."""

    patient_id = serializers.CharField(max_length=64, help_text="Patient ID (0010,0020).")
    issuer = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=64,
        help_text="Issuer of Patient ID; blank for IDs without one. Left out, any issuer's.",
    )


@extend_schema_serializer(component_name="StudySearch")
class StudySearchSerializer(PatientSearchSerializer):
    """Studies by their numbers: all that are given must match, each as a whole."""

    rules: ClassVar[dict[str, Any]] = {"dependentRequired": {"issuer": ["patient_id"]}}

    accession_number = serializers.CharField(required=False, max_length=64)
    patient_id = serializers.CharField(required=False, max_length=64)
    study_instance_uid = serializers.RegexField(r"^[0-9.]{1,64}$", required=False)


def page_of(row: type[serializers.BaseSerializer[Any]]) -> Any:
    """Describe a part of what was found: `next_cursor` asks for the rest, null where none is."""
    return inline_serializer(
        f"Found{row.__name__.removesuffix('Serializer')}Page",
        {"next_cursor": serializers.CharField(allow_null=True), "results": row(many=True)},
    )


class Searched:
    """A view set whose rows can be searched for with `search_in`."""

    search_action: ClassVar[AuditAction]
    request: Any

    def search_in(
        self,
        rows: Any,
        *,
        by: type[PageWantedSerializer],
        key: Sequence[str],
    ) -> Response:
        """Answer with a page of `rows` that bear the numbers in the body, and note the search."""
        given = read_body(self.request, by).validated_data
        numbers = {name: text for name, text in given.items() if name not in PAGE_CONTROLS}
        found = rows.bearing(numbers)
        page = paginate(
            found,
            key=key,
            after=given.get("cursor"),
            size=given["page_size"],
            # A blank issuer narrows too.
            filters={name: [f"={text}"] for name, text in numbers.items()},
        )
        record_list_read(
            actor=signed_in_user(self.request),
            action=self.search_action,
            place=f"{self.basename}-search",  # type: ignore[attr-defined]  # a view set's
            filters=dict.fromkeys(sorted(numbers), ""),
            searched=numbers.values(),
            rows=page.items,
            is_continued="cursor" in given,
        )
        results = self.get_serializer(page.items, many=True).data  # type: ignore[attr-defined]  # a view set's
        return Response({"next_cursor": page.next_cursor, "results": results})
