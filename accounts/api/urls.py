"""The addresses of the accounts part of the API, under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from accounts.api import schema, views  # noqa: F401 - the schema registers itself

router = SimpleRouter(use_regex_path=False)
router.register("departments", views.DepartmentViewSet, basename="api-department")
router.register("tokens", views.TokenViewSet, basename="api-token")
router.register("audit-events", views.AuditEventViewSet, basename="api-audit-event")

urlpatterns = [
    path("me/", views.MeView.as_view(), name="api-me"),
    path("", include(router.urls)),
]
