"""Every address of the product."""

from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.decorators.http import require_safe

from classifier.views.worklist import HomeView
from medimaging import problems, views
from medimaging.health import views as health

urlpatterns = [
    path("", HomeView.as_view(), name="home"),
    path("", include("accounts.urls")),
    path("", include("records.urls")),
    path("", include("classifier.urls")),
    path("api/v1/", include("medimaging.api")),
    path("dicomweb/", include("records.dicomweb.urls")),
    path("api/schema/", views.ApiSchemaView.as_view(), name="api-schema"),
    path("api/docs/", require_safe(views.api_docs), name="api-docs"),
    path("healthz", login_not_required(require_safe(health.live)), name="healthz"),
    path("readyz", login_not_required(require_safe(health.ready)), name="readyz"),
    path("statusz", login_not_required(require_safe(health.status)), name="statusz"),
]

handler400 = problems.bad_request
handler403 = problems.permission_denied
handler404 = problems.page_not_found
handler500 = problems.server_error
