"""The pages of the records app."""

from django.urls import path

from records.views import (
    conflicts,
    department_rules,
    exports,
    images,
    keeping,
    nodes,
    patients,
    quarantine,
    studies,
    submissions,
    timeline,
)

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
        "submissions/<uuid:pk>/close/",
        submissions.SubmissionCloseView.as_view(),
        name="submission-close",
    ),
    path(
        "submissions/<uuid:pk>/again/",
        submissions.SubmitAgainView.as_view(),
        name="submission-again",
    ),
    path("submit/known/", submissions.KnownPatientsView.as_view(), name="known-patients"),
    path("department-rules/", department_rules.RuleListView.as_view(), name="department-rule-list"),
    path(
        "department-rules/new/",
        department_rules.RuleCreateView.as_view(),
        name="department-rule-create",
    ),
    path(
        "department-rules/<uuid:pk>/",
        department_rules.RuleEditView.as_view(),
        name="department-rule-edit",
    ),
    path(
        "department-rules/<uuid:pk>/remove/",
        department_rules.RuleRemoveView.as_view(),
        name="department-rule-remove",
    ),
    path("studies/move/", department_rules.StudyMoveByUidView.as_view(), name="study-move-by-uid"),
    path("studies/<uuid:pk>/move/", department_rules.StudyMoveView.as_view(), name="study-move"),
    path("studies/", studies.StudyListView.as_view(), name="study-list"),
    path("studies/<uuid:pk>/", studies.StudyDetailView.as_view(), name="study-detail"),
    path(
        "studies/<uuid:pk>/timeline/",
        timeline.StudyTimelineView.as_view(),
        name="study-timeline",
    ),
    path("studies/<uuid:pk>/delete/", keeping.StudyDeleteView.as_view(), name="study-delete"),
    path(
        "deleted-studies/",
        keeping.DeletedStudyListView.as_view(),
        name="deleted-study-list",
    ),
    path(
        "deleted-studies/<uuid:pk>/restore/",
        keeping.StudyRestoreView.as_view(),
        name="study-restore",
    ),
    path("holds/", keeping.HoldListView.as_view(), name="hold-list"),
    path("holds/<uuid:pk>/lift/", keeping.HoldLiftView.as_view(), name="hold-lift"),
    path("storage/", keeping.StorageView.as_view(), name="storage"),
    path("studies/<uuid:pk>/export/", exports.StudyExportView.as_view(), name="study-export"),
    path("exports/", exports.ExportListView.as_view(), name="export-list"),
    path("exports/<uuid:pk>/", exports.ExportDetailView.as_view(), name="export-detail"),
    path("exports/<uuid:pk>/clear/", exports.ExportClearView.as_view(), name="export-clear"),
    path(
        "exports/<uuid:pk>/holds/<uuid:hold_pk>.png",
        exports.ExportHoldPngView.as_view(),
        name="export-hold-png",
    ),
    path("exports/<uuid:pk>/file/", exports.ExportFileView.as_view(), name="export-file"),
    path("patients/", patients.PatientListView.as_view(), name="patient-list"),
    path("patients/<uuid:pk>/", patients.PatientDetailView.as_view(), name="patient-detail"),
    path("nodes/", nodes.NodeListView.as_view(), name="node-list"),
    path("nodes/new/", nodes.NodeCreateView.as_view(), name="node-create"),
    path("nodes/waiting/", nodes.NodeWaitingListView.as_view(), name="node-waiting-list"),
    path("nodes/<uuid:pk>/confirm/", nodes.NodeConfirmView.as_view(), name="node-confirm"),
    path("nodes/<uuid:pk>/decline/", nodes.NodeDeclineView.as_view(), name="node-decline"),
    path("nodes/<uuid:pk>/", nodes.NodeEditView.as_view(), name="node-edit"),
    path("nodes/<uuid:pk>/remove/", nodes.NodeRemoveView.as_view(), name="node-remove"),
    path(
        "instances/<uuid:pk>/frames/<int:frame>.png",
        images.FramePngView.as_view(),
        name="frame-png",
    ),
    path(
        "instances/<uuid:pk>/frames/<int:frame>.values",
        images.FrameValuesView.as_view(),
        name="frame-values",
    ),
    path("conflicts/", conflicts.ConflictListView.as_view(), name="conflict-list"),
    path("conflicts/<uuid:pk>/", conflicts.ConflictDetailView.as_view(), name="conflict-detail"),
    path(
        "conflicts/<uuid:pk>/resolve/",
        conflicts.ConflictResolveView.as_view(),
        name="conflict-resolve",
    ),
    path(
        "conflicts/<uuid:pk>/reverse/",
        conflicts.ConflictReverseView.as_view(),
        name="conflict-reverse",
    ),
    path(
        "conflicts/<uuid:pk>/files/<uuid:file_pk>.png",
        conflicts.ConflictPngView.as_view(),
        name="conflict-file-png",
    ),
    path("quarantine/", quarantine.QuarantineListView.as_view(), name="quarantine-list"),
    path(
        "quarantine/department/",
        quarantine.QuarantineOfDepartmentView.as_view(),
        name="quarantine-of-department",
    ),
    path(
        "quarantine/<uuid:pk>/file/",
        quarantine.QuarantineDownloadView.as_view(),
        name="quarantine-file",
    ),
    path(
        "quarantine/<uuid:pk>/discard/",
        quarantine.QuarantineDiscardView.as_view(),
        name="quarantine-discard",
    ),
    path("instances/<uuid:pk>/file/", images.InstanceFileView.as_view(), name="instance-file"),
]
