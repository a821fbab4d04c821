"""The pages of the classifier app."""

from django.urls import path

from classifier.views import (
    classifications,
    failures,
    patients,
    reviews,
    versions,
    worklist,
)

app_name = "classifier"

urlpatterns = [
    path("worklist/", worklist.WorklistView.as_view(), name="worklist"),
    path("queue/", worklist.QueuePillView.as_view(), name="queue-pill"),
    path("classifications/<uuid:pk>/status/", classifications.StatusView.as_view(), name="status"),
    path(
        "classifications/<uuid:pk>/opinion/", classifications.OpinionView.as_view(), name="opinion"
    ),
    path(
        "classifications/<uuid:pk>/review/",
        reviews.ReviewCreateView.as_view(),
        name="review-create",
    ),
    path(
        "classifications/<uuid:pk>/draft/",
        reviews.ReviewDraftView.as_view(),
        name="review-draft",
    ),
    path("classifications/<uuid:pk>/rerun/", classifications.RerunView.as_view(), name="rerun"),
    path(
        "classifications/<uuid:pk>/task/",
        classifications.TaskStateView.as_view(),
        name="task-state",
    ),
    path(
        "patients/<uuid:pk>/results/",
        patients.PatientResultsView.as_view(),
        name="patient-results",
    ),
    path(
        "classifications/<uuid:pk>/overlay/<uuid:instance_pk>/<int:frame>/",
        classifications.OverlayView.as_view(),
        name="overlay-png",
    ),
    path("failed/", failures.FailedListView.as_view(), name="failed-list"),
    path("failed/rerun/", failures.FailedRerunView.as_view(), name="failed-rerun"),
    path("models/", versions.ModelListView.as_view(), name="model-list"),
    path("models/<uuid:pk>/", versions.ModelDetailView.as_view(), name="model-detail"),
    path("models/<uuid:pk>/deploy/", versions.ModelDeployView.as_view(), name="model-deploy"),
    path(
        "models/<uuid:pk>/sources/",
        versions.SourceValidationCreateView.as_view(),
        name="source-validation-create",
    ),
    path(
        "models/sources/<uuid:pk>/withdraw/",
        versions.SourceValidationWithdrawView.as_view(),
        name="source-validation-withdraw",
    ),
    path(
        "models/tasks/<slug:task>/withdraw/",
        versions.TaskWithdrawView.as_view(),
        name="task-withdraw",
    ),
]
