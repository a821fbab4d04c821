"""How drf-spectacular describes the API in `/api/schema/` and docs/openapi.yaml."""

from typing import Any

SETTINGS: dict[str, Any] = {
    "TITLE": "Medical image classification API",
    "DESCRIPTION": (
        "Submit imaging studies, follow their classification, read and review results. "
        "Decision support: a person decides. Errors are RFC 9457 problem documents with a "
        "stable `code` and an `action` that says what to do; their `type` is the code as a URN. "
        "Enums of answers may grow: take a value that you don't know as one more of its kind. "
        "Within v1 nothing else of an answer changes its name, its type or its meaning, and "
        "nothing that is accepted is refused later; what will go is marked `deprecated` for six "
        "months, with the header `Sunset`."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/", "description": "The installation that this document comes from."}],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "medimaging.api_components.complete",
    ],
    # Four are fields called `state`, three are called `task`.
    "ENUM_NAME_OVERRIDES": {
        "ClassificationState": "classifier.choices.ClassificationState",
        "ClassificationOutcome": "classifier.choices.ClassificationOutcome",
        "AuditOutcome": "accounts.choices.Outcome",
        "StudyState": "records.choices.StudyState",
        "SubmissionState": "records.choices.SubmissionState",
        "ConflictState": "records.choices.ConflictState",
        "ConflictSide": "records.api.identity_serializers.SIDES",
        "QuarantineState": "records.choices.QuarantineState",
        "QuarantineReason": "records.choices.QuarantineReason",
        "ReasonEnum": "classifier.choices.OverrideReason",
        "ExportState": "records.choices.ExportState",
        "KindEnum": "records.choices.ConflictKind",
        "SourceKind": "classifier.choices.SourceKind",
        "ModelTask": "classifier.task_registry.TASK_CHOICES",
        "ClassificationTask": "classifier.models.CLASSIFICATION_TASKS",
        "StudyTask": "classifier.task_registry.STUDY_TASK_CHOICES",
    },
}
