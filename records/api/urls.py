"""The addresses of the records part of the API, under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from records.api import exports, views

router = SimpleRouter(use_regex_path=False)
router.register("submissions", views.SubmissionViewSet, basename="api-submission")
router.register("patients", views.PatientViewSet, basename="api-patient")
router.register("studies", views.StudyViewSet, basename="api-study")
router.register("instances", views.InstanceViewSet, basename="api-instance")
router.register("exports", exports.ExportViewSet, basename="api-export")

urlpatterns = [path("", include(router.urls))]
