"""The pages of the records app."""

from django.urls import path

from records.views import exports, images, patients, studies, submissions

app_name = "records"

urlpatterns = [
    path("submit/", submissions.SubmitView.as_view(), name="submit"),
    path(
        "submissions/",
        submissions.SubmissionCreateView.as_view(),
        name="submission-create",
    ),
    path(
        "submissions/<uuid:pk>/",
        submissions.SubmissionDetailView.as_view(),
        name="submission-detail",
    ),
    path(
        "submissions/<uuid:pk>/files/",
        submissions.SubmissionFileCreateView.as_view(),
        name="submission-file-create",
    ),
    path(
        "submissions/<uuid:pk>/close/",
        submissions.SubmissionCloseView.as_view(),
        name="submission-close",
    ),
    path("studies/", studies.StudyListView.as_view(), name="study-list"),
    path("studies/<uuid:pk>/", studies.StudyDetailView.as_view(), name="study-detail"),
    path("studies/<uuid:pk>/export/", exports.StudyExportView.as_view(), name="study-export"),
    path("exports/<uuid:pk>/", exports.ExportDetailView.as_view(), name="export-detail"),
    path("exports/<uuid:pk>/clear/", exports.ExportClearView.as_view(), name="export-clear"),
    path("exports/<uuid:pk>/file/", exports.ExportFileView.as_view(), name="export-file"),
    path("patients/", patients.PatientListView.as_view(), name="patient-list"),
    path("patients/<uuid:pk>/", patients.PatientDetailView.as_view(), name="patient-detail"),
    path(
        "instances/<uuid:pk>/frames/<int:frame>.png",
        images.FramePngView.as_view(),
        name="frame-png",
    ),
    path("instances/<uuid:pk>/file/", images.InstanceFileView.as_view(), name="instance-file"),
]
