"""The REST API: one router per app, under /api/v1/."""

from django.urls import include, path

urlpatterns = [
    path("", include("accounts.api.urls")),
    path("", include("records.api.urls")),
    path("", include("classifier.api.urls")),
]
