"""The addresses of DICOMweb, under /dicomweb/: those of PS3.18, without slashes at their ends."""

from django.urls import path

from records.dicomweb.views import conformance, rendering, retrieving, searching, storing

STUDY = "studies/<str:study_uid>"
SERIES = f"{STUDY}/series/<str:series_uid>"
INSTANCE = f"{SERIES}/instances/<str:instance_uid>"
FRAMES = f"{INSTANCE}/frames/<str:frames>"

urlpatterns = [
    path("", conformance.CapabilitiesView.as_view(), name="api-dicomweb"),
    path("conformance", conformance.ConformanceView.as_view(), name="dicomweb-conformance"),
    path("studies", storing.StudiesView.as_view(), name="api-dicomweb-studies"),
    path("series", searching.SeriesSearchView.as_view(), name="api-dicomweb-all-series"),
    path("instances", searching.InstanceSearchView.as_view(), name="api-dicomweb-all-instances"),
    path(STUDY, storing.StudyView.as_view(), name="api-dicomweb-study"),
    path(
        f"{STUDY}/series",
        searching.SeriesSearchView.as_view(),
        name="api-dicomweb-study-series",
    ),
    path(
        f"{STUDY}/instances",
        searching.InstanceSearchView.as_view(),
        name="api-dicomweb-study-instances",
    ),
    path(SERIES, retrieving.RetrieveView.as_view(), name="api-dicomweb-series"),
    path(
        f"{SERIES}/instances",
        searching.InstanceSearchView.as_view(),
        name="api-dicomweb-series-instances",
    ),
    path(INSTANCE, retrieving.RetrieveView.as_view(), name="api-dicomweb-instance"),
    path(FRAMES, retrieving.FramesView.as_view(), name="api-dicomweb-frames"),
    path(
        f"{INSTANCE}/bulkdata/<path:path>",
        retrieving.BulkDataView.as_view(),
        name="api-dicomweb-bulkdata",
    ),
    *(
        path(f"{place}/{kind}", view.as_view(), name=f"api-dicomweb-{name}-{kind}")
        for name, place in (("study", STUDY), ("series", SERIES), ("instance", INSTANCE))
        for kind, view in (
            ("metadata", retrieving.MetadataView),
            ("rendered", rendering.RenderedView),
            ("thumbnail", rendering.ThumbnailView),
        )
    ),
    path(
        f"{FRAMES}/rendered", rendering.RenderedView.as_view(), name="api-dicomweb-frames-rendered"
    ),
    path(
        f"{FRAMES}/thumbnail",
        rendering.ThumbnailView.as_view(),
        name="api-dicomweb-frames-thumbnail",
    ),
]
