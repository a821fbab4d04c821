"""The addresses of the records part of the API, under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from records.api import department_rules, exports, identity_views, keeping, uploads, views

router = SimpleRouter(use_regex_path=False)
router.register("submissions", views.SubmissionViewSet, basename="api-submission")
router.register("patients", views.PatientViewSet, basename="api-patient")
router.register("studies", views.StudyViewSet, basename="api-study")
router.register("instances", views.InstanceViewSet, basename="api-instance")
router.register("deleted-studies", keeping.DeletedStudyViewSet, basename="api-deleted-study")
router.register("holds", keeping.HoldViewSet, basename="api-hold")
router.register("conflicts", identity_views.ConflictViewSet, basename="api-conflict")
router.register("quarantine", identity_views.QuarantineViewSet, basename="api-quarantine")
router.register(
    "department-rules", department_rules.DepartmentRuleViewSet, basename="api-department-rule"
)
router.register("exports", exports.ExportViewSet, basename="api-export")

urlpatterns = [
    path("", include(router.urls)),
    path("storage/", keeping.StorageView.as_view(), name="api-storage"),
    path(
        "submissions/<uuid:submission_pk>/uploads/",
        uploads.UploadListView.as_view(),
        name="api-submission-upload-list",
    ),
    path(
        "submissions/<uuid:submission_pk>/uploads/<uuid:pk>/",
        uploads.UploadDetailView.as_view(),
        name="api-submission-upload-detail",
    ),
]
